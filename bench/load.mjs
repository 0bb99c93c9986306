// What loading the addon costs a process that does nothing else with it: time, memory, and no thread (P1, P2).

import { runChild } from './support/children.mjs'
import { samples } from './support/samples.mjs'

export const title = 'Load'

const MB = 1e6

export async function run(context) {
  const options = context.offlineOptions()
  const runs = context.count({ quick: 5, full: 21, slow: true })
  const required = await repeat(runs, { options, esm: false })
  const imported = await repeat(runs, { options, esm: true })
  const rows = [
    samples('require()', 'ms', required.map(({ before, loaded }) => loaded.at - before.at)),
    samples('import()', 'ms', imported.map(({ before, loaded }) => loaded.at - before.at)),
    samples('RSS growth by require()', 'MB', required.map(({ before, loaded }) => (loaded.rss - before.rss) / MB)),
    samples('RSS growth by require() and an invoice', 'MB', required.map(({ before, minted }) => (minted.rss - before.rss) / MB)),
  ]
  if (required[0].before.threads === null) return rows
  const threads = required.map(({ before, minted }) => minted.threads - before.threads)
  return [...rows, samples('threads started by require() and an invoice', '', threads, { target: 0 })]
}

async function repeat(times, input) {
  await runChild('load.cjs', input) // warms the disk cache
  const said = []
  while (said.length < times) said.push((await runChild('load.cjs', input)).said)
  return said
}
