// nextEvent, ackEvent and events(): at least once, never lost, a repeat has the same id.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { openShop } from './support/shop.mjs'
import { until, within } from './support/until.mjs'

let shop, lab

before(async () => {
  shop = await openShop()
  lab = shop.lab
})
after(() => shop?.close())

/** A wallet with one unacked event, and no node that runs. */
async function withEvent(amountMsat = 12_000) {
  const wallet = await shop.wallet()
  const node = wallet.node()
  try {
    await node.startReceiving()
    const { bolt11 } = await node.getInvoice(amountMsat, 'One report', 900)
    const [paid, event] = await Promise.all([lab.pay(bolt11), node.nextEvent(30_000)])
    assert.ok(paid.preimage, paid.error)
    await node.stop()
    return { wallet, event }
  } finally {
    node.destroy()
  }
}

test('nextEvent is null when there is none, at once and after a wait, while running and while idle', async () => {
  const wallet = await shop.wallet()
  const node = wallet.node()
  const waits = async () => {
    assert.equal(await within('nextEvent() at once', node.nextEvent(), 5_000), null)
    const began = performance.now()
    assert.equal(await node.nextEvent(150), null)
    // Not a race: a wait that ends early is the fault looked for. Timers may fire a millisecond before their time.
    assert.ok(performance.now() - began >= 149)
  }
  await waits()
  await node.startReceiving()
  await waits()
  await node.stop()
  await waits()
  node.destroy()
})

test('a waiting nextEvent resolves with the payment, and every call gives the same event until it is acked', async () => {
  const wallet = await shop.wallet()
  const node = wallet.node()
  await node.startReceiving()
  const waiting = node.nextEvent(30_000)
  const { bolt11, paymentHash } = await node.getInvoice(33_000, 'One report', 900)
  const paid = await lab.pay(bolt11)
  assert.ok(paid.preimage, paid.error)
  const event = await waiting
  assert.equal(event.paymentHash, paymentHash)
  for (const wait of [undefined, 0, 10_000]) assert.equal((await node.nextEvent(wait)).id, event.id)

  await assert.rejects(node.ackEvent('never-was'), { code: 'INVALID_ARGUMENT', option: 'eventId' })
  assert.equal((await node.nextEvent()).id, event.id, 'a wrong ack changes nothing')
  await node.ackEvent(event.id)
  assert.equal(await node.nextEvent(), null)
  await assert.rejects(node.ackEvent(event.id), { code: 'INVALID_ARGUMENT', option: 'eventId' })
  node.destroy()
})

test('events come in the order in which they happened, and an ack takes only its own', async () => {
  const wallet = await shop.wallet()
  const node = wallet.node()
  await node.startReceiving()
  const hashes = []
  for (const amountMsat of [1_000, 2_000, 3_000]) {
    const { bolt11, paymentHash } = await node.getInvoice(amountMsat, 'x', 900)
    assert.ok((await lab.pay(bolt11)).preimage)
    hashes.push(paymentHash)
  }
  await node.stop()
  // From the store, by an object that never ran.
  const reader = wallet.node()
  for (const hash of hashes) {
    const event = await reader.nextEvent()
    assert.equal(event.paymentHash, hash)
    await reader.ackEvent(event.id)
  }
  assert.equal(await reader.nextEvent(), null)
  reader.destroy()
  node.destroy()
})

test('events are read and acked from the store while no node runs', async () => {
  const { wallet, event } = await withEvent()
  const since = process.hrtime.bigint()
  const reader = wallet.node()
  assert.equal((await reader.nextEvent()).id, event.id)
  assert.equal((await reader.nextEvent(10_000)).id, event.id)
  await assert.rejects(reader.ackEvent('never-was'), { code: 'INVALID_ARGUMENT', option: 'eventId' })
  await reader.ackEvent(event.id)
  assert.equal(await reader.nextEvent(), null)
  await assert.rejects(reader.ackEvent(event.id), { code: 'INVALID_ARGUMENT', option: 'eventId' })
  reader.destroy()
  const messages = (await lab.get(`/messages?since=${since}`)).filter(({ peer }) => peer === wallet.nodeId)
  assert.deepEqual(messages, [], 'nobody talked to the LSP for it')
})

test('an idle wait hears what another process commits', async () => {
  const wallet = await shop.wallet()
  const reader = wallet.node()
  const waiting = reader.nextEvent(30_000)
  const { bolt11, paymentHash } = await wallet.invoice(19_000)
  wallet.onWebhook = () => wallet.handlers.push(wallet.start('receive', { hold: true }))
  assert.ok((await lab.pay(bolt11)).preimage)
  assert.equal((await waiting).paymentHash, paymentHash)
  reader.destroy()
  wallet.handlers[0].go()
  await wallet.handlers[0].done()
})

test('an event that is out with one handle is not given to another of the same process, until that handle ends', async () => {
  const { wallet, event } = await withEvent()
  const [first, second] = [wallet.node(), wallet.node()]
  assert.equal((await first.nextEvent()).id, event.id)
  assert.equal(await second.nextEvent(), null)
  first.destroy()
  assert.equal((await second.nextEvent(5_000))?.id, event.id)
  second.destroy()
})

test('events({ signal }) ends on abort with ABORTED and the reason as cause, while it waits and before it begins', async () => {
  const wallet = await shop.wallet()
  const node = wallet.node()
  await node.startReceiving()
  const reason = new Error('the customer left')
  const controller = new AbortController()
  const looping = (async () => {
    for await (const event of node.events({ signal: controller.signal })) assert.fail(`an event: ${event.id}`)
  })()
  const aborted = assert.rejects(looping, (error) => error.code === 'ABORTED' && error.cause === reason)
  controller.abort(reason)
  await within('the loop to end', aborted, 5_000)
  const never = node.events({ signal: AbortSignal.abort(reason) })
  await assert.rejects(within('the loop to end', never.next(), 5_000), (error) => error.code === 'ABORTED' && error.cause === reason)
  assert.equal(node.state, 'running', 'only the loop ended')
  node.destroy()
})

test('events() gives an event again when its handling threw or broke out of the loop', async () => {
  const { wallet, event } = await withEvent()
  const node = wallet.node()
  await assert.rejects(async () => {
    for await (const seen of node.events()) throw new Error(`the database is down at ${seen.id}`)
  }, { message: `the database is down at ${event.id}` })
  for await (const seen of node.events()) {
    assert.equal(seen.id, event.id)
    break
  }
  const iterator = node.events()
  assert.equal((await iterator.next()).value.id, event.id)
  const next = iterator.next() // acks, and waits
  await until('the ack', async () => (await node.nextEvent()) === null)
  await iterator.return()
  assert.deepEqual(await next, { done: true, value: undefined })
  node.destroy()
})

test('a nextEvent that waits is ended by its signal, its time-out and destroy()', async () => {
  const wallet = await shop.wallet()
  const node = wallet.node()
  await node.startReceiving()
  await assert.rejects(node.nextEvent(30_000, { signal: AbortSignal.timeout(20) }), { code: 'ABORTED' })
  await assert.rejects(node.nextEvent(30_000, { timeoutMs: 20 }), { code: 'TIMEOUT' })
  const waiting = assert.rejects(node.nextEvent(30_000), { code: 'NODE_DESTROYED' })
  node.destroy()
  await within('the waiting call to end', waiting, 5_000)
})
