// A shop that stays for a while: one process that mints, receives and is looked at from beside; and the route it mints with.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { footprint, locksHeld } from '../scripts/support/footprint.mjs'
import { openShop } from './support/shop.mjs'
import { until, within } from './support/until.mjs'

/** LDK keeps 1 % of a channel, at least 1,000 satoshi, unspendable. */
const RESERVE_MSAT = 1_000_000

let shop, lab

before(async () => {
  shop = await openShop()
  lab = shop.lab
})
after(() => shop?.close())

/** The LSP's messages with a wallet since `ns` of the monotonic clock. */
async function messagesWith(wallet, ns) {
  return (await lab.get(`/messages?since=${ns}`)).filter(({ peer }) => peer === wallet.nodeId)
}

function gone(wallet) {
  return until('the LSP to see the wallet leave', async () => !(await lab.get('/lsp/peers')).includes(wallet.nodeId))
}

test('mint, destroy and webhook work in one and the same process, again and again, and leave nothing in it', async () => {
  const wallet = await shop.wallet()
  await gone(wallet)
  let at
  for (const amountMsat of [25_000, 26_000, 27_000]) {
    const minting = wallet.node()
    const { bolt11, paymentHash } = await minting.getInvoice(amountMsat, 'One report', 900)
    minting.destroy()
    let woken
    wallet.onWebhook = () => {
      const node = wallet.node()
      woken = node.receivePayment(() => {}).finally(() => node.destroy())
    }
    const paid = await lab.pay(bolt11)
    assert.ok(paid.preimage, paid.error)
    const payments = await within('the webhook handler', woken)
    assert.deepEqual(payments.map((payment) => [payment.paymentHash, payment.amountMsat]), [[paymentHash, amountMsat]])
    const left = footprint()
    if (left === null) continue
    // Sockets are also this test's own, of its HTTP client and server.
    at ??= left.threads
    assert.equal(left.threads, at)
    assert.equal(locksHeld(), 0)
  }
})

test('a checkout that runs while the customer pays hears of it through events(), and no webhook is sent', async () => {
  const wallet = await shop.wallet()
  await gone(wallet)
  const node = wallet.node()
  const told = []
  try {
    await node.startReceiving()
    assert.equal(node.state, 'running')
    const asked = new Map()
    for (const amountMsat of [15_000, 16_000, 17_000]) {
      const { bolt11, paymentHash } = await node.getInvoice(amountMsat, 'Checkout', 900)
      asked.set(paymentHash, { amountMsat, bolt11 })
    }
    const payLater = async () => {
      for (const { bolt11 } of asked.values()) {
        const paid = await lab.pay(bolt11)
        assert.ok(paid.preimage, paid.error)
      }
    }
    const paying = payLater()
    for await (const event of node.events({ signal: AbortSignal.timeout(30_000) })) {
      assert.equal(event.eventType, 'Received')
      assert.equal(event.amountMsat, asked.get(event.paymentHash)?.amountMsat)
      told.push(event)
      if (told.length === 3) {
        await node.ackEvent(event.id)
        break
      }
    }
    await paying
    assert.equal(new Set(told.map(({ id }) => id)).size, 3)
    assert.equal(await node.nextEvent(), null)
  } finally {
    node.destroy()
  }
  assert.equal(wallet.woken, 0)
  assert.deepEqual(node.lastDestroy.unfinished, [])
  const again = wallet.node()
  assert.equal(await again.nextEvent(), null, 'all three were acked')
  again.destroy()
})

test('when start() and stop() have resolved, the state says so, however often', async () => {
  const wallet = await shop.wallet()
  const node = wallet.node()
  for (let i = 0; i < 30; i++) {
    await node.start()
    assert.equal(node.state, 'running', `start no. ${i + 1}`)
    await node.stop()
    assert.equal(node.state, 'idle', `stop no. ${i + 1}`)
  }
  node.destroy()
  assert.equal(node.state, 'destroyed')
})

test('when start() has rejected, the state is idle', async () => {
  const wallet = await shop.wallet()
  const nowhere = wallet.node({ esploraUrl: 'http://127.0.0.1:1' })
  for (let i = 0; i < 30; i++) {
    await assert.rejects(nowhere.start(), { code: 'CHAIN_UNAVAILABLE' })
    assert.equal(nowhere.state, 'idle', `failed start no. ${i + 1}`)
  }
  nowhere.destroy()
})

