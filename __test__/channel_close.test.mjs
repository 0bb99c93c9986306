// The LSP closes the channel: the wallet starts all the same, says truly what it owns and where, and is paid again.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, test } from 'node:test'
import { FINAL, glance, mine, paidWallet, spendOf, steady, transaction } from './support/chain.mjs'
import { sweepOf } from './support/onchain.mjs'
import { openShop } from './support/shop.mjs'
import { until, within } from './support/until.mjs'

const SATS = 20_000

let shop, lab

before(async () => {
  shop = await openShop()
  lab = shop.lab
})
after(() => shop?.close())

const close = (wallet, force) => lab.post('/lsp/close', { nodeId: wallet.nodeId, force })

/** All of it comes from the closed channel to the chain, and the next payment through a new channel. A commitment is swept. */
async function comesBack(wallet, commitment) {
  const closing = await glance(wallet)
  assert.deepEqual(closing.channels, [])
  assert.deepEqual([closing.lightningMsat, closing.pendingCloseSats, closing.onchainSats], [0, SATS, 0])
  await mine(wallet, FINAL)
  const sats = commitment === undefined ? SATS : await comesHome(wallet, commitment)
  const closed = await glance(wallet)
  assert.deepEqual([closed.lightningMsat, closed.pendingCloseSats, closed.onchainSats], [0, 0, sats])
  await wallet.sell(30_000_000)
  const again = await glance(wallet)
  assert.deepEqual([again.lightningMsat, again.pendingCloseSats, again.onchainSats], [30_000_000, 0, sats])
  await steady(wallet)
  assert.deepEqual(again.channels.map(({ channelId }) => channelId), (await wallet.channels()).map(({ channelId }) => channelId))
}

/** A commitment that is final is swept by the next start, and the sweep gets its block. Returns what arrives; `besides` is there. */
async function comesHome(wallet, commitment, besides = 0) {
  const sweeping = await glance(wallet)
  const { sats } = await sweepOf(lab, commitment, SATS)
  assert.deepEqual([sweeping.lightningMsat, sweeping.pendingCloseSats, sweeping.onchainSats], [0, sats, besides])
  await mine(wallet, 1)
  return sats
}

test('a forced close while nobody is there is found when the wallet starts', async () => {
  const { wallet, channel } = await paidWallet(shop, SATS)
  await close(wallet, true)
  const commitment = await channel.spend()
  assert.ok(commitment.vout.some(({ value }) => value === SATS), 'the commitment pays the wallet')
  await mine(wallet, 1)
  await comesBack(wallet, commitment)
})

test('a forced close that is final when the wallet starts for the first time after it is found in one start', async () => {
  const { wallet, channel } = await paidWallet(shop, SATS)
  await close(wallet, true)
  const commitment = await channel.spend()
  await mine(wallet, FINAL)
  const sats = await comesHome(wallet, commitment)
  const after = await glance(wallet)
  assert.deepEqual([after.channels, after.lightningMsat, after.pendingCloseSats, after.onchainSats], [[], 0, 0, sats])
  await wallet.sell(30_000_000)
  assert.equal((await glance(wallet)).lightningMsat, 30_000_000)
})

test('a cooperative close begins when the wallet comes, and what it owned is on its way to the chain', async () => {
  const { wallet, channel } = await paidWallet(shop, SATS)
  await close(wallet, false)
  const node = wallet.node()
  try {
    await node.startReceiving()
    const closing = await within('the closing transaction', channel.spend())
    assert.ok(closing.vout.some(({ value }) => value === SATS), 'nothing is taken off for the fee: the LSP opened')
    await until('the wallet to see it closed', async () => (await node.listChannels()).length === 0)
    await node.stop()
  } finally {
    node.destroy()
  }
  await mine(wallet, 1)
  await comesBack(wallet)
})

test('a webhook handler is paid by a payment that meets a cooperative close', async () => {
  const { wallet, channel } = await paidWallet(shop, SATS)
  await close(wallet, false)
  const sold = await wallet.sell(25_000_000)
  assert.equal(sold.amountMsat, 25_000_000)
  await within('the closing transaction', channel.spend())
  await mine(wallet, FINAL)
  const after = await glance(wallet)
  assert.deepEqual([after.lightningMsat, after.pendingCloseSats, after.onchainSats], [25_000_000, 0, SATS])
  assert.equal(after.channels.length, 1)
})

