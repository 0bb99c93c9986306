// Payments that must be refused, and those at the edge of it that must not: an invoice that is paid again, wrong amounts, expired
// invoices, and too few blocks left. The payer of a refused one has its money back, nothing is told and nothing is counted, and
// the next good payment arrives in the same channel.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { withAmount } from './support/forge.mjs'
import { PATIENCE_MS, until } from './support/life.mjs'
import { mintedAgo, noPast, overlooked } from './support/past.mjs'
import { lying } from './support/services.mjs'
import { assertProof, openShop } from './support/shop.mjs'
import { besieged } from './support/siege.mjs'

/** What a wallet of `besieged` begins with. */
const WARM_MSAT = 500_000
/** The payer counts from the block after the best one: a payment starts with these many blocks. */
const BLOCKS_AT_FIRST = 145
/** With fewer a payment is not claimed. */
const BLOCKS_TO_CLAIM = 72

let shop, lab
before(async () => {
  shop = await openShop(['--hold-ms', '600000'])
  lab = shop.lab
})
after(() => shop?.close())

const pay = (bolt11, more = {}) => lab.post('/pay', { bolt11, again: true, timeoutMs: 2 * PATIENCE_MS, ...more })

/** The payer is told by the recipient, and has its money back. */
function assertRefused({ preimage, error }) {
  assert.equal(preimage, undefined, 'the payer has the proof of a payment that was refused')
  assert.match(error, /failed on its way|rejected/)
}

/** All events that wait, acked. */
async function drained(node) {
  const events = []
  for (let event; (event = await node.nextEvent()) !== null; events.push(event)) await node.ackEvent(event.id)
  return events.map(({ eventType, paymentHash, amountMsat }) => [eventType, paymentHash, amountMsat])
}

/** Runs `body` with a receiving node; what it told, acked. */
const receiving = (wallet, body) =>
  wallet.live(async (node) => {
    await node.startReceiving()
    await body(node)
    const events = await drained(node)
    await node.stop()
    return events
  })

/** The wallet owns `msat`, all of it in one channel with nothing pending, and can be paid. */
async function assertOwns(wallet, msat) {
  const { balance, channels, event } = await wallet.committed()
  assert.deepEqual(balance, { ...balance, lightningMsat: msat, pendingCloseSats: 0, onchainSats: 0 })
  assert.deepEqual(channels.map(({ pendingHtlcs }) => pendingHtlcs), [0])
  assert.equal(event, null)
  await wallet.isPayable()
}

test('an invoice that was paid is refused in the same session and in later ones, whatever was paid in between', async (t) => {
  const wallet = await besieged(t, lab)
  const invoices = []
  const first = await receiving(wallet, async (node) => {
    for (let i = 0; i < 3; i++) {
      const invoice = await node.getInvoice(21_000, 'x', 900)
      invoices.push(invoice)
      assertProof(await pay(invoice.bolt11), invoice.paymentHash)
      assertRefused(await pay(invoice.bolt11))
    }
    for (const { bolt11 } of invoices) assertRefused(await pay(bolt11))
  })
  assert.deepEqual(first, invoices.map(({ paymentHash }) => ['Received', paymentHash, 21_000]))
  for (const { bolt11 } of invoices) {
    assert.deepEqual(await receiving(wallet, async () => assertRefused(await pay(bolt11))), [])
  }
  await assertOwns(wallet, WARM_MSAT + 3 * 21_000)
})

test('an invoice without an amount is paid once, too, and takes what the payer gives', async (t) => {
  const wallet = await besieged(t, lab)
  const { bolt11, paymentHash } = await wallet.node().getVariableAmountJitInvoice('x', 900)
  const told = await receiving(wallet, async () => {
    assertProof(await pay(bolt11, { amountMsat: 77_777 }), paymentHash)
    for (const amountMsat of [77_777, 1_000, 5_000_000]) assertRefused(await pay(bolt11, { amountMsat }))
  })
  assert.deepEqual(told, [['Received', paymentHash, 77_777]])
  await assertOwns(wallet, WARM_MSAT + 77_777)
})

