// destroy(): the JavaScript thread stands still for so long (P2, P5).

import { runChild } from './support/children.mjs'
import { receiveOnce } from './support/receive.mjs'
import { derived, percentile, samples } from './support/samples.mjs'

export const title = 'destroy()'

export async function run(context) {
  const wallet = await context.newWallet()
  const times = context.count({ quick: 20, full: 200 })
  const took = async (method) => (await runChild('destroy.cjs', { options: wallet.options, method, times })).said.took
  const idle = await took()
  const empty = await took('start')
  await receiveOnce(context, wallet)
  const open = await took('startReceiving')
  const worst = (took) => derived('- of 100, all but the longest', 'ms', percentile(took, 0.99), took.length, { target: 20 })
  return [
    samples('running, no channel', 'ms', empty, { target: 2 }),
    worst(empty),
    samples('running, one channel', 'ms', open, { target: 2 }),
    worst(open),
    samples('idle', 'ms', idle),
  ]
}
