// How long a receive keeps the JavaScript thread from everything else (P5): by a timer, beside a process that only waits,
// since what both show is the machine's doing; and by the calls themselves.

import { runChild } from './support/children.mjs'
import { receiveOnce } from './support/receive.mjs'
import { samples } from './support/samples.mjs'

export const title = 'The JavaScript thread during a receive'

/** About as long as a receive. */
const IDLE_MS = 100

export async function run(context) {
  const runs = context.count({ quick: 3, full: 15, slow: true })
  const warm = await context.newWallet()
  await receiveOnce(context, warm)
  const delays = { cold: [], warm: [], idle: [] }
  const blocked = []
  const receive = async (kind, wallet) => {
    const one = await receiveOnce(context, wallet, { watchLoop: true })
    delays[kind].push(...one.delays)
    blocked.push(one.blocked)
  }
  for (let i = 0; i < runs; i++) {
    await receive('cold', await context.newWallet())
    await receive('warm', warm)
    delays.idle.push(...(await runChild('idle.cjs', { ms: IDLE_MS })).said.delays)
  }
  const call = (name, target) => samples(`${name}, until it returns`, 'ms', blocked.map((one) => one[name]), { target })
  return [
    samples('delay beyond a timer of 1 ms, cold', 'ms', delays.cold, { target: 2, at: 'p99' }),
    samples('delay beyond a timer of 1 ms, warm', 'ms', delays.warm, { target: 2, at: 'p99' }),
    samples('the same in a process that only waits', 'ms', delays.idle),
    call('constructor', 2),
    // A node's first key derivation may be in it.
    call('receivePayment', 5),
  ]
}
