// closeChannel and getOnchainAddress: what is received in channels comes back to the chain, to the satoshi, in starts that come
// later; and sendAllOnchain takes it elsewhere.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { FINAL, glance, mine, paidWallet, transaction } from './support/chain.mjs'
import { ELSEWHERE, assertMoney, paidTo, unspentAt } from './support/onchain.mjs'
import { openShop } from './support/shop.mjs'
import { rejects } from './support/refused.mjs'
import { within } from './support/until.mjs'

const SATS = 20_000

let shop, lab

before(async () => {
  shop = await openShop()
  lab = shop.lab
})
after(() => shop?.close())

/** Calls with a node of its own, as a script would. */
async function withNode(wallet, call, more) {
  const node = wallet.node(more)
  try {
    return await call(node)
  } finally {
    node.destroy()
  }
}

const closeChannel = (wallet, channelId, options) => withNode(wallet, (node) => node.closeChannel(channelId, options))
const addressOf = (wallet) => withNode(wallet, (node) => node.getOnchainAddress())

test('a cooperative close pays to the address that the wallet told, and all of it can be sent on', async () => {
  const { wallet, channel } = await paidWallet(shop, SATS)
  const address = await addressOf(wallet)
  assert.equal(await addressOf(wallet), address, 'the same until it is paid to')
  await closeChannel(wallet, channel.channelId)

  const closing = await channel.spend()
  assert.equal(closing.status.confirmed, false, 'it is out when the call resolves')
  assert.equal(paidTo(closing, address), SATS, 'nothing is taken off for the fee: the LSP opened')
  await assertMoney(wallet, { pendingCloseSats: SATS })
  await mine(wallet, FINAL - 1)
  await assertMoney(wallet, { pendingCloseSats: SATS })
  await mine(wallet, 1)
  await assertMoney(wallet, { onchainSats: SATS })
  assert.notEqual(await addressOf(wallet), address, 'it was paid to')

  const sent = await withNode(wallet, (node) => node.sendAllOnchain(ELSEWHERE, 3))
  const out = await transaction(lab, sent.txid)
  assert.deepEqual([sent.amountSats + sent.feeSats, paidTo(out, ELSEWHERE), out.fee], [SATS, sent.amountSats, sent.feeSats])
  assert.ok(sent.feeSats / (out.weight / 4) >= 3 && sent.feeSats / (out.weight / 4) < 3.1, `${sent.feeSats} sat for ${out.weight} weight units`)
  await assertMoney(wallet, {})
  await rejects(() => withNode(wallet, (node) => node.sendAllOnchain(ELSEWHERE)), 'INSUFFICIENT_FUNDS')
  await mine(wallet, FINAL)
  await assertMoney(wallet, {})
  assert.deepEqual(await unspentAt(lab, ELSEWHERE), [sent.amountSats])
})

test('a close that both sides agreed on and that got lost goes out again with the next start', async () => {
  const { wallet, channel } = await paidWallet(shop, SATS)
  await closeChannel(wallet, channel.channelId)
  const closing = await channel.spend()
  await lab.post('/mempool/evict', { txid: closing.txid })
  await glance(wallet)
  assert.equal((await channel.spend()).txid, closing.txid)
})

test('a channel that is not open is an error by its name, and so is one that was closed', async () => {
  const { wallet, channel } = await paidWallet(shop, SATS)
  await rejects(() => closeChannel(wallet, '00'.repeat(32)), 'INVALID_ARGUMENT', 'channelId')
  await closeChannel(wallet, channel.channelId)
  await rejects(() => closeChannel(wallet, channel.channelId), 'INVALID_ARGUMENT', 'channelId')
  await rejects(() => closeChannel(wallet, channel.channelId, { force: true }), 'INVALID_ARGUMENT', 'channelId')
})

test('a cooperative close needs the LSP', async () => {
  const { wallet, channel } = await paidWallet(shop, SATS)
  const away = { lspAddress: '127.0.0.1:1', timeouts: { lspMs: 500 } }
  await rejects(() => withNode(wallet, (node) => node.closeChannel(channel.channelId), away), 'LSP_UNAVAILABLE')
  assert.equal((await glance(wallet)).channels.length, 1)
})

test('a running node closes its channel and is paid on through a new one', async () => {
  const { wallet, channel } = await paidWallet(shop, SATS)
  await withNode(wallet, async (node) => {
    await node.startReceiving()
    await node.closeChannel(channel.channelId)
    assert.deepEqual([node.state, await node.listChannels()], ['running', []])
    const { bolt11, paymentHash } = await node.getInvoice(30_000_000, 'After the close', 900)
    const paying = lab.pay(bolt11)
    const event = await node.nextEvent(30_000)
    assert.deepEqual([event?.eventType, event?.paymentHash], ['Received', paymentHash])
    await node.ackEvent(event.id)
    assert.ok((await within('the payer', paying)).preimage)
    await node.stop()
  })
  await mine(wallet, FINAL)
  await assertMoney(wallet, { lightningMsat: 30_000_000, onchainSats: SATS })
})
