// What the tests of services that are down, slow or lying share: short bounds, a wallet with a promised payment, and how a call
// that needs the service must fail.

import assert from 'node:assert/strict'
import { MdkNode, generateMnemonic, isMdkError } from '../../index.mjs'
import { folder, rejection, until, within } from './life.mjs'

/** Short enough to wait for. A busy machine may exceed them also where nothing is wrong: what then must succeed is `eventually`. */
export const TIMEOUTS = { chainMs: 500, syncMs: 2_000, lspMs: 1_000, connectMs: 500, lspRequestMs: 500 }

/** For a call that hangs; no bound of `TIMEOUTS`, nor several of them one after the other, come near. */
const WATCHDOG_MS = 20_000

/** A new wallet's options. */
export const wallet = (lab, t, more = {}) => lab.options({ mnemonic: generateMnemonic(), store: `file:${folder(t)}`, ...more })

export function nodeOf(t, options) {
  const node = new MdkNode(options)
  t.after(() => node.destroy())
  return node
}

/** Awaits a call that must fail with that code in time, and returns its error. */
export async function failsWith(call, code) {
  const error = await within(rejection(call), `an error of the call (${code})`, WATCHDOG_MS)
  assert.ok(isMdkError(error), String(error?.stack ?? error))
  assert.equal(error.code, code, error.message)
  assert.equal(error.retryable, /_UNAVAILABLE$|^TIMEOUT$|^WALLET_LOCKED$/.test(code), error.message)
  assert.notEqual(error.message, '')
  return error
}

/** What a user does with an error that is `retryable`: the call again, until it succeeds. */
export async function eventually(call) {
  const end = performance.now() + WATCHDOG_MS
  for (;;) {
    try {
      return await call()
    } catch (error) {
      if (!error.retryable || performance.now() > end) throw error
    }
  }
}

/** The calls that need a session, each as a function of the node. */
export const SESSION_CALLS = {
  start: (node) => node.start(),
  startReceiving: (node) => node.startReceiving(),
  receivePayment: (node) => node.receivePayment(() => assert.fail('nothing was paid')),
}

/** The call that needs a session, and the LSP only when something needs that. */
export const WATCH = { watch: (node) => node.watch() }

/** With no route known, these need one, too. */
export const ROUTE_CALLS = {
  getJitRoute: (node) => node.getJitRoute(),
  getInvoice: (node) => node.getInvoice(1_000, 'x', 900),
  getVariableAmountJitInvoice: (node) => node.getVariableAmountJitInvoice('x', 900),
}

/** What needs no service but the store, and must go on working: minting with the known route, the last commit, the events. */
export async function assertTheRestWorks(node) {
  assert.ok((await node.getInvoice(1_000, 'x', 900)).bolt11)
  assert.match((await node.getJitRoute()).scid, /^\d+x\d+x\d+$/)
  assert.equal(typeof (await node.getBalance()).lightningMsat, 'number')
  assert.ok(Array.isArray(await node.listChannels()))
  assert.equal(await node.nextEvent(), null)
  await failsWith(node.ackEvent('no-such-event'), 'INVALID_ARGUMENT')
  await node.stop()
}

/**
 * A wallet for which the LSP holds a payment: somebody was promised that it will be received. `received(node)` receives it, and
 * the payer has its preimage (`payerPaid`).
 */
export async function promised(lab, t, more = {}) {
  const options = wallet(lab, t, more)
  const first = nodeOf(t, { ...options, timeouts: {} })
  const { bolt11, paymentHash } = await first.getInvoice(21_000, 'One report', 900)
  const nodeId = first.getNodeId()
  await first.stop()
  first.destroy()
  const paying = lab.pay(bolt11, 60_000)
  paying.catch(() => {}) // of a test that failed before it looked
  await until(async () => (await lab.get('/lsp/held')).some((held) => held.nodeId === nodeId), 'the LSP to hold the payment')
  const payerPaid = async () => {
    const paid = await within(paying, 'the payer to have its preimage', WATCHDOG_MS)
    assert.ok(paid.preimage, `the payment failed: ${paid.error}`)
  }
  return {
    options,
    payerPaid,
    async received(node) {
      const payments = await eventually(() => node.receivePayment(() => {}, { minMs: WATCHDOG_MS }))
      assert.deepEqual(payments.map((payment) => [payment.paymentHash, payment.amountMsat]), [[paymentHash, 21_000]])
      await payerPaid()
    },
  }
}

/** The node is at rest, and the next call begins anew. */
export const idle = (node) => until(() => node.state === 'idle', 'an idle node after a failed start')

/** Runs `body` while a link of the lab has a fault. */
export async function faulty(lab, link, fault, body) {
  await lab.post('/faults', { link, [fault]: true })
  try {
    return await body()
  } finally {
    await lab.post('/faults', { link, [fault]: false })
  }
}

/** Runs `body` while Esplora lies. */
export async function lying(lab, lie, body) {
  await lab.post('/esplora', typeof lie === 'string' ? { lie } : lie)
  try {
    return await body()
  } finally {
    await lab.post('/esplora', { lie: null })
  }
}
