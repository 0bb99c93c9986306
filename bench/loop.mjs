// How long a receive keeps the JavaScript thread from everything else (P5), beside a process that only waits: what both
// show is the machine's doing.

import { runChild } from './support/children.mjs'
import { receiveOnce } from './support/receive.mjs'
import { samples } from './support/samples.mjs'

export const title = 'Event loop during a receive (delay beyond a timer of 1 ms)'

/** About as long as a receive. */
const IDLE_MS = 100

export async function run(context) {
  const runs = context.count({ quick: 3, full: 15, slow: true })
  const warm = await context.newWallet()
  await receiveOnce(context, warm)
  const delays = { cold: [], warm: [], idle: [] }
  const receive = async (wallet) => (await receiveOnce(context, wallet, { watchLoop: true })).delays
  for (let i = 0; i < runs; i++) {
    delays.cold.push(...(await receive(await context.newWallet())))
    delays.warm.push(...(await receive(warm)))
    delays.idle.push(...(await runChild('idle.cjs', { ms: IDLE_MS })).said.delays)
  }
  return [
    samples('cold', 'ms', delays.cold, { target: 2, at: 'p99' }),
    samples('warm', 'ms', delays.warm, { target: 2, at: 'p99' }),
    samples('a process that only waits', 'ms', delays.idle),
  ]
}