test('an invoice whose payment was told to a handler that was killed is refused', async () => {
  const wallet = await shop.wallet()
  const { paymentHash, paying, bolt11 } = await heldPayment(wallet, 21_000)
  const killed = wallet.start('receive', { hold: true })
  await killed.first('received')
  await killed.kill()
  const again = lab.post('/pay', { bolt11, again: true })
  // Whether the first was fulfilled or not, and wherever the second waits.
  const second = wallet.start('receive', {})
  await second.done()
  assertProof(await paying, paymentHash)
  const { payments } = await second.first('payments')
  assert.deepEqual(payments.map((payment) => [payment.paymentHash, payment.amountMsat]), [[paymentHash, 21_000]], 'told once more, not twice')
  const rest = wallet.start('receive', {})
  await rest.done()
  assertRefused(await again)
  const node = wallet.node()
  assert.equal((await node.getBalance()).lightningMsat, 21_000)
  node.destroy()
})

/** A payment that the LSP holds, with its invoice. */
async function heldPayment(wallet, amountMsat) {
  wallet.onWebhook = undefined
  const { bolt11, paymentHash } = await wallet.invoice(amountMsat)
  const paying = lab.post('/pay', { bolt11 })
  await wallet.held()
  return { bolt11, paymentHash, paying }
}

test('of two payments of one invoice that wait at the LSP one is received, and the payer of the other has its money back', async () => {
  const wallet = await shop.wallet()
  const { bolt11, paymentHash } = await wallet.invoice(21_000)
  const both = [0, 1].map(() => lab.post('/pay', { bolt11, again: true }))
  await wallet.held(2)
  const handler = wallet.start('receive', {})
  await handler.done()
  const outcomes = await Promise.all(both)
  const paid = outcomes.filter(({ preimage }) => preimage)
  assert.equal(paid.length, 1, JSON.stringify(outcomes))
  assertProof(paid[0], paymentHash)
  const { payments } = await handler.first('payments')
  assert.deepEqual(payments.map(({ amountMsat }) => amountMsat), [21_000])
  const node = wallet.node()
  assert.equal((await node.getBalance()).lightningMsat, 21_000)
  node.destroy()
})

test('a payment in parts is one payment, and its parts once more are refused', async (t) => {
  await lab.post('/payer/channels', {})
  const wallet = await besieged(t, lab)
  const invoices = []
  const parts = { maxPartMsat: 12_000 }
  const told = await receiving(wallet, async (node) => {
    const { bolt11, paymentHash } = await node.getInvoice(21_000, 'x', 900)
    invoices.push({ bolt11, paymentHash })
    assertProof(await pay(bolt11, parts), paymentHash)
    assertRefused(await pay(bolt11, parts))
    assertRefused(await pay(bolt11))
  })
  assert.deepEqual(told, invoices.map(({ paymentHash }) => ['Received', paymentHash, 21_000]))
  assert.deepEqual(await receiving(wallet, async () => assertRefused(await pay(invoices[0].bolt11, parts))), [])
  await assertOwns(wallet, WARM_MSAT + 21_000)
})

