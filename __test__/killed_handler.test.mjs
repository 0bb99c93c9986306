// A handler that is killed at some instant, and started again: the payment is made, its event comes again with the same id, and
// nothing comes twice after the ack.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { assertNothingMore, openShop } from './support/shop.mjs'
import { within } from './support/until.mjs'

/** For handlers to whom only events come again: those are in the store, and nothing else is worth waiting for. */
const ONLY_AGAIN = { receive: { minMs: 200 } }

let shop, lab

before(async () => {
  shop = await openShop()
  lab = shop.lab
})
after(() => shop?.close())

/** A wallet without a channel, or with one. */
async function walletThatIs(temperature) {
  const wallet = await shop.wallet()
  if (temperature === 'warm') await wallet.sell(50_000)
  wallet.onWebhook = undefined
  return wallet
}

async function assertReceivedOnce(wallet, { paymentHash, paying }, amountMsat) {
  const handler = wallet.start('receive')
  const paid = await within('the payer', paying)
  assert.ok(paid.preimage, paid.error)
  await handler.done()
  const received = handler.all('received').map(({ payment }) => [payment.paymentHash, payment.amountMsat])
  assert.deepEqual(received, [[paymentHash, amountMsat]])
  await assertNothingMore(wallet)
}

for (const temperature of ['cold', 'warm']) {
  for (const at of ['starting', 'running']) {
    test(`a ${temperature} handler killed at '${at}' and started again receives the payment, once`, async () => {
      const wallet = await walletThatIs(temperature)
      const payment = await wallet.payUnattended(21_000)
      const killed = wallet.start('die', { at })
      assert.equal((await within('its death', killed.exited)).signal, 'SIGKILL')
      await assertReceivedOnce(wallet, payment, 21_000)
    })
  }

  test(`a ${temperature} handler killed before its ack is given the same event again, and not after the ack`, async () => {
    const wallet = await walletThatIs(temperature)
    const payment = await wallet.payUnattended(22_000)
    const ids = []
    for (let i = 0; i < 2; i++) {
      const killed = wallet.start('receive', { hold: true })
      ids.push((await killed.first('received')).payment.id)
      assert.equal((await killed.kill()).signal, 'SIGKILL')
    }
    const last = wallet.start('receive', ONLY_AGAIN)
    await last.done()
    const received = last.all('received').map(({ payment }) => payment)
    assert.equal(received.length, 1)
    assert.equal(received[0].paymentHash, payment.paymentHash)
    assert.deepEqual(ids, [received[0].id, received[0].id])
    const paid = await within('the payer', payment.paying)
    assert.ok(paid.preimage, paid.error)
    await assertNothingMore(wallet)
  })
}

test('a handler killed when the payer has the preimage leaves a wallet whose next payments arrive, each told once', async () => {
  const wallet = await shop.wallet()
  const seen = new Set()
  for (const amountMsat of [31_000, 32_000, 33_000]) {
    const { paying, paymentHash } = await wallet.payUnattended(amountMsat)
    const killed = wallet.start('receive', { hold: true })
    const paid = await within('the payer', paying)
    assert.ok(paid.preimage, paid.error)
    await killed.kill()
    const next = wallet.start('receive', ONLY_AGAIN)
    await next.done()
    const told = next.all('received').map(({ payment }) => payment)
    assert.deepEqual(told.map((payment) => payment.paymentHash), [paymentHash])
    assert.equal(seen.has(told[0].id), false)
    seen.add(told[0].id)
  }
  const node = wallet.node()
  assert.equal((await node.getBalance()).lightningMsat, 96_000)
  node.destroy()
  await assertNothingMore(wallet)
  assert.equal((await wallet.channels()).length, 1, 'no channel was closed')
})

test('a received and acked payment is not told again by two later starts, which receive others', async () => {
  const wallet = await shop.wallet()
  const first = await wallet.sell(41_000)
  await assertNothingMore(wallet)
  const second = await wallet.sell(42_000)
  assert.notEqual(second.id, first.id)
  await assertNothingMore(wallet)
})
