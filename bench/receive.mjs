// The main job: from the webhook's arrival to money that is ours, in a fresh process each; cold (a new wallet, the channel
// opens just in time) and warm (the channel is there). Beside the milliseconds, what depends little on the machine: how
// often the wallet connected and waited for an answer.

import { receiveOnce } from './support/receive.mjs'
import { samples } from './support/samples.mjs'

export const title = 'Receive (webhook arrives → …)'

export async function run(context) {
  const runs = context.count({ quick: 3, full: 15, slow: true })
  // Not counted: warms the disk cache, and the lab pays for the first time.
  let wallet = await context.newWallet()
  await receiveOnce(context, wallet)
  const cold = []
  while (cold.length < runs) {
    wallet = await context.newWallet()
    cold.push(await receiveOnce(context, wallet))
  }
  const warm = []
  while (warm.length < runs) warm.push(await receiveOnce(context, wallet))
  return [...rows('cold', cold), ...rows('warm', warm)]
}

function rows(name, all) {
  const of = (what, unit, pick) => samples(`${name}: ${what}`, unit, all.map(pick))
  return [
    of('→ Received is told', 'ms', (one) => one.toldMs),
    of('- → first line of the handler (Node itself)', 'ms', (one) => one.wokeMs),
    of('- first line → Received is told (ours)', 'ms', (one) => one.toldMs - one.wokeMs),
    of('- handler spawned → Received is told', 'ms', (one) => one.spawnedMs),
    of('→ the payer has the preimage', 'ms', (one) => one.preimageMs),
    of('→ fulfilled, stopped, destroyed', 'ms', (one) => one.goneMs),
    of('→ the process has ended', 'ms', (one) => one.endedMs),
    of('pay() → preimage, as the payer measures it', 'ms', (one) => one.paidMs),
    of('LSP connections', '', (one) => one.lsp.connections),
    of('LSP round trips', '', (one) => one.lsp.roundTrips),
    of('Esplora connections', '', (one) => one.esplora.connections),
    of('Esplora round trips', '', (one) => one.esplora.roundTrips),
  ]
}
