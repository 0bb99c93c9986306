// The books of a wallet whose handlers are killed: what the payer paid, what handlers were told, what the wallet's store holds and
// what the LSP thinks. In the end all four must say the same.

import assert from 'node:assert/strict'
import { esplora } from './chain.mjs'
import { assertNothingMore, assertProof } from './shop.mjs'
import { ledgerOf } from './store.mjs'
import { until, within } from './until.mjs'

/** A payment waits at the LSP for as long as a handler's deaths take. */
export const LAB_ARGS = ['--hold-ms', '600000']
/** Longer than any of these tests: a payer that gave up would know less than it has. */
const PATIENCE_MS = 600_000
/** How often a handler that nobody kills may be needed until nothing is left to receive. */
const ROUNDS = 5

export class Books {
  /** Payment hash → what the payer knows. */
  payments = new Map()
  /** Payment hash → the ids under which it was told. */
  told = new Map()

  constructor(wallet) {
    this.wallet = wallet
  }

  /** A payment, on its way to the LSP. */
  async pay(amountMsat) {
    const { bolt11, paymentHash } = await this.wallet.invoice(amountMsat)
    const payment = { paymentHash, amountMsat }
    payment.paying = this.wallet.lab.post('/pay', { bolt11, timeoutMs: PATIENCE_MS }).then((answer) => (payment.answer = answer))
    payment.paying.catch(() => {}) // of a test that failed before it looked
    this.payments.set(paymentHash, payment)
    return payment
  }

  /** The same, and the LSP has it: or somebody else has, who runs already. */
  async payToLsp(amountMsat) {
    const payment = await this.pay(amountMsat)
    await until(`the LSP to hold ${payment.paymentHash}`, async () => {
      const held = await this.wallet.lab.get('/lsp/held')
      return payment.answer || held.some(({ paymentHash }) => paymentHash === payment.paymentHash)
    })
    return payment
  }

  /** Payments whose payer has no answer. */
  open() {
    return [...this.payments.values()].filter(({ answer }) => answer === undefined)
  }

  /** Takes down what a handler was told. */
  hear(handler) {
    for (const { payment } of handler.all('received')) {
      if (payment === null) continue
      assert.equal(payment.eventType, 'Received')
      const ids = this.told.get(payment.paymentHash) ?? new Set()
      this.told.set(payment.paymentHash, ids.add(payment.id))
    }
  }

  /** Handlers that nobody kills, until every payer has an answer and nothing is left to be told. */
  async settle() {
    for (let round = 0; round === 0 || this.open().length > 0; round++) {
      assert.ok(round < ROUNDS, `${this.open().length} payment(s) without an answer after ${ROUNDS} whole handlers`)
      const handler = this.wallet.start('receive')
      await handler.done()
      assert.deepEqual(handler.all('failed'), [])
      this.hear(handler)
    }
    await assertNothingMore(this.wallet, 1)
  }

  /** What the payers have the preimage of; the others were refused. */
  async paid() {
    const paid = []
    for (const payment of this.payments.values()) {
      const answer = await within('the payer', payment.paying)
      if (answer.preimage === undefined) continue
      assertProof(answer, payment.paymentHash)
      paid.push(payment)
    }
    return paid
  }

  /** Compares all of them. Resolves with what was paid and what was not. */
  async audit() {
    const { wallet } = this
    const paid = await this.paid()
    const total = paid.reduce((sum, { amountMsat }) => sum + amountMsat, 0)

    const ledger = await ledgerOf(wallet)
    const byHash = (a, b) => (a[0] < b[0] ? -1 : 1)
    assert.deepEqual(
      ledger.map(({ paymentHash, amountMsat }) => [paymentHash, amountMsat]).sort(byHash),
      paid.map(({ paymentHash, amountMsat }) => [paymentHash, amountMsat]).sort(byHash),
      'the ledger holds what the payer has the preimage of, and nothing else',
    )
    assert.deepEqual(
      [...this.told].map(([paymentHash, ids]) => [paymentHash, [...ids]]).sort(byHash),
      ledger.map(({ paymentHash, id }) => [paymentHash, [id]]).sort(byHash),
      'each was told, under one id',
    )

    await until('the last HTLC to leave the channels', async () => (await wallet.channels()).every(({ pendingHtlcs }) => pendingHtlcs === 0))
    const theirs = await wallet.channels()
    assert.equal(theirs.reduce((sum, { clientMsat }) => sum + clientMsat, 0), total, "the LSP's view of what is ours")
    const node = wallet.node()
    try {
      const { lightningMsat, pendingCloseSats, onchainSats } = await node.getBalance()
      assert.deepEqual({ lightningMsat, pendingCloseSats, onchainSats }, { lightningMsat: total, pendingCloseSats: 0, onchainSats: 0 })
      assert.equal(node.wakeBy, null)
      const ready = (await node.listChannels()).filter(({ isReady }) => isReady)
      assert.deepEqual(ready.map(({ channelId }) => channelId).sort(), theirs.map(({ channelId }) => channelId).sort(), 'nobody closed a channel')
    } finally {
      node.destroy()
    }
    return { paid: paid.length, refused: this.payments.size - paid.length, channels: theirs.length }
  }
}

/** The commitment transactions in the mempool: BOLT 3 gives them a lock time and a sequence that nothing else here has. */
export async function commitments(lab) {
  const { mempool } = await lab.get('/chain')
  const found = []
  for (const txid of mempool) {
    const { locktime, vin } = await (await esplora(lab, `/tx/${txid}`)).json()
    if (locktime >>> 24 === 0x20 && vin.every(({ sequence }) => sequence >>> 24 === 0x80)) found.push(txid)
  }
  return found
}

/** Nobody closed a channel, here or at the LSP. The tests mine no block, so that all of it is in the mempool. */
export async function assertNoForceClose(lab) {
  assert.deepEqual(await commitments(lab), [], 'commitment transactions in the mempool')
}
