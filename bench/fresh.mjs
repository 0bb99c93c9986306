// A fresh process that prints an invoice, over an empty one. The runs are interleaved, so that a machine that gets slower
// meanwhile slows both; the first of each is not counted: it warms the disk cache.

import { childPath, inputOf, runNode } from './support/children.mjs'
import { derived, median, samples } from './support/samples.mjs'

export const title = 'Fresh process to printed invoice'

export async function run(context) {
  const env = inputOf({ options: context.offlineOptions() })
  const kinds = {
    empty: { args: ['-e', ''], took: [] },
    required: { args: [childPath('invoice.cjs')], took: [], printed: [] },
    imported: { args: [childPath('invoice.mjs')], took: [], printed: [] },
  }
  for (const { args } of Object.values(kinds)) await runNode(args, env)
  const runs = context.count({ quick: 7, full: 41, slow: true })
  for (let i = 0; i < runs; i++) {
    for (const { args, took, printed } of Object.values(kinds)) {
      const { spawnedAt, firstOutputAt, endedAt, stdout } = await runNode(args, env)
      took.push(endedAt - spawnedAt)
      if (printed === undefined) continue
      if (!stdout.startsWith('lnbcrt')) throw new Error(`${args[0]} should print a regtest invoice, not ${JSON.stringify(stdout)}`)
      printed.push(firstOutputAt - spawnedAt)
    }
  }
  const { empty, required, imported } = kinds
  const over = (kind) => median(kind.took) - median(empty.took)
  const ratio = (kind) => median(kind.took) / median(empty.took)
  return [
    samples("node -e '', start to exit", 'ms', empty.took),
    samples('require, mint, print: start to exit', 'ms', required.took),
    samples('require, mint, print: start to the invoice', 'ms', required.printed),
    samples('import, mint, print: start to exit', 'ms', imported.took),
    derived('require over empty: difference of medians', 'ms', over(required), runs, { target: 25 }),
    derived('require over empty: ratio of medians', '×', ratio(required), runs),
    derived('import over empty: difference of medians', 'ms', over(imported), runs),
    derived('import over empty: ratio of medians', '×', ratio(imported), runs),
  ]
}
