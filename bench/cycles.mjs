// One process that serves request after request: what it grows by, and how late its event loop is meanwhile (P2, P5).

import { runChild } from './support/children.mjs'
import { derived, samples } from './support/samples.mjs'

export const title = 'Cycles of start, receive, destroy in one process'

/** For a cycle: some ten times what it takes. */
const PATIENCE_MS = 500

export async function run(context) {
  const lab = await context.lab()
  const wallet = await context.newWallet()
  const times = context.count({ quick: 200, full: 1_000, slow: true })
  // What a process needs once is there after some cycles.
  const settled = Math.min(100, Math.floor(times / 2))
  const input = { options: wallet.options, controlUrl: lab.info.controlUrl, times, settled }
  const { took, late, rss, left } = (await runChild('cycles.cjs', input, { deadlineMs: times * PATIENCE_MS })).said
  return [
    samples('start, receive, destroy', 'ms', took),
    derived(`growth after the first ${settled} of ${times} cycles: RSS`, 'MB', (rss.end - rss.settled) / 1e6, 1, { target: 5 }),
    derived('- threads', '', left.threads, 1, { target: 0 }),
    derived('- file descriptors', '', left.fds, 1, { target: 0 }),
    derived('a 1 ms timer is late, 99th percentile (destroy() excepted)', 'ms', late.p99, late.count, { target: 2 }),
    derived('- the latest', 'ms', late.max, late.count, { target: 20 }),
  ]
}
