// A handler that is killed when a certain message of its first payment has passed the LSP: whatever was said before, the next
// process goes on from what was committed before it was said.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { assertNothingMore, openShop } from './support/shop.mjs'
import { within } from './support/until.mjs'

/** One way. Longer than looking at the LSP's messages takes, so that the kill comes before the answer. */
const LATENCY_MS = 30

/** As the LSP sees it, from the end to the beginning. */
const MOMENTS = [
  ['got', 'revoke_and_ack'],
  ['got', 'update_fulfill_htlc'],
  ['sent', 'update_add_htlc'],
  ['got', 'channel_ready'],
  ['got', 'funding_signed'],
  ['sent', 'open_channel'],
  ['got', 'accept_channel'],
  ['sent', 'funding_created'],
]

let shop, lab

before(async () => {
  shop = await openShop()
  lab = shop.lab
  await lab.post('/faults', { link: 'lsp', latencyMs: LATENCY_MS })
})
after(() => shop?.close())

for (const [direction, type] of MOMENTS) {
  test(`a handler killed when the LSP ${direction} ${type} is followed by one that receives the payment, once`, async () => {
    const wallet = await shop.wallet()
    const since = process.hrtime.bigint()
    const { paying, paymentHash } = await wallet.payUnattended(65_000, { timeoutMs: 20_000 })
    const killed = wallet.start('receive', { hold: true })
    await wallet.said(since, direction, type)
    assert.equal((await killed.kill()).signal, 'SIGKILL')

    const next = wallet.start('listen')
    const { event } = await next.first('event')
    assert.equal(event?.eventType, 'Received')
    assert.equal(event.paymentHash, paymentHash)
    assert.equal(event.amountMsat, 65_000)
    for (const { payment } of killed.all('received')) assert.equal(payment.id, event.id)
    next.go()
    await next.done()
    const paid = await within('the payer', paying)
    assert.ok(paid.preimage, paid.error)
    assert.equal(next.all('stopped')[0].balance.lightningMsat, 65_000)
    assert.equal((await wallet.channels()).length, 1)
    await assertNothingMore(wallet)
  })
}
