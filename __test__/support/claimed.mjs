// A payment that the wallet has claimed and committed, and whose preimage the LSP has not heard: nobody calls the webhook again.

import assert from 'node:assert/strict'
import { FINAL, mine, onlyChannel } from './chain.mjs'
import { until } from './until.mjs'

/** In the channel before, and in the payment. */
export const SATS = 20_000
export const HTLC = 30_000
/** What a watch tries the LSP for: it is away on purpose, and loopback answers at once. */
export const BRIEF = { lspMs: 1_500, connectMs: 500 }
/** LDK, and BOLT 2: so many blocks before its expiry `wakeBy` is, a claimed HTLC closes its channel, and after it an LDK LSP does. */
export const WAKE_BY = 39
export const CLOSES = 36
export const LSP_CLOSES = 3

/** One way. First so much that the next step is seen before it is over; then more than it takes to cut the line. */
const [STEPS_MS, SLOW_MS] = [30, 500]

/** What has become of the LSP's link is put right; what was held on it is lost. */
export async function reachable(lab) {
  await lab.post('/faults', { link: 'lsp', latencyMs: 0, reset: true })
  await lab.post('/faults', { link: 'lsp', drop: null, reset: false })
}

export const unreachable = (lab) => lab.post('/faults', { link: 'lsp', reset: true })

/** A wallet with a confirmed channel that holds `SATS`. */
export async function paidWallet(shop) {
  const wallet = await shop.wallet()
  await wallet.sell(SATS * 1000)
  await mine(wallet, 1)
  return wallet
}

/**
 * The handler of a payment of `HTLC` ends (`end`: 'kill' or 'destroy') when the preimage is committed, and the LSP has not heard of
 * it. Returns the wallet with that payment, the expiry of its HTLC and what its payer gets.
 */
export async function claimed(shop, { end = 'kill', wallet } = {}) {
  const { lab } = shop
  wallet ??= await paidWallet(shop)
  const since = process.hrtime.bigint()
  const { paying, paymentHash } = await wallet.payUnattended(HTLC * 1000, { timeoutMs: 600_000 })
  paying.catch(() => {}) // of a test that failed before it looked
  await (end === 'kill' ? killed(wallet) : destroyed(lab, wallet, since))
  await until('the LSP to see that the wallet is gone', async () => !(await lab.get('/lsp/peers')).includes(wallet.nodeId))
  const messages = await lab.get(`/messages?since=${since}`)
  const fulfilled = messages.some((m) => m.peer === wallet.nodeId && m.direction === 'got' && m.type === 'update_fulfill_htlc')
  assert.equal(fulfilled, false, 'the LSP has heard it')
  const { wakeBy } = await look(wallet)
  const { pendingHtlcs } = await onlyChannel(wallet)
  assert.equal(pendingHtlcs, 1, 'the LSP waits for the preimage')
  return { wallet, paying, paymentHash, wakeBy, expiry: wakeBy.height + WAKE_BY }
}

async function killed(wallet) {
  const handler = wallet.start('receive', {}, {}, { failpoint: 'BeforeFulfil:1' })
  assert.equal((await handler.exited).signal, 'SIGKILL')
}

/** What it says is lost on the way from the instant at which nothing but the LSP's own revocation is missing. */
async function destroyed(lab, wallet, since) {
  await lab.post('/faults', { link: 'lsp', latencyMs: STEPS_MS })
  const handler = wallet.start('receive', { hold: true })
  try {
    await wallet.said(since, 'sent', 'update_add_htlc')
    await lab.post('/faults', { link: 'lsp', latencyMs: SLOW_MS })
    await wallet.said(since, 'got', 'revoke_and_ack')
    await lab.post('/faults', { link: 'lsp', drop: 'up' })
    await handler.first('received')
    handler.destroy()
    await handler.exited
  } finally {
    await reachable(lab)
  }
}

/** What a process that holds nothing reads: balance, and when the wallet must run again. */
export async function look(wallet) {
  const node = wallet.node()
  try {
    const balance = await node.getBalance()
    return { ...balance, wakeBy: node.wakeBy }
  } finally {
    node.destroy()
  }
}

/** Blocks are mined until the chain is that high. */
export async function mineTo(lab, height) {
  const now = (await lab.get('/chain')).height
  assert.ok(now <= height, `the chain is at ${now} already`)
  if (now < height) await lab.post('/mine', { blocks: height - now })
}

/** One run of the cron. */
export async function watch(wallet, timeouts = BRIEF) {
  const node = wallet.node({ timeouts })
  try {
    return await node.watch()
  } finally {
    node.destroy()
  }
}

/** Every hour of two days the cron looks, while blocks come: until nothing is on its way any more. Returns what is on chain then. */
export async function comesBack(wallet) {
  for (let block = 0; block < 2 * 144 + 2 * FINAL; block += FINAL) {
    await mine(wallet, FINAL)
    const { pendingCloseSats, onchainSats } = await watch(wallet)
    if (pendingCloseSats === 0) return onchainSats
  }
  return assert.fail('still on its way')
}

/** Whatever arrived is told, once. */
export async function told(wallet) {
  const node = wallet.node()
  try {
    const events = []
    for (;;) {
      const event = await node.nextEvent()
      if (event === null) return events
      events.push(event)
      await node.ackEvent(event.id)
    }
  } finally {
    node.destroy()
  }
}
