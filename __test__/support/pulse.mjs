// The machine's own pulse: a process per processor, bound to it, that does nothing but notice when it could not run. A gap of
// a heartbeat is the machine's as far as one of these stood still at the same time: a virtual machine that is paused, a
// processor that is taken away from it, or one that is fought over.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { createInterface } from 'node:readline'
import { LIMIT_MS } from './heartbeat.mjs'

/** Far below what is looked for, far above a timer's usual lateness. */
const GAP_MS = 5

/** Beats every millisecond, and prints each gap when it is over, from and to. */
const BEATING = `
  const now = () => Number(process.hrtime.bigint()) / 1e6
  let last = now()
  setInterval(() => {
    const at = now()
    if (at - last > ${GAP_MS}) process.stdout.write(last + ' ' + at + '\\n')
    last = at
  }, 1)
  process.stdout.write('beats\\n')
  process.stdin.on('end', () => process.exit()).resume()`

/** Processors that we may run on; one nameless one where they can't be asked for. */
function processors() {
  const { status, stdout } = spawnSync('taskset', ['-cp', String(process.pid)], { encoding: 'utf8' })
  if (status !== 0) return Array(availableParallelism()).fill(undefined)
  return stdout.split(':').pop().trim().split(',').flatMap((range) => {
    const [from, to = from] = range.split('-').map(Number)
    return Array.from({ length: to - from + 1 }, (_, i) => from + i)
  })
}

export class Pulse {
  #gaps = []
  #children = []

  static async start() {
    const pulse = new Pulse()
    for (const processor of processors()) {
      const bound = processor === undefined ? [] : ['taskset', '-c', String(processor)]
      const [command, ...args] = [...bound, process.execPath, '-e', BEATING]
      const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
      pulse.#children.push(child)
      const lines = createInterface({ input: child.stdout })
      await once(lines, 'line')
      // They end when we do, and a test that fails before it stops them must not wait for them.
      for (const part of [child, child.stdin, child.stdout]) part.unref()
      lines.on('line', (line) => pulse.#gaps.push(line.split(' ').map(Number)))
    }
    return pulse
  }

  /** The stalls that are the process's own: what the machine explains is subtracted. */
  async own(stalls) {
    if (stalls.length === 0) return []
    // A gap that goes on is printed when it is over: the children are asked to end, which each does between two beats.
    for (const child of this.#children) for (const part of [child, child.stdout]) part.ref()
    const ended = this.#children.map((child) => once(child, 'close'))
    this.stop()
    await Promise.all(ended)
    return stalls.filter((stall) => stall.ownMs - this.#covered(stall) > LIMIT_MS)
  }

  stop() {
    for (const child of this.#children) child.stdin.end()
  }

  /** How much of the stall somebody else stood still as well. */
  #covered({ fromMs, toMs }) {
    const cut = this.#gaps.map(([from, to]) => [Math.max(from, fromMs), Math.min(to, toMs)]).filter(([from, to]) => from < to)
    let covered = 0
    let end = fromMs
    for (const [from, to] of cut.sort(([a], [b]) => a - b)) {
      covered += Math.max(0, to - Math.max(from, end))
      end = Math.max(end, to)
    }
    return covered
  }
}