test('balance and channels are exact to the millisatoshi after each payment, also as seen by the LSP', async () => {
  const wallet = await shop.wallet()
  const node = wallet.node()
  assert.deepEqual(await node.getBalance(), { lightningMsat: 0, spendableMsat: 0, onchainSats: 0, pendingCloseSats: 0 })
  assert.deepEqual(await node.listChannels(), [])
  let sum = 0
  // Below the reserve, across it, and beyond.
  for (const amountMsat of [1_001, 999_000, 5_555_555, 1]) {
    await wallet.sell(amountMsat)
    sum += amountMsat
    const { spendableMsat, ...balance } = await node.getBalance()
    assert.deepEqual(balance, { lightningMsat: sum, onchainSats: 0, pendingCloseSats: 0 })
    assert.ok(spendableMsat === 0 || spendableMsat === sum - RESERVE_MSAT, `spendable ${spendableMsat} of ${sum}`)
    const [channel, ...more] = await node.listChannels()
    const [theirs] = await wallet.channels()
    assert.equal(more.length, 0)
    assert.equal(channel.outboundMsat, Math.max(0, sum - RESERVE_MSAT))
    assert.equal(channel.outboundMsat, theirs.inMsat)
    assert.equal(channel.capacitySats, theirs.sats)
    assert.equal(channel.channelId, theirs.channelId)
    assert.equal(channel.fundingTxid, theirs.fundingTxid)
    assert.equal(channel.counterpartyNodeId, lab.info.lspNodeId)
    assert.equal(channel.pendingHtlcs, 0)
    assert.equal(channel.isReady, true)
  }
  node.destroy()
})

test('balance, channels and events are read without a lease while another process holds the wallet', async () => {
  const wallet = await shop.wallet()
  await wallet.sell(3_000_000)
  const { bolt11, paymentHash } = await wallet.invoice(44_000)
  wallet.onWebhook = undefined
  const holder = wallet.start('listen')
  await holder.first('running')
  assert.ok((await lab.pay(bolt11)).preimage)
  const { event } = await holder.first('event')
  assert.equal(event.paymentHash, paymentHash)
  // Settled: the holder has committed the last revocation and waits.
  await until('the HTLC to be gone', async () => (await wallet.channels())[0].pendingHtlcs === 0)

  const reader = wallet.node({ lease: { attempts: 1 } })
  const balance = await until('the last commit', async () => {
    const [channel] = await reader.listChannels()
    return channel.pendingHtlcs === 0 && reader.getBalance()
  })
  assert.equal(balance.lightningMsat, 3_044_000)
  assert.equal(balance.spendableMsat, 3_044_000 - RESERVE_MSAT, 'the holder is connected')
  const [channel] = await reader.listChannels()
  assert.equal(channel.outboundMsat, 3_044_000 - RESERVE_MSAT)
  assert.equal(channel.isUsable, true)
  assert.equal((await reader.nextEvent()).id, event.id)
  // What needs the lease is refused, and the holder goes on.
  await assert.rejects(reader.start(), ({ code, holder: by }) => code === 'WALLET_LOCKED' && by?.pid === holder.pid)
  reader.destroy()
  holder.go()
  await holder.done()
  assert.equal(holder.all('stopped')[0].balance.lightningMsat, 3_044_000)
})

test('a JIT route is learnt once: a second node reads it from the store and says nothing to the LSP', async () => {
  const wallet = await shop.wallet({ routed: false })
  const first = wallet.node()
  const route = await first.getJitRoute()
  assert.match(route.scid, /^\d+x\d+x\d+$/)
  assert.ok(route.cltvExpiryDelta > 0)
  await first.stop()
  await gone(wallet)

  const since = process.hrtime.bigint()
  assert.deepEqual(await first.getJitRoute(), route)
  first.destroy()
  const second = wallet.node()
  assert.deepEqual(await second.getJitRoute(), route)
  assert.equal((await second.getInvoice(21_000, 'One report', 900)).scid, route.scid)
  assert.equal(second.state, 'idle')
  second.destroy()
  assert.deepEqual(await messagesWith(wallet, since), [])
  assert.equal((await lab.get('/lsp/peers')).includes(wallet.nodeId), false)
})

test('getInvoice without a JIT route learns it, stores it and mints, and the session that it took ends by itself', async () => {
  const wallet = await shop.wallet({ routed: false })
  const node = wallet.node()
  const { bolt11, scid, paymentHash } = await node.getInvoice(52_000, 'One report', 900)
  await gone(wallet)
  await until('the node to be idle', () => node.state === 'idle')

  const since = process.hrtime.bigint()
  const other = wallet.node()
  const route = await other.getJitRoute()
  assert.equal(route.scid, scid)
  assert.equal((await node.getInvoice(1_000, 'x', 900)).scid, scid)
  other.destroy()
  node.destroy()
  assert.deepEqual(await messagesWith(wallet, since), [])

  wallet.serveWebhooks()
  const paid = await lab.pay(bolt11)
  assert.ok(paid.preimage, paid.error)
  await wallet.handlers[0].done()
  assert.equal(wallet.handlers[0].all('received')[0].payment.paymentHash, paymentHash)
})

test('calls for a route at the same time share one question to the LSP', async () => {
  const wallet = await shop.wallet({ routed: false })
  const since = process.hrtime.bigint()
  const node = wallet.node()
  const [route, fixed, open] = await Promise.all([
    node.getJitRoute(),
    node.getInvoice(1_000, 'x', 900),
    node.getVariableAmountJitInvoice('x', 900),
  ])
  assert.deepEqual([fixed.scid, open.scid], [route.scid, route.scid])
  await node.stop()
  node.destroy()
  const questions = (await messagesWith(wallet, since)).filter(({ type, direction }) => type === 'lsps' && direction === 'got')
  assert.ok(questions.length <= 2, `list_protocols and register_node once each, not ${questions.length} messages`)
})
