// A worker as the test sees it: started, brought to a state, ended in one of the ways in which a platform ends it.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { folder } from '../life.mjs'
import { within } from '../until.mjs'
import { gone, pidOf, stacks, vanished, withReport } from '../watchdog.mjs'
import { granted } from './platform.mjs'

const script = (name) => fileURLToPath(new URL(`./${name}`, import.meta.url))

/** Not 0: an exit that came about in another way than the one asked for would show. */
const EXIT_CODE = 7
/** More than any of these needs on a busy machine: it is the test that judges the time. */
const KILL_AFTER_MS = 20_000
/** Where something hangs for ever, all of it passes. */
const DESTROY_TIMEOUT_MS = 300

/** What ends a worker, by name. `orphan`: it has a parent of its own, which can be killed. */
export const WAYS = {
  SIGTERM: { end: (worker) => process.kill(worker.pid, 'SIGTERM') },
  'close of the API': { end: (worker) => worker.request('/close') },
  'IPC disconnect': { end: (worker) => worker.child.disconnect() },
  'parent SIGKILLed': { orphan: true, end: (worker) => worker.child.kill('SIGKILL') },
}

export class Worker {
  said = []
  #heard = new EventEmitter()

  /**
   * `state`: see worker-process.mjs. `env` and `dies`: what hangs below it. `failpoint`: see core/src/failpoint.rs. `go`: it does nothing
   * until told.
   */
  constructor(t, state, options, { orphan = false, env = {}, dies, failpoint, go = false, shutdown = {} } = {}) {
    const home = folder(t)
    this.state = state
    this.files = { end: join(home, 'end'), log: join(home, 'log'), received: join(home, 'received') }
    const asked = { killAfterMs: KILL_AFTER_MS, destroyTimeoutMs: DESTROY_TIMEOUT_MS, exitCode: EXIT_CODE, ...shutdown }
    const input = JSON.stringify({ state, options, shutdown: asked, files: this.files, dies, go })
    const args = orphan ? [script('parent-process.mjs'), script('worker-process.mjs'), input] : [...withReport(home), script('worker-process.mjs'), input]
    const armed = failpoint !== undefined && { MAYFLY_FAILPOINT: failpoint, MAYFLY_FAILPOINT_FD: '4' }
    this.child = spawn(process.execPath, [...args, ...(orphan && armed ? ['4'] : [])], {
      env: { ...process.env, ...env, ...armed },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc', ...(armed ? ['pipe'] : [])],
    })
    if (!orphan) this.pid = this.child.pid
    this.child.on('message', (message) => this.#hear(message))
    this.child.once('exit', () => {
      this.endedAt = performance.now()
      this.#heard.emit('something')
    })
    if (armed) createInterface({ input: this.child.stdio[4].on('error', () => {}) }).on('line', (line) => this.#hear({ type: 'reached', ...JSON.parse(line) }))
    t.after(() => this.#kill())
  }

  #hear(message) {
    if (message.type === 'pid') this.pid = message.pid
    this.said.push(message)
    this.#heard.emit('something')
  }

  /** What a failed test left. */
  #kill() {
    this.child.kill('SIGKILL')
    if (this.known && !existsSync(this.files.end)) {
      try {
        process.kill(this.pid, 'SIGKILL')
      } catch {
        // It is gone.
      }
    }
  }

  /** `received` is written to a file, at once: who disconnects hears nothing more. */
  all(type) {
    return type === 'received' ? lines(this.files.received) : this.said.filter((message) => message.type === type)
  }

  /** The first message of that type. */
  async first(type) {
    const found = async () => {
      for (;;) {
        const [message] = this.all(type)
        if (message) return message
        const { exitCode, signalCode } = this.child
        if ((exitCode ?? signalCode) !== null) throw new Error(`${this} ended (${exitCode ?? signalCode}) without ${type}: ${JSON.stringify(this.said)}`)
        await once(this.#heard, 'something')
      }
    }
    return within(`${this} to say ${type}`, found())
  }

  /** Resolves when it is in its state. */
  async reached() {
    const message = await this.first('reached')
    this.known = pidOf(this.pid)
    return message
  }

  async request(path) {
    const { port } = await this.first('ready')
    await fetch(`http://127.0.0.1:${port}${path}`)
  }

  /**
   * Ends it in one of `WAYS`, and resolves with how long it took when it is gone: by itself, with the code that was asked for, and when it
   * had `withinMs` at the most (see platform.mjs).
   */
  async endsBy(way, { withinMs, pulse }) {
    const began = performance.now()
    const { orphan, end } = WAYS[way]
    const ended = orphan ? vanished(this.known, this) : gone(this.child, this)
    ended.catch(() => {}) // looked at below
    const inTime = granted(this.known, ended, { budgetMs: withinMs, pulse })
    const told = end(this)
    if (!(await inTime)) {
      const where = await stacks(orphan ? this.known : this.child)
      this.#kill()
      throw new Error(`${this} had ${withinMs} ms to end after ${way}, and it is here:\n${where}`)
    }
    const how = await ended
    if (!orphan) assert.deepEqual(how, { code: EXIT_CODE, signal: null }, `${this} said ${JSON.stringify(this.logged())}`)
    // Of an orphan it is known to a few milliseconds.
    const ms = (orphan ? performance.now() : this.endedAt) - began
    await told
    assert.equal(this.end()?.code, EXIT_CODE, `${this} ended by itself`)
    return ms
  }

  /** Of one that something else ended: it came to its end by itself, and left nothing; or `mayLeave`, and it says what. */
  assertEndedAsAsked(when, { mayLeave = false } = {}) {
    const { exitCode, signalCode } = this.child
    assert.deepEqual([exitCode, signalCode, this.end()?.code], [EXIT_CODE, null, EXIT_CODE], when)
    if (mayLeave) this.told()
    else this.assertToldWhatIsLeft()
  }

  /** What it left as its last act, `{ code, outcomes }`; undefined when it was killed. */
  end() {
    return existsSync(this.files.end) ? JSON.parse(readFileSync(this.files.end, 'utf8')) : undefined
  }

  /** What it logged, from `info` up. */
  logged() {
    return lines(this.files.log)
  }

  /** The fields of the shutdown's own record, of which there is one. */
  told() {
    const records = this.logged().filter(({ message }) => message.startsWith("the worker's nodes have ended"))
    assert.equal(records.length, 1, `${this} said ${JSON.stringify(this.logged())}`)
    return records[0].fields
  }

  /**
   * It says what was left undone: exactly where a native thread is stuck, the store says nothing, or something was asked of it. True: the
   * lease may have to end with its time.
   */
  assertToldWhatIsLeft({ stuck = false, silent = false, asks = false } = {}) {
    const { unfinished } = this.told()
    if (stuck) assert.match(unfinished, /is stuck/)
    else if (silent) assert.match(unfinished, /lease/)
    else if (asks && unfinished !== undefined) assert.match(unfinished, /^a claim was under way|commit was cut short/)
    else assert.equal(unfinished, undefined)
    return unfinished !== undefined
  }

  toString() {
    return `worker in state ${this.state} (pid ${this.pid})`
  }
}

/** What it appended to that file so far. */
function lines(file) {
  if (!existsSync(file)) return []
  return readFileSync(file, 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line))
}
