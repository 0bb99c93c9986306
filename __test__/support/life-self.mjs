// A process that plays one scenario of a node's life (`<script> <scenario> [argument]`), with the node's options in
// LIFE_OPTIONS. What it sees goes to stdout, one line of JSON each; it never calls process.exit unless that is the scenario,
// so that ending by itself is part of what is tested. A closed stdin is the parent's word to go on.

import { footprint, locksHeld } from '../../scripts/support/footprint.mjs'
import { isMdkError } from '../../index.mjs'
import { Heartbeat } from './heartbeat.mjs'
import { until } from './life.mjs'

export const options = JSON.parse(process.env.LIFE_OPTIONS)
export const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)
const codeOf = (error) => (isMdkError(error) ? error.code : `no MdkError: ${error}`)
export const outcome = (promise) => promise.then(() => 'resolved', codeOf)

/** Set when the parent closes stdin. It is unreferenced: waiting for the parent keeps nobody alive. */
let released = false
process.stdin.on('end', () => (released = true)).resume()
process.stdin.unref()
export const told = () => until(() => released, 'the parent')

export const heartbeat = new Heartbeat()

/** After require, before the first node. */
say({ hello: process.pid })
const baseline = footprint()

/**
 * What is there beyond the baseline. The heart need not beat meanwhile: Linux lets a reader of /proc/locks wait until all
 * processors have come by, some ten milliseconds.
 */
export const left = () =>
  heartbeat.except(() => {
    const now = footprint()
    return { threads: now.threads - baseline.threads, fds: now.fds - baseline.fds, locks: locksHeld() }
  })
export const nothingLeft = () => Object.values(left()).every((count) => count <= 0)

/** Destroys, and says everything that must hold at that instant. */
export async function destroyed(node, pending) {
  const began = performance.now()
  heartbeat.except(() => node.destroy())
  const tookMs = performance.now() - began
  say({ destroyed: { tookMs, report: node.lastDestroy, state: node.state, left: left() } })
  say({ pending: await Promise.all(pending) })
}

/** Plays the scenario that the command line names. */
export async function play(scenarios) {
  try {
    await scenarios[process.argv[2]]()
    say({ heartbeat: { stalls: heartbeat.stop(), beats: heartbeat.beats } })
  } catch (error) {
    say({ failed: error.stack ?? String(error) })
    process.exitCode = 1
  }
}
