// The chain changes its mind about the wallet's channel: under a sleeping wallet, under a running one, and in the mempool.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { FINAL, esplora, glance, mine, onlyChannel, transaction } from './support/chain.mjs'
import { sweepOf } from './support/onchain.mjs'
import { openShop } from './support/shop.mjs'
import { until, within } from './support/until.mjs'

const SATS = 20_000

let shop, lab

before(async () => {
  shop = await openShop()
  lab = shop.lab
  // Room below every channel of these tests for a reorg that is deep.
  await lab.post('/mine', { blocks: 20 })
})
after(() => shop?.close())

/** A wallet with `SATS` in an unconfirmed channel. */
async function paidWallet() {
  const wallet = await shop.wallet()
  await wallet.sell(SATS * 1000)
  return { wallet, channel: await onlyChannel(wallet) }
}

test('a reorg that leaves the channel its block changes nothing, however deep, there and back', async () => {
  const { wallet, channel } = await paidWallet()
  await mine(wallet, 10)
  let owned = SATS * 1000
  for (const change of [{ depth: 6 }, { undo: true }, { depth: 9, transactions: 'dropped' }, { undo: true }]) {
    const { shortChannelId } = (await glance(wallet)).channels[0]
    await lab.post('/reorg', change)
    await wallet.sell(1_000_000)
    owned += 1_000_000
    const after = await glance(wallet)
    assert.deepEqual(after.channels.map(({ channelId, shortChannelId }) => [channelId, shortChannelId]), [[channel.channelId, shortChannelId]])
    assert.deepEqual([after.lightningMsat, after.pendingCloseSats, after.onchainSats], [owned, 0, 0])
  }
})

test('blocks that come and go while the channel is unconfirmed change nothing', async () => {
  const { wallet, channel } = await paidWallet()
  await lab.post('/reorg', { depth: 4, transactions: 'unconfirmed' })
  await wallet.sell(1_000_000)
  await lab.post('/reorg', { undo: true, transactions: 'unconfirmed' })
  const after = await glance(wallet)
  assert.deepEqual(after.channels.map(({ channelId, confirmations }) => [channelId, confirmations ?? 0]), [[channel.channelId, 0]])
  assert.equal(after.lightningMsat, SATS * 1000 + 1_000_000)
})

/** LDK, at the LSP and here, closes a channel whose funding loses its last block: then all of it comes to the chain. */
async function comesBack(wallet, channel) {
  await within('the commitment', channel.spend())
  await mine(wallet, 1)
  const commitment = await channel.spend()
  const closing = await glance(wallet)
  assert.deepEqual([closing.channels, closing.lightningMsat, closing.pendingCloseSats + closing.onchainSats], [[], 0, SATS])
  // The delay of a commitment of our own, should that be the one which got its block, and then some.
  await mine(wallet, 144 + FINAL)
  const sweeping = await glance(wallet)
  const { sats } = await sweepOf(lab, commitment, SATS)
  assert.deepEqual([sweeping.pendingCloseSats, sweeping.onchainSats], [sats, 0])
  await mine(wallet, FINAL)
  const closed = await glance(wallet)
  assert.deepEqual([closed.pendingCloseSats, closed.onchainSats], [0, sats])
  await wallet.sell(30_000_000)
  const again = await glance(wallet)
  assert.deepEqual([again.lightningMsat, again.onchainSats, again.channels.length], [30_000_000, sats, 1])
}

for (const seen of [true, false]) {
  test(`a funding that is mined into another block between two handlers closes the channel and loses nothing (${seen ? 'the first handler saw the old block' : 'no handler saw the old block'})`, async () => {
    const { wallet, channel } = await paidWallet()
    await mine(wallet, 1)
    if (seen) assert.equal((await glance(wallet)).channels[0].confirmations, 1)
    await lab.post('/reorg', { depth: 1, transactions: 'remined' })
    await comesBack(wallet, channel)
  })
}

test('a funding that is mined into another block under a running wallet closes the channel and loses nothing', async () => {
  const { wallet, channel } = await paidWallet()
  const node = wallet.node()
  try {
    await node.startReceiving()
    await mine(wallet, 1)
    // It looks at the chain every quarter of a minute.
    await until('the wallet to see the block', async () => (await node.listChannels())[0].confirmations === 1, 60_000)
    await lab.post('/reorg', { depth: 1, transactions: 'remined' })
    await until('the wallet to see it closed', async () => (await node.listChannels()).length === 0, 60_000)
    const { bolt11, paymentHash } = await node.getInvoice(1_000_000, 'While it runs', 900)
    const paying = lab.pay(bolt11)
    const event = await node.nextEvent(30_000)
    assert.deepEqual([event?.eventType, event?.paymentHash], ['Received', paymentHash])
    await node.ackEvent(event.id)
    assert.ok((await paying).preimage)
    await node.stop()
  } finally {
    node.destroy()
  }
  await within('the commitment', channel.spend())
  await mine(wallet, 144 + 2 * FINAL)
  const after = await glance(wallet)
  const { sats } = await sweepOf(lab, await channel.spend(), SATS)
  assert.deepEqual([after.lightningMsat, after.pendingCloseSats, after.onchainSats, after.channels.length], [1_000_000, sats, 0, 1])
})

