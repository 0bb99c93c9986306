// One payment as a serverless handler gets it: paid, the webhook comes, a fresh process starts, receives and ends.

import { runChild } from './children.mjs'
import { now } from './clock.mjs'

/**
 * Times in ms after the webhook's arrival, but `paidMs`, which the payer measures from its own `pay()`. `lsp` and `esplora`
 * are `{ connections, roundTrips }` of the wallet's two links, from the handler's first to its last byte.
 */
export async function receiveOnce(context, wallet) {
  const lab = await context.lab()
  const door = await context.door()
  await lab.post('/webhooks', { nodeId: wallet.nodeId, url: door.urlOf(wallet.nodeId) })
  const { bolt11 } = await context.mint(wallet)
  await lab.post('/stats/reset')

  const knock = door.knock(wallet.nodeId)
  const paying = lab.pay(bolt11).then((outcome) => ({ ...outcome, at: now() }))
  const arrivedAt = await Promise.race([knock, paying.then(endedEarly)])
  const handler = runChild('receive.cjs', { options: wallet.options })
  const [{ said, endedAt }, paid] = await Promise.all([handler, paying])

  if (paid.preimage === undefined) throw new Error(`the payment failed: ${paid.error}`)
  if (said.told === undefined) throw new Error('the payer has the preimage, but the handler was told of no payment')
  const stats = await lab.get('/stats')
  return {
    wokeMs: said.woke - arrivedAt,
    loadedMs: said.loaded - arrivedAt,
    toldMs: said.told - arrivedAt,
    preimageMs: paid.at - arrivedAt,
    goneMs: said.gone - arrivedAt,
    endedMs: endedAt - arrivedAt,
    paidMs: paid.ms,
    lsp: counted(stats.lsp),
    esplora: counted(stats.esplora),
  }
}

function counted({ connections, roundTrips }) {
  return { connections: connections.length, roundTrips }
}

function endedEarly({ error }) {
  throw new Error(`the payment ended before the webhook came: ${error ?? 'it was paid'}`)
}
