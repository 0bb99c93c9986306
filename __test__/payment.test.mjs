// Payments that arrive while nothing runs: the LSP holds them, calls the webhook, and a process of its own receives each.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, test } from 'node:test'
import { MdkNode } from '../index.mjs'
import { startLab } from '../scripts/support/lab.mjs'
import { openShop } from './support/shop.mjs'

let lab
before(async () => (lab = await startLab()))
after(async () => {
  await lab.stop()
})

/** A shop that listens, closed with its test. */
async function shop(t, more) {
  const opened = await (await openShop(lab, more)).listen()
  t.after(() => opened.close())
  return opened
}

/** Asks until `condition` holds. */
async function until(condition, what) {
  for (const deadline = Date.now() + 30_000; ; await new Promise((resolve) => setTimeout(resolve, 10))) {
    const found = await condition()
    if (found) return found
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`)
  }
}

/** Pays one invoice; the preimage must fit, and one handler must have received exactly that. */
async function payOnce(shop, amountMsat, skimmedMsat = 0) {
  const woken = shop.handlers.length
  const { bolt11, paymentHash } = await shop.mint(amountMsat)
  const paid = await lab.pay(bolt11)
  assert.equal(paid.error, undefined)
  assert.equal(createHash('sha256').update(Buffer.from(paid.preimage, 'hex')).digest('hex'), paymentHash)
  const [outcome, ...others] = (await shop.outcomes()).slice(woken)
  assert.equal(others.length, 0, 'one webhook for one payment')
  assert.equal(outcome.error, undefined)
  assert.deepEqual(outcome.hook, { nodeId: shop.nodeId, paymentHash })
  assert.deepEqual([outcome.code, outcome.signal], [0, null])
  const told = outcome.payments.map((p) => [p.paymentHash, p.amountMsat, p.skimmedMsat])
  assert.deepEqual(told, [[paymentHash, amountMsat - skimmedMsat, skimmedMsat]])
  assert.equal(outcome.received.length, 1)
  assert.equal(outcome.wakeBy, null, 'fulfilled and revoked')
  return outcome.payments[0]
}

test('a webhook wakes a process that receives over a new channel, then over the same channel, and tells each payment once', async (t) => {
  const sold = await shop(t)
  const first = await payOnce(sold, 21_000)
  const second = await payOnce(sold, 5_000_000)
  assert.notEqual(first.id, second.id)
  const mine = (await lab.get('/lsp/channels')).filter((channel) => channel.peer === sold.nodeId)
  assert.equal(mine.length, 1, 'the second payment used the first one\'s channel')
})

test('an LSP that keeps 2 % is paid it on the first, second and third payment, each in a fresh process', async (t) => {
  const sold = await shop(t)
  await lab.post('/lsp/options', { skimPpm: 20_000 })
  t.after(() => lab.post('/lsp/options', { skimPpm: 0 }))
  for (let i = 0; i < 3; i++) await payOnce(sold, 1_000_000, 20_000)
})

test('an LSP that would keep more than maxSkimPpm is refused, and an event says so', async (t) => {
  const sold = await shop(t, { maxSkimPpm: 10_000 })
  await lab.post('/lsp/options', { skimPpm: 20_000 })
  t.after(() => lab.post('/lsp/options', { skimPpm: 0 }))
  sold.plans.push({ minMs: 1_000 })
  const { bolt11, paymentHash } = await sold.mint(1_000_000)
  const paid = await lab.pay(bolt11)
  assert.match(paid.error, /./)
  const [outcome] = await sold.outcomes()
  assert.deepEqual(outcome.received, [])
  const { eventType, paymentHash: refused, skimmedMsat } = outcome.refused
  assert.deepEqual([eventType, refused, skimmedMsat], ['SkimRefused', paymentHash, 20_000])
})

test('an invoice without an amount takes what the payer chooses', async (t) => {
  const sold = await shop(t)
  const { bolt11 } = await sold.mint(undefined)
  const paid = await lab.post('/pay', { bolt11, amountMsat: 123_456 })
  assert.match(paid.preimage, /^[0-9a-f]{64}$/)
  const [outcome] = await sold.outcomes()
  assert.equal(outcome.payments[0].amountMsat, 123_456)
})

test('a handler killed after it booted is replaced by another, and the payment is made', async (t) => {
  const sold = await shop(t)
  sold.plans.push({ dieAt: 'booted' })
  const { bolt11, paymentHash } = await sold.mint(100_000)
  const paying = lab.pay(bolt11)
  await until(() => sold.handlers.length === 1, 'the webhook')
  const [killed] = await sold.outcomes()
  assert.equal(killed.signal, 'SIGKILL')
  const second = await sold.wake()
  assert.match((await paying).preimage, /./)
  assert.deepEqual(second.payments.map((p) => p.paymentHash), [paymentHash])
})

test('a payment that was told and not acked is told again with the same id, and never after the ack', async (t) => {
  const sold = await shop(t)
  sold.plans.push({ dieAt: 'told' })
  const { bolt11 } = await sold.mint(100_000)
  const paying = lab.pay(bolt11)
  await until(() => sold.handlers.length === 1, 'the webhook')
  const [killed] = await sold.outcomes()
  assert.equal(killed.signal, 'SIGKILL')
  const again = await sold.wake({ minMs: 500 })
  assert.deepEqual(again.payments.map((p) => p.id), killed.payments.map((p) => p.id))
  assert.match((await paying).preimage, /./, 'killed between claiming and fulfilling, or after: the payer has it')
  for (let i = 0; i < 2; i++) {
    const later = await sold.wake({ minMs: 200 })
    assert.deepEqual(later.payments, [], 'LDK repeats PaymentClaimed at load; the wallet does not')
  }
})

test('a payment with the exact CLTV of its invoice survives two blocks mined before the wake', async (t) => {
  const sold = await openShop(lab) // no webhook: nothing wakes
  t.after(() => sold.close())
  const { bolt11, paymentHash } = await sold.mint(100_000)
  const paying = lab.post('/pay', { bolt11, strictCltv: true })
  await until(async () => (await lab.get('/lsp/held')).some((held) => held.paymentHash === paymentHash), 'the held HTLC')
  await lab.post('/mine', { blocks: 2 })
  const outcome = await sold.wake()
  assert.deepEqual(outcome.payments.map((p) => p.paymentHash), [paymentHash])
  assert.match((await paying).preimage, /./)
})

test('three payments at once wake three processes: all are paid, and whoever finds the wallet taken says by whom', async (t) => {
  const sold = await shop(t, { lease: { attempts: 1 } })
  const invoices = await Promise.all([1, 2, 3].map((i) => sold.mint(i * 100_000)))
  const paid = await Promise.all(invoices.map(({ bolt11 }) => lab.pay(bolt11)))
  for (const { error } of paid) assert.equal(error, undefined)
  const outcomes = await sold.outcomes()
  const received = outcomes.flatMap((outcome) => outcome.payments.map((p) => p.paymentHash))
  assert.deepEqual(new Set(received), new Set(invoices.map((invoice) => invoice.paymentHash)))
  for (const { error } of outcomes) {
    if (error === undefined) continue
    assert.equal(error.code, 'WALLET_LOCKED')
    assert.equal(error.retryable, true)
  }
})

test('mint, destroy and webhook in one and the same process', async (t) => {
  const sold = await openShop(lab)
  t.after(() => sold.close())
  const { bolt11, paymentHash } = await sold.mint(300_000) // mints and destroys in this process
  const paying = lab.pay(bolt11)
  await until(async () => (await lab.get('/lsp/held')).some((held) => held.paymentHash === paymentHash), 'the held HTLC')
  const node = new MdkNode(sold.options)
  t.after(() => node.destroy())
  const received = await node.receivePayment(async () => {})
  assert.deepEqual(received.map((p) => p.paymentHash), [paymentHash])
  assert.match((await paying).preimage, /./)
})

test('a checkout page: the node runs while a human pays, no webhook is needed, and the balance is exact to the millisatoshi', async (t) => {
  const sold = await openShop(lab)
  t.after(() => sold.close())
  const node = new MdkNode(sold.options)
  t.after(() => node.destroy())
  await node.startReceiving()
  assert.equal(node.state, 'running')
  const amounts = [30_001, 2_000_003, 7]
  const invoices = []
  for (const amount of amounts) invoices.push(await node.getInvoice(amount, 'checkout', 600))
  const paying = (async () => {
    for (const { bolt11 } of invoices.slice(0, 2)) assert.equal((await lab.pay(bolt11)).error, undefined)
  })()
  const seen = []
  for await (const event of node.events()) {
    seen.push([event.eventType, event.amountMsat])
    if (seen.length === 2) break
  }
  await paying
  assert.deepEqual(seen, [['Received', 30_001], ['Received', 2_000_003]])
  const sum = 30_001 + 2_000_003
  assert.equal((await node.getBalance()).lightningMsat, sum)

  // Another object reads the last commit without the lease, while this one runs.
  const reader = new MdkNode(sold.options)
  t.after(() => reader.destroy())
  await until(async () => (await reader.getBalance()).lightningMsat === sum, 'the committed balance')
  const [channel, ...others] = await reader.listChannels()
  assert.deepEqual(others, [])
  assert.equal(channel.counterpartyNodeId, lab.info.lspNodeId)
  assert.equal(reader.state, 'idle')
  await node.stop()
  assert.equal(node.state, 'idle')
})

test('an event stays until it is acked, also for another object of the wallet, and an unknown id is refused', async (t) => {
  const sold = await openShop(lab)
  t.after(() => sold.close())
  const node = new MdkNode(sold.options)
  t.after(() => node.destroy())
  await node.startReceiving()
  assert.equal(await node.nextEvent(), null)
  assert.equal(await node.nextEvent(20), null)
  const { bolt11 } = await node.getInvoice(1_000, 'one', 600)
  const paying = lab.pay(bolt11)
  const event = await node.nextEvent(20_000)
  await paying
  assert.deepEqual({ ...(await node.nextEvent()), wakeBy: undefined }, { ...event, wakeBy: undefined })
  await node.stop()
  const idle = new MdkNode(sold.options)
  t.after(() => idle.destroy())
  assert.equal((await idle.nextEvent()).id, event.id, 'read from the store, without the lease')
  await assert.rejects(idle.ackEvent('nothing'), { code: 'INVALID_ARGUMENT', option: 'eventId' })
  await idle.ackEvent(event.id)
  assert.equal(await idle.nextEvent(), null)
  await node.startReceiving()
  assert.equal(await node.nextEvent(), null, 'gone for good')
})

test('a learnt route is read from the store by the next object, without a word to the LSP', async (t) => {
  const sold = await openShop(lab)
  t.after(() => sold.close())
  const { jitRoute, ...unrouted } = sold.options
  const since = process.hrtime.bigint()
  const node = new MdkNode(unrouted)
  t.after(() => node.destroy())
  assert.deepEqual(await node.getJitRoute(), jitRoute)
  const invoice = await new MdkNode(unrouted).getInvoice(1_000, 'x', 60)
  assert.equal(invoice.scid, jitRoute.scid)
  const heard = (await lab.get(`/messages?since=${since}`)).filter((message) => message.peer === sold.nodeId)
  assert.deepEqual(heard, [])
})
