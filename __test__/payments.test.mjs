// getPayment and listPayments: what was received, from the ledger; while the node runs, while it does not, and beside another
// process that holds the wallet.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { assertProof, openShop } from './support/shop.mjs'

let shop, lab
before(async () => {
  shop = await openShop()
  lab = shop.lab
})
after(() => shop?.close())

test('payments are found by their hash and listed newest first, page by page, acked or not, running or not', async () => {
  const wallet = await shop.wallet()
  const node = wallet.node()
  assert.deepEqual([await node.listPayments(), await node.getPayment('00'.repeat(32))], [[], null])
  await node.startReceiving()
  const received = []
  for (let i = 1; i <= 5; i++) {
    const { bolt11, paymentHash } = await node.getInvoice(i * 1_000, 'x', 900)
    assertProof(await lab.pay(bolt11), paymentHash)
    const event = await node.nextEvent(20_000)
    const { paymentId, amountMsat, skimmedMsat, timestampMs } = event
    // Told, so committed.
    assert.deepEqual(await node.getPayment(paymentHash), { paymentHash, paymentId, amountMsat, skimmedMsat, timestampMs })
    received.unshift({ paymentHash, paymentId, amountMsat, skimmedMsat, timestampMs })
    await node.ackEvent(event.id)
  }
  const everywhere = async (reader) => {
    assert.deepEqual(await reader.listPayments(), received)
    assert.deepEqual(await reader.listPayments({ limit: 2 }), received.slice(0, 2))
    assert.deepEqual(await reader.listPayments({ limit: 2, before: received[1].paymentHash }), received.slice(2, 4))
    assert.deepEqual(await reader.listPayments({ before: received[4].paymentHash }), [])
    assert.deepEqual(await reader.getPayment(received[2].paymentHash.toUpperCase()), received[2])
  }
  await everywhere(node)
  // Another handle, which has no lease.
  const reader = wallet.node()
  await everywhere(reader)
  assert.equal(reader.state, 'idle')
  await node.stop()
  await everywhere(node)
  node.destroy()
  await everywhere(reader)
  reader.destroy()
  await assert.rejects(reader.listPayments(), { code: 'NODE_DESTROYED' })
})

test('a payment that was refused is not listed', async () => {
  const wallet = await shop.wallet()
  const node = wallet.node({ maxSkimPpm: 0 })
  await lab.post('/lsp/options', { skimPpm: 10_000 })
  await node.startReceiving()
  const { bolt11, paymentHash } = await node.getInvoice(100_000, 'x', 900)
  assert.equal((await lab.pay(bolt11)).preimage, undefined)
  await lab.post('/lsp/options', { skimPpm: 0 })
  assert.equal((await node.nextEvent(20_000)).eventType, 'SkimRefused')
  assert.deepEqual([await node.listPayments(), await node.getPayment(paymentHash)], [[], null])
  node.destroy()
})
