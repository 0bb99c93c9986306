// A cron's watch() with nothing to do, each in a fresh process: what it costs to look.

import { runChild } from './support/children.mjs'
import { receiveOnce } from './support/receive.mjs'
import { samples } from './support/samples.mjs'

export const title = 'watch(), nothing to do'

export async function run(context) {
  const open = await context.newWallet()
  await receiveOnce(context, open)
  const runs = context.count({ quick: 5, full: 21, slow: true })
  const watches = []
  while (watches.length < runs) {
    watches.push((await runChild('boot.cjs', { options: open.options, method: 'watch' })).said)
  }
  return [
    samples('watch(), one channel', 'ms', watches.map(({ began, ready }) => ready - began)),
    samples('- requests to Esplora', '', watches.map(({ stats }) => stats.chainRequests)),
    samples('- connections to the LSP', '', watches.map(({ stats }) => stats.lspConnections)),
  ]
}
