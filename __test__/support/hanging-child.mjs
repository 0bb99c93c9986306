// `hanging-child.mjs <service> <times> <deadline>`: starts a node, comes to the service that hangs, destroys the node there, and again,
// all in one process. What it sees of each time must be the same; see life-self.mjs for how it talks.

import { MdkNode } from '../../index.mjs'
import { REACHED, die, revive } from './hanging.mjs'
import { until } from './life.mjs'
import { heartbeat, left, nothingLeft, options, outcome, play, say } from './life-self.mjs'

const service = process.argv[2]
/** `deadlineMs`: what destroy() may take, the machine's own stalls taken out. */
const [times, deadlineMs] = process.argv.slice(3).map(Number)
/** Each step of a claim, in turn. */
const DISK_CALLS = ['open', 'flock', 'pwrite', 'fdatasync']

async function destroyed(time) {
  if (service === 'disk') die(DISK_CALLS[time % DISK_CALLS.length])
  const node = new MdkNode(options)
  const pending = [node.start(), node.startReceiving(), node.nextEvent(60_000)].map(outcome)
  await until(() => REACHED[service](node), `${service} to be asked`)
  heartbeat.during = `destroy() ${time}`
  heartbeat.within(deadlineMs, () => node.destroy())
  heartbeat.during = undefined
  const { durationMs, unfinished } = node.lastDestroy
  const seen = { unfinished, codes: await Promise.all(pending), state: node.state }
  if (service === 'disk') {
    revive()
    await until(nothingLeft, 'threads, descriptors and locks at their baseline when the disk is back')
  }
  return { durationMs, seen: { ...seen, left: left() } }
}

await play({
  async [service]() {
    const durations = []
    const outcomes = new Map()
    for (let time = 0; time < times; time++) {
      const { durationMs, seen } = await destroyed(time)
      durations.push(durationMs)
      const key = JSON.stringify(seen)
      outcomes.set(key, (outcomes.get(key) ?? 0) + 1)
    }
    say({ outcomes: [...outcomes].map(([seen, count]) => ({ ...JSON.parse(seen), count })) })
    say({ durations })
  },
})
