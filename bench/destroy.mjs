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
  return [...rows('running, no channel', empty, 2), ...rows('running, one channel', open, 2), ...rows('idle', idle)]
}

function rows(state, took, target) {
  return [
    samples(state, 'ms', took, { target }),
    derived(`${state}: 99th percentile`, 'ms', percentile(took, 0.99), took.length),
  ]
}
