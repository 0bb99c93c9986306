// From the webhook to the claimed payment, with nothing, 20 and 50 ms of round trip added to every link: to the LSP, to Esplora,
// and of the webhook itself.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { assertProof, assertSettled, openShop } from './support/shop.mjs'

const LINKS = ['lsp', 'esplora', 'webhook']

let shop, lab

before(async () => {
  shop = await openShop()
  lab = shop.lab
})
after(() => shop?.close())

for (const roundTripMs of [0, 20, 50]) {
  test(`with ${roundTripMs} ms on each link a cold and then a warm wake make the payment, once, by one webhook each`, async () => {
    for (const link of LINKS) await lab.post('/faults', { link, roundTripMs })
    const wallet = await shop.wallet()
    let msat = 0
    let channelId
    for (const amountMsat of [61_000, 62_000]) {
      const sold = await wallet.sell(amountMsat)
      assertProof(sold, sold.paymentHash)
      assert.equal(sold.amountMsat, amountMsat)
      assert.equal(sold.handler.all('received').length, 1)
      msat += amountMsat
      await assertSettled(wallet, { msat, channelId })
      channelId = (await wallet.channels())[0].channelId
    }
    assert.equal(wallet.woken, 2)
    const { mempool } = await lab.get('/chain')
    assert.equal(mempool.length, 1, 'the funding transaction is the only one')
    // For the next round trip time, which counts anew.
    await lab.post('/mine', { blocks: 1 })
  })
}