test('a reorg under a running wallet that leaves the channel its block is followed, and it is paid on', async () => {
  const { wallet, channel } = await paidWallet()
  await mine(wallet, 5)
  const node = wallet.node()
  try {
    await node.startReceiving()
    assert.equal((await node.listChannels())[0].confirmations, 5)
    await lab.post('/reorg', { depth: 4 })
    await until('the wallet to follow', async () => (await node.listChannels())[0].confirmations === 6, 60_000)
    const { bolt11 } = await node.getInvoice(1_000_000, 'After the reorg', 900)
    const paying = lab.pay(bolt11)
    const event = await node.nextEvent(30_000)
    await node.ackEvent(event.id)
    assert.ok((await paying).preimage)
    await node.stop()
    const channels = await node.listChannels()
    assert.deepEqual(channels.map(({ channelId, confirmations }) => [channelId, confirmations]), [[channel.channelId, 6]])
  } finally {
    node.destroy()
  }
})

test('a commitment that loses its block is waited for again, and its money counted on', async () => {
  const { wallet, channel } = await paidWallet()
  await mine(wallet, 5)
  await lab.post('/lsp/close', { nodeId: wallet.nodeId, force: true })
  await within('the commitment', channel.spend())
  await mine(wallet, 3)
  const owns = async (pendingCloseSats, onchainSats) => {
    const seen = await glance(wallet)
    assert.deepEqual([seen.channels, seen.lightningMsat, seen.pendingCloseSats, seen.onchainSats], [[], 0, pendingCloseSats, onchainSats])
  }
  await owns(SATS, 0)
  await lab.post('/reorg', { depth: 4, transactions: 'unconfirmed' })
  assert.equal((await channel.spend()).status.confirmed, false)
  await owns(SATS, 0)
  await mine(wallet, FINAL - 1)
  await owns(SATS, 0)
  await mine(wallet, 1)
  await glance(wallet)
  const { sats } = await sweepOf(lab, await channel.spend(), SATS)
  await owns(sats, 0)
  await mine(wallet, 1)
  await owns(0, sats)
})

test('a funding that the mempools forget and hear of again keeps its channel, which is paid through meanwhile', async () => {
  const { wallet, channel } = await paidWallet()
  const hex = await (await esplora(lab, `/tx/${channel.fundingTxid}/hex`)).text()
  assert.deepEqual(await lab.post('/mempool/evict', { txid: channel.fundingTxid }), { evicted: [channel.fundingTxid] })
  await wallet.sell(1_000_000)
  await mine(wallet, 2)
  await wallet.sell(1_000_000)
  assert.equal(await (await esplora(lab, '/tx', { method: 'POST', body: hex })).text(), channel.fundingTxid)
  await mine(wallet, 3)
  await wallet.sell(1_000_000)
  const after = await glance(wallet)
  assert.deepEqual(after.channels.map(({ channelId, confirmations }) => [channelId, confirmations]), [[channel.channelId, 3]])
  assert.equal(after.lightningMsat, SATS * 1000 + 3_000_000)
})

test('a funding that the LSP replaces never confirms, and the wallet says so: until then its money is the LSP\'s word', async () => {
  const { wallet, channel } = await paidWallet()
  const { txid } = await lab.post('/mempool/replace', { txid: channel.fundingTxid, feeRate: 20 })
  assert.notEqual(txid, channel.fundingTxid)
  assert.equal((await fetch(`${lab.info.esploraUrl}/tx/${channel.fundingTxid}`)).status, 404)
  await mine(wallet, FINAL)
  assert.equal((await transaction(lab, txid)).status.confirmed, true)
  await wallet.sell(1_000_000)
  const after = await glance(wallet)
  assert.deepEqual(after.channels.map(({ channelId, confirmations }) => [channelId, confirmations]), [[channel.channelId, 0]])
})

test('after two weeks of blocks a wallet starts, is paid through its channel, and knows how deep that is', async () => {
  const { wallet, channel } = await paidWallet()
  await mine(wallet, 2016)
  await wallet.sell(1_000_000)
  const after = await glance(wallet)
  assert.deepEqual(after.channels.map(({ channelId, confirmations }) => [channelId, confirmations]), [[channel.channelId, 2016]])
  assert.equal(after.lightningMsat, SATS * 1000 + 1_000_000)
})
