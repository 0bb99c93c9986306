// A wallet with many channels, or with one that its LSP has forgotten.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { openShop } from './support/shop.mjs'

const CHANNELS = 8
const OPEN_SAT = 20_000
/** Too much for what is left of any earlier channel. */
const BIG_MSAT = 16_000_000

let shop
before(async () => {
  shop = await openShop()
  await shop.lab.post('/lsp/options', { openSat: OPEN_SAT })
})
after(() => shop.close())

test('payments that wake a wallet with many channels all arrive', async () => {
  const wallet = await shop.wallet()
  while ((await wallet.channels()).length < CHANNELS) await wallet.sell(BIG_MSAT)
  for (let i = 1; i <= 10; i++) {
    const sold = await wallet.sell(1_000 * i)
    assert.equal(sold.amountMsat, 1_000 * i)
  }
  assert.equal((await wallet.channels()).length, CHANNELS)
})

test('one that the LSP is silent about does not keep payments from the others', async () => {
  const wallet = await shop.wallet()
  while ((await wallet.channels()).length < 2) await wallet.sell(BIG_MSAT)
  const before = await wallet.channels()
  await shop.lab.post('/lsp/close', { nodeId: wallet.nodeId, force: true })
  // In the mempool only: the wallet can't know, and the LSP has forgotten both.
  assert.deepEqual(await wallet.channels(), [])
  const node = wallet.node()
  await node.startReceiving()
  assert.equal((await node.listChannels()).length, before.length)
  await node.stop()
  node.destroy()
  await wallet.sell(5_000)
  assert.equal((await wallet.channels()).length, 1, 'through a new one')
})
