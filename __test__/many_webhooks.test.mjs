// One wake for many webhooks: an LSP calls once per HTLC, and a process may serve them all at once.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { footprint } from '../scripts/support/footprint.mjs'
import { openShop } from './support/shop.mjs'
import { until } from './support/until.mjs'

let shop
before(async () => {
  shop = await openShop()
})
after(() => shop.close())

/** Many nodes of one wallet that all call receivePayment in one turn of the event loop, as a burst of requests does. */
function burst(wallet, count, onPayment, options) {
  const nodes = Array.from({ length: count }, () => wallet.node())
  const calls = nodes.map((node) => node.receivePayment(onPayment, options))
  return { nodes, calls }
}

test('a thousand webhooks at once for one wallet are one wake', async () => {
  const wallet = await shop.wallet()
  const { paymentHash, paying } = await wallet.payUnattended(21_000)
  await shop.lab.post('/stats/reset')
  const before = footprint()

  const told = []
  const { nodes, calls } = burst(wallet, 1_000, (payment) => told.push(payment.paymentHash))
  const received = await Promise.all(calls)

  assert.ok((await paying).preimage)
  assert.deepEqual(told, [paymentHash])
  assert.deepEqual(received.flat().map((payment) => payment.paymentHash), [paymentHash])
  assert.equal(new Set(nodes.map((node) => node.stats().epoch)).size, 1, 'all of them shared one session')
  assert.equal((await shop.lab.get('/stats')).lsp.connections.length, 1)
  for (const node of nodes) node.destroy()
  await until('the threads to be gone', async () => before === null || footprint().threads === before.threads)
})

test('each part of a payment calls, and all of them are one wake and one payment', async () => {
  await shop.lab.post('/payer/channels')
  const wallet = await shop.wallet()
  for (const kind of ['cold', 'warm']) {
    await shop.lab.post('/stats/reset')
    const before = wallet.woken
    const { bolt11, paymentHash } = await wallet.invoice(30_000_000)
    const paying = shop.lab.post('/pay', { bolt11, maxPartMsat: 20_000_000 })
    await until(`${kind}: one webhook for each part`, async () => wallet.woken === before + 2)
    const told = []
    const { nodes, calls } = burst(wallet, 2, (payment) => told.push([payment.paymentHash, payment.amountMsat]))
    const received = (await Promise.all(calls)).flat()
    assert.ok((await paying).preimage)
    assert.deepEqual(told, [[paymentHash, 30_000_000]], kind)
    assert.equal(received.length, 1, kind)
    assert.equal((await shop.lab.get('/stats')).lsp.connections.length, 1, kind)
    for (const node of nodes) node.destroy()
  }
})

test('webhooks that come in the middle of a wake join it, and their payments are received', async () => {
  const wallet = await shop.wallet()
  const first = await wallet.payUnattended(10_000)
  const second = await wallet.invoice(11_000)
  const told = []
  let paid
  const leader = wallet.node()
  const later = wallet.node()
  let joined
  const received = await leader.receivePayment(async (payment) => {
    told.push(payment.paymentHash)
    if (paid !== undefined) return
    // The LSP sees us connected: no webhook comes for it, but one may be late.
    paid = shop.lab.pay(second.bolt11)
    joined = later.receivePayment(() => assert.fail('the leader hands everything over'))
    assert.ok((await paid).preimage)
  })
  assert.deepEqual(received.map((payment) => payment.paymentHash), [first.paymentHash, second.paymentHash])
  assert.deepEqual(told, [first.paymentHash, second.paymentHash])
  assert.deepEqual(await joined, [])
  assert.equal(later.stats().epoch, leader.stats().epoch)
  leader.destroy()
  later.destroy()
})

test('when the first call ends for reasons of its own, another one receives', async () => {
  const wallet = await shop.wallet()
  for (const reason of ['its onPayment throws', 'it is aborted', 'it is destroyed']) {
    const { paymentHash, paying } = await wallet.payUnattended(12_000)
    const controller = new AbortController()
    const leader = wallet.node()
    const leading = leader.receivePayment(
      () => {
        if (reason === 'it is aborted') controller.abort(new Error(reason))
        else if (reason === 'it is destroyed') leader.destroy()
        throw new Error(reason)
      },
      { signal: controller.signal },
    )
    const told = []
    const { nodes, calls } = burst(wallet, 5, (payment) => told.push(payment.paymentHash))
    await assert.rejects(leading, new Error(reason))
    const received = await Promise.all(calls)
    assert.deepEqual(told, [paymentHash], reason)
    assert.equal(received.flat().length, 1, reason)
    assert.ok((await paying).preimage)
    for (const node of [leader, ...nodes]) node.destroy()
  }
})

test('a held wallet is WALLET_LOCKED for all of them at once', async () => {
  const wallet = await shop.wallet({ options: { lease: { attempts: 1 } } })
  const holder = wallet.start('listen')
  await holder.first('running')
  const { nodes, calls } = burst(wallet, 100, () => assert.fail('nothing comes'))
  for (const { reason } of await Promise.allSettled(calls)) {
    assert.equal(reason.code, 'WALLET_LOCKED')
    assert.equal(reason.holder.pid, holder.pid)
  }
  for (const node of nodes) node.destroy()
  await holder.kill()
})

test('a webhook with nothing behind it costs one claim and no commit, and says so', async () => {
  const wallet = await shop.wallet()
  await wallet.sell(21_000)
  const node = wallet.node()
  await node.start()
  const { epoch } = node.stats()
  await node.stop()
  await shop.lab.post('/stats/reset')
  assert.deepEqual(await node.receivePayment(() => assert.fail('nothing comes')), [])
  const stats = node.stats()
  assert.equal(stats.epoch, epoch + 1, 'one claim')
  assert.equal(stats.commits, 0, 'nothing changed')
  assert.equal(stats.lspConnections, 1)
  assert.equal(stats.lspRefusals, 0)
  assert.ok(stats.phases.endedMs >= stats.phases.connectedMs)
  assert.equal(stats.phases.receivedMs, undefined)
  node.destroy()
})
