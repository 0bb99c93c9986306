// Many payments to one wallet, one after the other, by an LSP that does not wake twice. Each woken process leaves as soon as it
// can, so payments meet it at work, at its goodbye, and gone. For `npm test` and, longer, for a soak.

import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import { assertProof } from './shop.mjs'
import { within } from './until.mjs'

/** Longer than the LSP holds: what has not come by then hangs. */
const HUNG_MS = 60_000
/** How often it is looked whether a payment waits for nobody. */
const LOOK_MS = 250
/** What a process logs: its goodbyes, and each message that it gets. */
const LOG = { default: 'info', ldk: 'trace' }
/** A process whose payment another one took does not wait for long for its own. */
const IN_A_HURRY = { quietMs: 0, minMs: 300 }

/**
 * Pays `payments` invoices, the n-th so many milliseconds after the one before: `pausesMs`, again and again.
 *
 * Resolves with what happened; throws if a payment fails, or is not told exactly once, or if the wallet heard of a payment and
 * left. One that the LSP took up for a wallet that was just leaving, and did not send before the goodbye reached it, can't be
 * heard by anyone: it gets another wake, as the next payment's would be, and is counted as `unheard`.
 *
 * @returns {Promise<{ webhooks: number, goodbyes: number, unheard: number, locked: number, idle: number, ms: number }>}
 * `goodbyes`: payments that came during one; `locked`: processes that found the wallet held; `idle`: processes that had nothing
 * to receive
 */
export async function payBackToBack(wallet, { payments, amountMsat = 1_000, pausesMs = [0] }) {
  const invoices = []
  for (let i = 0; i < payments; i++) invoices.push(await wallet.invoice(amountMsat))
  const first = wallet.handlers.length
  const serve = () => wallet.handlers.push(wallet.start('receive', { receive: IN_A_HURRY, log: LOG }))
  wallet.onWebhook = serve
  const wokenBefore = wallet.woken
  let unheard = 0
  const began = performance.now()
  for (const [i, { bolt11, paymentHash }] of invoices.entries()) {
    await pause(pausesMs[i % pausesMs.length])
    const before = heard(wallet)
    const paying = wallet.lab.post('/pay', { bolt11, timeoutMs: HUNG_MS })
    const over = paying.then(() => true)
    while (!(await Promise.race([over, pause(LOOK_MS)]))) {
      if (!(await waitsForNobody(wallet))) continue
      assert.equal(heard(wallet), before, `the wallet heard of payment ${i + 1} of ${payments}, and left`)
      unheard += 1
      serve()
    }
    assertProof(await paying, paymentHash)
  }
  const ms = Math.round(performance.now() - began)
  const handlers = wallet.handlers.slice(first)
  await within('the last handler', Promise.all(handlers.map((handler) => handler.exited)))
  const all = (type) => handlers.flatMap((handler) => handler.all(type))
  const told = all('received').map(({ payment }) => payment)
  assert.deepEqual(told.map((payment) => payment.paymentHash).sort(), invoices.map((invoice) => invoice.paymentHash).sort())
  assert.equal(new Set(told.map((payment) => payment.id)).size, payments)
  const failures = all('failed').map(({ code }) => code)
  assert.deepEqual(failures.filter((code) => code !== 'WALLET_LOCKED'), [])
  return {
    webhooks: wallet.woken - wokenBefore,
    goodbyes: handlers.flatMap((handler) => handler.logged('a payment came during the goodbye; going back to serve it')).length,
    unheard,
    locked: failures.length,
    idle: all('payments').filter((said) => said.payments.length === 0).length,
    ms,
  }
}

/** The LSP has a payment in the wallet's channel, the wallet is away, and nobody is coming: it was connected when it was needed. */
async function waitsForNobody(wallet) {
  const [handlers, woken] = [wallet.handlers.length, wallet.woken]
  const away = wallet.handlers.every((handler) => handler.end !== undefined)
  if (!away || (await wallet.lab.get('/lsp/held')).some(({ nodeId }) => nodeId === wallet.nodeId)) return false
  const pending = (await wallet.channels()).some(({ pendingHtlcs }) => pendingHtlcs > 0)
  const connected = (await wallet.lab.get('/lsp/peers')).includes(wallet.nodeId)
  return pending && !connected && wallet.handlers.length === handlers && wallet.woken === woken
}

/** How many payments the LSP's messages told the wallet of, as the wallet heard it. What the LSP's own log calls sent may still have
 * been in its hands when the goodbye reached it. */
function heard({ handlers }) {
  const isAdd = ({ message }) => message.startsWith('Received message UpdateAddHTLC')
  return handlers.reduce((count, handler) => count + handler.all('log').filter(isAdd).length, 0)
}
