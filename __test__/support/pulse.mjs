// The machine's own pulse: a process per processor, bound to it, that does nothing but notice when it could not run. A gap of
// a heartbeat is the machine's as far as one of these stood still at the same time: a virtual machine that is paused, a
// processor that is taken away from it, or one that is fought over.

import { spawn, spawnSync } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { availableParallelism } from 'node:os'
import { createInterface } from 'node:readline'
import { LIMIT_MS } from './heartbeat.mjs'

/** Far below what is looked for, far above a timer's usual lateness. */
const GAP_MS = 5

/** Beats every millisecond, and prints each gap when it is over, from and to. Asked, it answers at the next beat. */
const BEATING = `
  const now = () => Number(process.hrtime.bigint()) / 1e6
  let last = now()
  let asked = true
  setInterval(() => {
    const at = now()
    if (at - last > ${GAP_MS}) process.stdout.write(last + ' ' + at + '\\n')
    if (asked) process.stdout.write('beats\\n')
    asked = false
    last = at
  }, 1)
  process.stdin.on('data', () => (asked = true)).on('end', () => process.exit())`

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
  #beating = []

  static async start() {
    const pulse = new Pulse()
    for (const processor of processors()) {
      const bound = processor === undefined ? [] : ['taskset', '-c', String(processor)]
      const [command, ...args] = [...bound, process.execPath, '-e', BEATING]
      const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
      const answers = new EventEmitter()
      createInterface({ input: child.stdout }).on('line', (line) => {
        if (line === 'beats') answers.emit('beats')
        else pulse.#gaps.push(line.split(' ').map(Number))
      })
      await once(answers, 'beats')
      pulse.#beating.push({ child, answers })
      pulse.#hold(false)
    }
    return pulse
  }

  /** The stalls that are the process's own: what the machine explains is subtracted. */
  async own(stalls) {
    if (stalls.length === 0) return []
    // A gap is printed when it is over: all before the answer are here with it.
    this.#hold(true)
    await Promise.all(
      this.#beating.map(({ child, answers }) => {
        const answered = once(answers, 'beats')
        child.stdin.write('?')
        return answered
      }),
    )
    this.#hold(false)
    return stalls.filter((stall) => stall.ownMs - this.#covered(stall) > LIMIT_MS)
  }

  stop() {
    for (const { child } of this.#beating) child.stdin.end()
  }

  /** Only while they are asked do they keep this process: they end with it, also when a test fails before it stops them. */
  #hold(held) {
    for (const { child } of this.#beating) for (const part of [child, child.stdin, child.stdout]) part[held ? 'ref' : 'unref']()
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
