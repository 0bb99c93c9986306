// A heartbeat of this process's event loop: it beats every few milliseconds, and notes when it could not.
//
// Only what the main thread itself did counts: it computed, or it stood in a call. Linux counts for each thread how long it was
// ready and found no processor; that is the machine's doing and is subtracted: the main thread's own waiting, and, of the time
// that it stood in a call, what another thread of the process (one that holds a lock, say) waited meanwhile. A gap in which the
// process read its own code from the disk is not noted. The rest of what machines do to a process shows in pulse.mjs.

import { readFileSync, readdirSync } from 'node:fs'

/** The promise of the event loop: no gap above this. */
export const LIMIT_MS = 20
/** Looking costs a tenth of a millisecond. */
const BEAT_MS = 5

export class Heartbeat {
  /** `[{ fromMs, toMs, ownMs, ranMs, during }]`, by the clock that all processes share. */
  stalls = []
  beats = 0
  /** What goes on, for whoever reads of a stall. */
  during
  #last = look()
  #timer = setInterval(() => this.#beat(), BEAT_MS).unref()

  /** Runs what may take long, `destroy()` or a burst of mints: that gap is not noted. */
  except(action) {
    this.#beat()
    try {
      return action()
    } finally {
      this.#last = look()
    }
  }

  /** Runs what may take that long: what it takes beyond it is a stall like any other. */
  within(allowedMs, action) {
    this.#beat()
    try {
      return action()
    } finally {
      this.#beat(allowedMs)
    }
  }

  stop() {
    this.#beat()
    clearInterval(this.#timer)
    return this.stalls
  }

  /** `allowedMs`: since the last beat, and nobody minds. */
  #beat(allowedMs = BEAT_MS) {
    const [before, now] = [this.#last, look()]
    this.#last = now
    this.beats += 1
    const { ranMs, waitedMs } = since(before.threads, now.threads, process.pid)
    const stoodMs = Math.max(0, now.atMs - before.atMs - allowedMs - ranMs - waitedMs)
    const others = [...now.threads.keys()].filter((id) => id !== process.pid)
    const heldUpMs = Math.max(0, ...others.map((id) => since(before.threads, now.threads, id).waitedMs))
    const ownMs = ranMs + Math.max(0, stoodMs - heldUpMs)
    if (ownMs <= LIMIT_MS || before.faults !== now.faults) return
    this.stalls.push({ fromMs: before.atMs + allowedMs - BEAT_MS, toMs: now.atMs, ownMs, ranMs, during: this.during })
  }
}

/** How long this process's main thread has run on a processor, in ms. */
export const ranMs = () => threadTimes(process.pid).ranMs

function look() {
  const ids = readdirSync('/proc/self/task').map(Number)
  return {
    atMs: Number(process.hrtime.bigint()) / 1e6,
    threads: new Map(ids.map((id) => [id, threadTimes(id)])),
    faults: process.resourceUsage().majorPageFault,
  }
}

function threadTimes(id) {
  try {
    const [ran, waited] = readFileSync(`/proc/self/task/${id}/schedstat`, 'latin1').split(' ')
    return { ranMs: ran / 1e6, waitedMs: waited / 1e6 }
  } catch {
    return { ranMs: 0, waitedMs: 0 } // it has ended
  }
}

function since(before, now, id) {
  const [then, at] = [before.get(id) ?? { ranMs: 0, waitedMs: 0 }, now.get(id)]
  return { ranMs: at.ranMs - then.ranMs, waitedMs: at.waitedMs - then.waitedMs }
}