test('a running wallet whose channel is closed, by force or cooperatively, is paid on through a new one', async () => {
  // Both at once: each waits for the wallet's next look at the chain, every quarter of a minute.
  await Promise.all([true, false].map(closedWhileItRuns))
})

async function closedWhileItRuns(force) {
  const { wallet, channel } = await paidWallet(shop, SATS)
  const node = wallet.node()
  try {
    await node.startReceiving()
    await close(wallet, force)
    const spend = await within('the channel\'s spend', channel.spend())
    await until('the wallet to see it closed', async () => (await node.listChannels()).length === 0)
    const { bolt11, paymentHash } = await node.getInvoice(40_000_000, 'While it runs', 900)
    const paying = lab.pay(bolt11)
    const event = await node.nextEvent(30_000)
    assert.deepEqual([event?.eventType, event?.paymentHash], ['Received', paymentHash])
    await node.ackEvent(event.id)
    assert.ok((await paying).preimage)
    await mine(wallet, FINAL)
    let sats = SATS
    if (force) {
      sats = (await within('the sweep', sweepOf(lab, spend, SATS))).sats
      await mine(wallet, 1)
    }
    await until('the money on chain', async () => (await node.getBalance()).onchainSats === sats, 60_000)
    await node.stop()
    const { lightningMsat, pendingCloseSats } = await node.getBalance()
    assert.deepEqual([lightningMsat, pendingCloseSats], [40_000_000, 0])
  } finally {
    node.destroy()
  }
}

/** One way: what the wallet says is under way for longer than it takes to cut the line. */
const SLOW_MS = 1_500

test('an HTLC that was claimed, and whose preimage never reached the LSP, is claimed on chain from the LSP\'s commitment, and again when that claim gets lost', async () => {
  const { wallet, channel } = await paidWallet(shop, SATS)
  const HTLC = 30_000
  const since = process.hrtime.bigint()
  const { paying, paymentHash } = await wallet.payUnattended(HTLC * 1000, { timeoutMs: 120_000 })
  await lab.post('/faults', { link: 'lsp', latencyMs: 30 })
  const killed = wallet.start('receive', { hold: true })
  const ofWallet = async (direction, type) =>
    (await lab.get(`/messages?since=${since}`)).some((m) => m.peer === wallet.nodeId && m.direction === direction && m.type === type)
  try {
    await until('the LSP to forward', () => ofWallet('sent', 'update_add_htlc'))
    await lab.post('/faults', { link: 'lsp', latencyMs: SLOW_MS })
    await killed.first('received')
    await lab.post('/faults', { link: 'lsp', blackhole: true })
    await killed.kill()
    assert.equal(await ofWallet('got', 'update_fulfill_htlc'), false, 'the LSP has heard it: the line was cut too late')
    await close(wallet, true)
    await channel.spend()
  } finally {
    await lab.post('/faults', { link: 'lsp', latencyMs: 0, reset: true })
    await lab.post('/faults', { link: 'lsp', blackhole: false, reset: false })
  }
  await mine(wallet, 1)
  const commitment = await channel.spend()
  assert.ok(commitment.status.confirmed)
  const output = commitment.vout.findIndex(({ value }) => value === HTLC)
  assert.ok(output >= 0, 'the HTLC is an output of its own')

  const woken = await glance(wallet)
  assert.deepEqual([woken.lightningMsat, woken.channels], [0, []])
  const first = await spendOf(lab, commitment.txid, output)
  const shows = (item) => createHash('sha256').update(Buffer.from(item, 'hex')).digest('hex') === paymentHash
  assert.ok(first.vin[0].witness.some(shows), 'with the preimage')
  // Whatever becomes of a claim that was sent once, each start of the wallet sends it again.
  await lab.post('/mempool/evict', { txid: first.txid })
  await glance(wallet)
  const claim = await spendOf(lab, commitment.txid, output)
  await mine(wallet, 1)
  const paid = await within('the payer, from the claim on chain', paying)
  assert.ok(paid.preimage, paid.error)
  await mine(wallet, FINAL)
  const got = claim.vout.reduce((sum, { value }) => sum + value, 0)
  const sats = await comesHome(wallet, commitment, got)
  const after = await glance(wallet)
  assert.deepEqual([after.onchainSats, after.pendingCloseSats], [sats + got, 0])
  const listening = wallet.start('listen')
  const { event } = await listening.first('event')
  assert.deepEqual([event?.eventType, event?.paymentHash, event?.amountMsat], ['Received', paymentHash, HTLC * 1000])
  listening.go()
  await listening.done()
  await wallet.sell(30_000_000)
})
