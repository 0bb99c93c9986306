// One payment as a serverless handler gets it: paid, the webhook comes, a fresh process starts, receives and ends.

import { runChild } from './children.mjs'
import { now } from './clock.mjs'
import { fulfilledAt } from './wire.mjs'

/** The payer was told no; the handler may have been fine. */
export class PaymentFailed extends Error {}

/**
 * Times in ms after the webhook's arrival, but for `paidMs`, which the payer measures from its own `pay()`, and `spawnedMs`,
 * which begins when the handler's process is started.
 *
 * - `lsp`, `esplora`: what the lab's proxies counted on the wallet's two links, from the handler's first to its last byte.
 * - `messages`: what the LSP said (`sent`) and heard (`got`), for support/wire.mjs.
 * - `told`, `ended`: `node.stats()` inside `onPayment`, and after `receivePayment`.
 * - `blocked`: how long the calls themselves kept the JavaScript thread, by name.
 * - `claims`: how often the wallet was claimed for this.
 *
 * @param {{ watchLoop?: boolean }} [how] `watchLoop` measures the event loop's delays, which costs a timer each millisecond
 */
export async function receiveOnce(context, wallet, { watchLoop = false } = {}) {
  const lab = await context.lab()
  const door = await context.door()
  await lab.post('/webhooks', { nodeId: wallet.nodeId, url: door.urlOf(wallet.nodeId) })
  const { bolt11 } = await context.mint(wallet)
  await lab.post('/stats/reset')

  const knock = door.knock(wallet.nodeId)
  const paying = lab.pay(bolt11).then((outcome) => ({ ...outcome, at: now() }))
  const arrivedAt = await Promise.race([knock, paying.then(endedEarly)])
  const handler = runChild('receive.cjs', { options: wallet.options, watchLoop })
  const [{ said, spawnedAt, endedAt }, paid] = await Promise.all([handler, paying])

  const claims = said.ended.epoch - wallet.epoch
  wallet.epoch = said.ended.epoch
  if (paid.preimage === undefined) throw new PaymentFailed(`the payment failed: ${paid.error}`)
  if (said.told === undefined) throw new Error('the payer has the preimage, but the handler was told of no payment')
  const [stats, messages] = await Promise.all([lab.get('/stats'), messagesSince(lab, wallet, arrivedAt)])
  return {
    wokeMs: said.woke - arrivedAt,
    toldMs: said.toldAt - arrivedAt,
    preimageMs: paid.at - arrivedAt,
    goneMs: said.gone - arrivedAt,
    endedMs: endedAt - arrivedAt,
    spawnedMs: said.toldAt - spawnedAt,
    paidMs: paid.ms,
    // From the loaded addon on: without Node's own start, which is the noisiest part.
    oursMs: fulfilledAt(messages) - said.loaded,
    lsp: counted(stats.lsp),
    esplora: counted(stats.esplora),
    messages,
    told: said.told,
    ended: said.ended,
    claims,
    blocked: said.blocked,
    delays: said.delays,
  }
}

/** What the LSP and the wallet said to each other since then, by the clock of support/clock.mjs. */
async function messagesSince(lab, wallet, since) {
  const all = await lab.get(`/messages?since=${Math.floor(since * 1e6)}`)
  return all.filter(({ peer }) => peer === wallet.nodeId).map(({ ns, ...message }) => ({ ...message, at: ns / 1e6 }))
}

function counted({ connections, roundTrips }) {
  return { connections: connections.length, roundTrips }
}

function endedEarly({ error }) {
  throw new Error(`the payment ended before the webhook came: ${error ?? 'it was paid'}`)
}
