// A predecessor that is gone while the LSP still believes in its connection: an LDK LSP refuses the successor's until its pings
// have gone unanswered. The successor tries again until it is let in, within the time for which the LSP holds the payment.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { assertProof, assertSettled, openShop } from './support/shop.mjs'
import { until, within } from './support/until.mjs'

const AMOUNT_MSAT = 71_000
/** The ping timer that lets a successor in soon, once it has been refused. */
const QUICK_TICK_MS = 100

/** Two ticks of 10 s, and the payment. */
const FROZEN_MS = 40_000

let quick, real

before(async () => {
  // One after the other: both may have to build the lab.
  quick = await openShop()
  real = await openShop()
})
after(() => Promise.all([quick?.close(), real?.close()]))

/** From here on the LSP believes in the connection of that handler, which is dead. */
async function freeze(lab, handler) {
  await lab.post('/faults', { link: 'lsp', halfOpen: true })
  assert.equal((await handler.kill()).signal, 'SIGKILL')
}

/** The platform's next attempt, by hand: the LSP wakes nobody whom it believes to be connected. */
async function assertReceivedAfterRefusals(wallet, { paymentHash, paying }, onRefusal = () => {}) {
  const successor = wallet.start('receive', { log: 'debug' })
  await until('a refusal', () => successor.logged('connecting to the LSP again').length > 0)
  await onRefusal()
  assertProof(await within('the payment', paying, FROZEN_MS), paymentHash)
  await successor.done()
  assert.deepEqual(successor.all('received').map(({ payment }) => payment.paymentHash), [paymentHash])
  const connected = successor.logged('connected to the LSP after refused attempts')
  assert.equal(connected.length, 1)
  assert.ok(connected[0].fields.refusals > 0, JSON.stringify(connected[0]))
  return connected[0].fields.refusals
}

/** Instead of waiting for 10 to 20 s. */
async function tickSoon() {
  await quick.lab.post('/lsp/options', { tickMs: QUICK_TICK_MS })
}

async function frozenWhileItsChannelOpens(shop, t, onRefusal) {
  const wallet = await shop.wallet()
  const since = process.hrtime.bigint()
  const payment = await wallet.payUnattended(AMOUNT_MSAT)
  // Nothing that it answers arrives.
  await shop.lab.post('/faults', { link: 'lsp', latencyMs: 50 })
  const predecessor = wallet.start('receive')
  await wallet.said(since, 'sent', 'open_channel')
  await freeze(shop.lab, predecessor)
  await shop.lab.post('/faults', { link: 'lsp', latencyMs: 0 })
  const refusals = await assertReceivedAfterRefusals(wallet, payment, onRefusal)
  t.diagnostic(`${refusals} refusals`)
  await assertSettled(wallet, { msat: AMOUNT_MSAT })
}

test('a handler frozen while its first channel opens is followed by one that is refused at first, and makes the payment', (t) =>
  frozenWhileItsChannelOpens(quick, t, tickSoon))

test('a handler frozen before a payment to its channel is followed by one that is refused at first, and makes the payment', async (t) => {
  const { lab } = quick
  await lab.post('/lsp/options', { tickMs: 10_000 })
  const wallet = await quick.wallet()
  await wallet.sell(50_000)
  const predecessor = wallet.start('listen')
  await predecessor.first('running')
  await freeze(lab, predecessor)
  // Forwarded into the dead connection: no webhook.
  const { bolt11, paymentHash } = await wallet.invoice(AMOUNT_MSAT)
  const woken = wallet.woken
  const paying = lab.post('/pay', { bolt11 })
  const refusals = await assertReceivedAfterRefusals(wallet, { paymentHash, paying }, tickSoon)
  t.diagnostic(`${refusals} refusals`)
  assert.equal(wallet.woken, woken)
  await assertSettled(wallet, { msat: 50_000 + AMOUNT_MSAT })
})

test('with the ping timer of real LSPs, 10 s, the payment is still made while it is held', { timeout: 90_000 }, (t) =>
  frozenWhileItsChannelOpens(real, t))
