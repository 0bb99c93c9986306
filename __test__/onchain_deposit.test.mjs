// Bitcoin that others send to a wallet's address: counted when a block holds it, proven, and sent on without an LSP.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { FINAL, mine, onlyChannel, transaction } from './support/chain.mjs'
import { ELSEWHERE, assertMoney, paidTo } from './support/onchain.mjs'
import { openShop } from './support/shop.mjs'
import { rejects } from './support/refused.mjs'

const SATS = 20_000
/** An LSP that is gone. */
const ALONE = { lspAddress: '127.0.0.1:1', timeouts: { lspMs: 500 } }

let shop, lab

before(async () => {
  shop = await openShop()
  lab = shop.lab
})
after(() => shop?.close())

async function withNode(wallet, call, more) {
  const node = wallet.node(more)
  try {
    return await call(node)
  } finally {
    node.destroy()
  }
}

const addressOf = (wallet) => withNode(wallet, (node) => node.getOnchainAddress())

/** Another wallet sends what it has there. Its transaction is in the mempool. */
async function pay(address) {
  const payer = await shop.wallet()
  await payer.sell(SATS * 1000)
  await mine(payer, 1)
  const { channelId } = await onlyChannel(payer)
  await withNode(payer, (node) => node.closeChannel(channelId))
  await mine(payer, FINAL)
  await assertMoney(payer, { onchainSats: SATS })
  return withNode(payer, (node) => node.sendAllOnchain(address))
}

test('a deposit counts from its first block on, moves the wallet to its next address, and can be sent on without the LSP', async () => {
  const wallet = await shop.wallet()
  const address = await addressOf(wallet)
  const { txid, amountSats } = await pay(address)
  assert.equal(paidTo(await transaction(lab, txid), address), amountSats)
  await assertMoney(wallet, {})
  assert.equal(await addressOf(wallet), address)
  await rejects(() => withNode(wallet, (node) => node.sendAllOnchain(ELSEWHERE)), 'INSUFFICIENT_FUNDS')

  await mine(wallet, 1)
  await assertMoney(wallet, { onchainSats: amountSats })
  assert.notEqual(await addressOf(wallet), address)
  await lab.post('/reorg', { depth: 1, transactions: 'unconfirmed' })
  await assertMoney(wallet, {})
  await mine(wallet, 1)
  await assertMoney(wallet, { onchainSats: amountSats })

  const sent = await withNode(wallet, (node) => node.sendAllOnchain(ELSEWHERE, 2), ALONE)
  assert.deepEqual([sent.amountSats + sent.feeSats, paidTo(await transaction(lab, sent.txid), ELSEWHERE)], [amountSats, sent.amountSats])
  await assertMoney(wallet, {})
})

test('a coin is counted on while Esplora hides it, and one that it makes up never is', async () => {
  const wallet = await shop.wallet()
  const { amountSats } = await pay(await addressOf(wallet))
  await mine(wallet, 1)
  const lies = async (lie, path, money) => {
    await lab.post('/esplora', { lie, path })
    await assertMoney(wallet, money)
    const { told } = await lab.post('/esplora', { lie: null })
    assert.ok(told > 0, `${lie} was told`)
  }
  // Not proven: somebody may have made it up.
  await lies('404', '/tx/', {})
  await assertMoney(wallet, { onchainSats: amountSats })
  for (const lie of ['404', '500', 'html', 'truncated']) await lies(lie, '/address/', { onchainSats: amountSats })
})

test('the same address is told across processes, and one that was told is looked at although another is told since', async () => {
  const wallet = await shop.wallet()
  const first = await addressOf(wallet)
  assert.equal(await withNode(wallet, (node) => node.start().then(() => node.getOnchainAddress())), first)
  const { amountSats } = await pay(first)
  await mine(wallet, 1)
  await assertMoney(wallet, { onchainSats: amountSats })
  assert.notEqual(await addressOf(wallet), first)
  const again = await pay(first)
  await mine(wallet, 1)
  await assertMoney(wallet, { onchainSats: amountSats + again.amountSats })
})

test('a wallet that nobody sent anything asks nothing of the chain for it', async () => {
  const wallet = await shop.wallet()
  const requests = () =>
    withNode(wallet, async (node) => {
      await node.startReceiving()
      await node.stop()
      return node.stats().chainRequests
    })
  const without = await requests()
  await addressOf(wallet)
  assert.ok((await requests()) > without, 'an address that was told is looked at')
  const other = await shop.wallet()
  assert.equal(await withNode(other, async (node) => (await node.startReceiving(), await node.stop(), node.stats().chainRequests)), without)
})