// Of BOLT 11: 10p is a millisatoshi, 10n a satoshi.
for (const { paid, msat, good } of [
  { paid: '209990p', msat: 20_999, good: false },
  { paid: '210010p', msat: 21_001, good: true },
  { paid: '420n', msat: 42_000, good: true },
  { paid: '420010p', msat: 42_001, good: false },
  { paid: '100u', msat: 10_000_000, good: false },
]) {
  test(`${msat} msat for an invoice of 21,000 are ${good ? 'received as they are' : 'refused, and it can be paid properly afterwards'}`, async (t) => {
    const wallet = await besieged(t, lab)
    let received = 0
    await receiving(wallet, async (node) => {
      const { bolt11, paymentHash } = await node.getInvoice(21_000, 'x', 900)
      const other = withAmount(bolt11, paid, wallet.options.mnemonic)
      if (good) {
        assertProof(await pay(other), paymentHash)
        received = msat
      } else {
        assertRefused(await pay(other))
        assert.equal(await node.nextEvent(), null)
        assertProof(await pay(bolt11), paymentHash)
        received = 21_000
      }
      assert.deepEqual(await drained(node), [['Received', paymentHash, received]])
    })
    await assertOwns(wallet, WARM_MSAT + received)
  })
}

test('an invoice that expired by the time of the last block, and two hours more, is refused', { skip: noPast }, async (t) => {
  const wallet = await besieged(t, lab)
  await lab.post('/mine', { blocks: 1 })
  const mint = { amountMsat: 21_000, expirySecs: 60 }
  const expired = overlooked(mintedAgo(t, wallet.options, { ...mint, agoSecs: 3 * 3_600 }), wallet.options.mnemonic)
  assert.deepEqual(await receiving(wallet, async () => assertRefused(await pay(expired))), [])
  // The grace is LDK's: block times may be two hours ahead, and a payment that was in time must never fail for that.
  const late = overlooked(mintedAgo(t, wallet.options, { ...mint, agoSecs: 3_600 }), wallet.options.mnemonic)
  const told = await receiving(wallet, async () => assert.ok((await pay(late)).preimage))
  assert.deepEqual(told.map(([type, , msat]) => [type, msat]), [['Received', 21_000]])
  await assertOwns(wallet, WARM_MSAT + 21_000)
})

// What is mined while the LSP holds the payment, and how far the wallet's Esplora lags behind. What the wallet sees decides;
// by the true height there are then still more blocks than LDK needs to claim on the chain.
for (const { mined, lag, good } of [
  { mined: 1, lag: 0, good: true },
  { mined: BLOCKS_AT_FIRST - BLOCKS_TO_CLAIM, lag: 0, good: true },
  { mined: BLOCKS_AT_FIRST - BLOCKS_TO_CLAIM + 1, lag: 0, good: false },
  { mined: 1, lag: 6, good: true },
  { mined: BLOCKS_AT_FIRST - BLOCKS_TO_CLAIM + 1, lag: 1, good: true },
  { mined: BLOCKS_AT_FIRST - BLOCKS_TO_CLAIM + 6, lag: 6, good: true },
  { mined: BLOCKS_AT_FIRST - BLOCKS_TO_CLAIM + 7, lag: 6, good: false },
]) {
  const seen = `${mined} blocks while it is held, of which Esplora does not know ${lag}`
  test(`${seen}: a payment is ${good ? 'received' : 'not claimed'}`, async (t) => {
    const wallet = await besieged(t, lab)
    await receiving(wallet, async () => {})
    const { bolt11, paymentHash } = await wallet.node().getInvoice(21_000, 'x', 900)
    const paying = pay(bolt11, { strictCltv: true })
    await held(wallet)
    await lab.post('/mine', { blocks: mined })
    const told = await lying(lab, { lie: lag > 0 ? 'staleTip' : null, ...(lag > 0 && { blocks: lag }) }, () =>
      receiving(wallet, async () => {
        const outcome = await paying
        if (good) assertProof(outcome, paymentHash)
        else assertRefused(outcome)
      }),
    )
    assert.deepEqual(told, good ? [['Received', paymentHash, 21_000]] : [])
    await assertOwns(wallet, WARM_MSAT + (good ? 21_000 : 0))
  })
}

/** The LSP waits for the wallet. */
const held = (wallet) =>
  until(async () => (await lab.get('/lsp/held')).some(({ nodeId }) => nodeId === wallet.nodeId), 'the LSP to hold the payment')
