// A handler that is killed at each step of its first payment: whatever was said before, the next process goes on from what was
// committed before it was said. Most LSPs don't call twice, so that the platform's next attempt has to receive it; one that does
// (`rewake`) calls when the connection of a wallet ends whose payment is not answered.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { assertProof, assertSettled, openShop } from './support/shop.mjs'
import { until, within } from './support/until.mjs'

/** One way. Longer than looking at the LSP's messages takes, so that the kill comes before the answer. */
const LATENCY_MS = 30
const AMOUNT_MSAT = 65_000

/** The LSP's view of a step. `calls`: it calls again, if it is one that does. */
const wire = (direction, type, calls = true) => ({
  when: `the LSP has ${direction} ${type}`,
  calls,
  fulfilled: !calls,
  reached: (wallet, _handler, since) => wallet.said(since, direction, type),
})

/** The LSP never saw it. */
const LOCKED = {
  when: 'it holds the lock and is not connected',
  job: 'receive',
  args: { log: 'debug' },
  reached: (_wallet, handler) => until('the claim', () => handler.logged('claimed').length > 0),
}

const MOMENTS = [
  wire('sent', 'init'),
  wire('sent', 'open_channel'),
  wire('got', 'accept_channel'),
  wire('sent', 'funding_created'),
  wire('got', 'funding_signed'),
  wire('got', 'channel_ready'),
  wire('sent', 'update_add_htlc'),
  wire('got', 'revoke_and_ack'),
  wire('got', 'update_fulfill_htlc', false),
  { when: 'it has told the payment and not acked it', fulfilled: true, reached: (_wallet, handler) => handler.first('received') },
  {
    when: 'it has acked the payment and not stopped',
    job: 'listen',
    fulfilled: true,
    acked: true,
    reached: async (_wallet, handler) => {
      await handler.first('event')
      handler.go()
      await handler.first('acked')
    },
  },
]

/** For handlers to whom only events come again: those are in the store, and nothing else is worth waiting for. */
const ONLY_AGAIN = { receive: { minMs: 100 } }
/** Most of a test is waiting for the link. */
const AT_ONCE = 4

let once, twice

before(async () => {
  // One after the other: both may have to build the lab.
  once = await openShop()
  twice = await openShop(['--rewake'])
  for (const { lab } of [once, twice]) await lab.post('/faults', { link: 'lsp', latencyMs: LATENCY_MS })
})
after(() => Promise.all([once?.close(), twice?.close()]))

/** What handlers of either job told. */
function toldBy(handler) {
  return [...handler.all('received').map(({ payment }) => payment), ...handler.all('event').map(({ event }) => event)]
}

/** Resolves with how often the LSP called again. `beforeNext`: what must be put right for the next attempt. */
async function killedAndFollowed(wallet, moment, { serve = false, beforeNext } = {}) {
  const { job = 'receive', args = {}, reached, fulfilled = false, acked = false } = moment
  const since = process.hrtime.bigint()
  const { paying, paymentHash } = await wallet.payUnattended(AMOUNT_MSAT, { timeoutMs: 30_000 })
  const killed = wallet.start(job, { hold: true, ...args })
  await reached(wallet, killed, since)
  if (serve) wallet.serveWebhooks()
  assert.equal((await killed.kill()).signal, 'SIGKILL')
  await beforeNext?.()

  // On a busy machine the kill can come after the fulfilment; then nobody has to call.
  const called = serve && (await Promise.race([until('the second webhook', () => wallet.handlers[0]), paying.then(() => false)]))
  const next = called || wallet.start('receive', fulfilled || serve ? ONLY_AGAIN : {})
  assertProof(await within('the payer', paying), paymentHash)
  await next.done()
  const told = next.all('received').map(({ payment }) => payment)
  assert.deepEqual(told.map((payment) => [payment.paymentHash, payment.amountMsat]), acked ? [] : [[paymentHash, AMOUNT_MSAT]])
  assert.equal(new Set([...toldBy(killed), ...told].map(({ id }) => id)).size, 1, 'a repeat has the same id')
  assert.equal(wallet.woken, called ? 2 : 1)
  await assertSettled(wallet, { msat: AMOUNT_MSAT })
  return wallet.woken - 1
}

test("a handler killed at any step is followed by the platform's next attempt, which receives the payment, once", { concurrency: AT_ONCE }, async (t) => {
  const each = (moment) => t.test(moment.when, async () => killedAndFollowed(await once.wallet(), moment))
  await Promise.all(MOMENTS.map(each))
})

test(`and so is one killed when ${LOCKED.when}`, async () => {
  const wallet = await once.wallet()
  await once.lab.post('/faults', { link: 'lsp', blackhole: true })
  await killedAndFollowed(wallet, LOCKED, {
    beforeNext: () => once.lab.post('/faults', { link: 'lsp', blackhole: false }),
  })
})

test('an LSP that calls twice starts the second handler itself, wherever the first one was killed', { concurrency: AT_ONCE }, async (t) => {
  let calls = 0
  const each = (moment) =>
    t.test(moment.when, async () => {
      calls += await killedAndFollowed(await twice.wallet(), moment, { serve: true })
    })
  await Promise.all(MOMENTS.filter((moment) => moment.calls).map(each))
  assert.ok(calls > 0)
})
