// An LSP that restarts, tidily or as by `kill -9`, before, while and after it opens a wallet's first channel: it comes back with
// what it had committed, the payment that it held among that, and the handler comes back to it.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { assertProof, assertSettled, openShop } from './support/shop.mjs'
import { within } from './support/until.mjs'

/** One way: an answer takes longer than looking at the LSP's messages, so that the restart comes before it. */
const LATENCY_MS = 30
const FIRST_MSAT = 81_000
const SECOND_MSAT = 82_000

/** During the first payment, as the LSP sees it. */
const MOMENTS = [
  ['sent', 'open_channel'],
  ['got', 'accept_channel'],
  ['sent', 'funding_created'],
  ['got', 'funding_signed'],
  ['sent', 'channel_ready'],
  ['sent', 'update_add_htlc'],
  ['got', 'update_fulfill_htlc'],
]

const shops = new Map()

before(async () => {
  // One after the other: both may have to build the lab.
  for (const kill of [false, true]) {
    const shop = await openShop()
    shops.set(kill, shop)
    await shop.lab.post('/faults', { link: 'lsp', latencyMs: LATENCY_MS })
  }
})
after(() => Promise.all([...shops.values()].map((shop) => shop.close())))

async function assertReceived(handler, { paymentHash, paying }) {
  assertProof(await within('the payer', paying), paymentHash)
  await handler.done()
  const received = handler.all('received').map(({ payment }) => [payment.paymentHash, payment.amountMsat])
  assert.deepEqual(received, [[paymentHash, FIRST_MSAT]])
}

/** By a webhook, through the same channel; then everything is as it should be. What the restart cut off is made up for by then. */
async function assertPaidAgain(wallet) {
  const [{ channelId }] = await wallet.channels()
  const sold = await wallet.sell(SECOND_MSAT)
  assertProof(sold, sold.paymentHash)
  await assertSettled(wallet, { msat: FIRST_MSAT + SECOND_MSAT, channelId })
}

// Each kind of end has a lab of its own, since most of this is waiting for the links; in one lab a restart is everyone's.
describe('an LSP that', { concurrency: 2 }, () => {
  for (const kill of [false, true]) {
    describe(kill ? 'is killed' : 'restarts', { concurrency: 1 }, () => {
      const open = async () => {
        const { lab, wallet } = shops.get(kill)
        return { restart: () => lab.post('/lsp/restart', { kill }), wallet: await wallet() }
      }

      test('while it holds a payment and nobody is there holds it on, and it is made', async () => {
        const { restart, wallet } = await open()
        const payment = await wallet.payUnattended(FIRST_MSAT)
        await restart()
        await wallet.held()
        await assertReceived(wallet.start('receive'), payment)
        await assertPaidAgain(wallet)
      })

      for (const [direction, type] of MOMENTS) {
        test(`when it has just ${direction} ${type} gets the same handler back, which receives the payment, once`, async () => {
          const { restart, wallet } = await open()
          const since = process.hrtime.bigint()
          const payment = await wallet.payUnattended(FIRST_MSAT)
          const handler = wallet.start('receive')
          await wallet.said(since, direction, type)
          await restart()
          await assertReceived(handler, payment)
          await assertPaidAgain(wallet)
        })
      }

      test('after a payment still knows the webhook and the channel', async () => {
        const { restart, wallet } = await open()
        await wallet.sell(FIRST_MSAT)
        await restart()
        await assertPaidAgain(wallet)
      })
    })
  }
})
