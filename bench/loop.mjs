// How long a receive keeps the JavaScript thread from everything else (P5), beside a process that only waits: what both
// show is the machine's doing.

import { runChild } from './support/children.mjs'
import { receiveOnce } from './support/receive.mjs'
import { derived, percentile, samples } from './support/samples.mjs'

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
    ...rows('cold', delays.cold, 2),
    ...rows('warm', delays.warm, 2),
    ...rows('a process that only waits', delays.idle),
  ]
}

function rows(name, delays, target) {
  return [
    samples(`${name}: each tick`, 'ms', delays),
    derived(`${name}: 99th percentile`, 'ms', percentile(delays, 0.99), delays.length, { target }),
  ]
}
