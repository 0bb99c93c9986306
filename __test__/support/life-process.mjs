// Child processes that play one scenario of a node's life and talk in lines of JSON, and what must hold of them. A child ends
// by itself; one that does not is an error of its test, not a hang.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { PATIENCE_MS, within } from './life.mjs'

const scriptPath = (name) => fileURLToPath(new URL(`./${name}`, import.meta.url))

/** A watchdog: the promise is destroyTimeoutMs (250 ms), which the bench measures, but here the machine may be busy. */
const DESTROY_MS = 2_000
const NOTHING = { threads: 0, fds: 0, locks: 0 }

/** A process that plays one scenario of a script beside this one. */
export class Child {
  #lines = []
  #waiters = new Set()
  #listeners = []

  constructor(t, scenario, { options, args = [], under = [], nodeArgs = [], env = {}, script = 'life-child.mjs' }) {
    const [command, ...rest] = [...under, process.execPath, ...nodeArgs, scriptPath(script), scenario, ...args]
    this.scenario = scenario
    // The options hold a mnemonic: the environment is not in the process list, arguments are.
    this.process = spawn(command, rest, {
      env: { ...process.env, ...env, LIFE_OPTIONS: JSON.stringify(options) },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    this.process.stdin.on('error', () => {}) // it may be gone already
    this.stderr = ''
    this.process.stderr.on('data', (data) => (this.stderr += data))
    this.closed = new Promise((resolve) => this.process.once('close', (code, signal) => resolve({ code, signal })))
    createInterface({ input: this.process.stdout }).on('line', (line) => {
      const said = JSON.parse(line)
      this.#lines.push(said)
      for (const listener of this.#listeners) listener(said)
      for (const look of this.#waiters) look()
    })
    t.after(() => this.process.exitCode ?? this.process.kill('SIGKILL'))
  }

  get pid() {
    return this.process.pid
  }

  /** Calls `listener` for each line that comes. */
  onLine(listener) {
    this.#listeners.push(listener)
  }

  /** The first line with that key; its value. */
  async said(key, patienceMs = PATIENCE_MS * 2) {
    let look
    const found = new Promise((resolve, reject) => {
      look = () => {
        const line = this.#lines.find((candidate) => key in candidate)
        if (line) resolve(line[key])
        const failure = this.#lines.find((candidate) => 'failed' in candidate)
        if (failure && key !== 'failed') reject(new Error(`${this.scenario} failed: ${failure.failed}`))
      }
      this.#waiters.add(look)
      look()
    })
    const gone = this.closed.then(({ code, signal }) => {
      look()
      throw new Error(`${this.scenario} ended (${code ?? signal}) without saying ${key}: ${this.stderr}`)
    })
    gone.catch(() => {})
    try {
      return await within(Promise.race([found, gone]), `${this.scenario} to say ${key}`, patienceMs)
    } finally {
      this.#waiters.delete(look)
    }
  }

  /** Closes its stdin: the scenario goes on to its end. */
  release() {
    this.process.stdin.end()
  }

  async kill() {
    this.process.kill('SIGKILL')
    return this.closed
  }

  /** Waits for its end, which must be a clean one that it came to by itself. */
  async endsWell() {
    this.release()
    const { code, signal } = await within(this.closed, `${this.scenario} to end by itself`)
    assert.deepEqual({ code, signal }, { code: 0, signal: null }, `${this.scenario} ended badly: ${this.stderr}`)
  }
}

/** So many promises, each rejected by destroy(). */
export const all = (count) => Array(count).fill('NODE_DESTROYED')

/** The child's event loop went on beating. `pulse` tells its stalls from the machine's. */
export async function beat(child, pulse) {
  const { beats, stalls } = await child.said('heartbeat')
  assert.ok(beats > 0, 'a heart that did not beat shows nothing')
  assert.deepEqual(await pulse.own(stalls), [], 'gaps of the event loop')
}

/** Checks what a child said of its destroy, that its event loop did not stall, and that its process ends by itself. */
export async function vanished(child, { pending, pulse }) {
  const report = await child.said('destroyed')
  assert.ok(report.report.durationMs <= DESTROY_MS, `destroy took ${report.report.durationMs} ms`)
  assert.ok(report.tookMs <= DESTROY_MS, `destroy blocked for ${report.tookMs} ms`)
  assert.deepEqual(report.left, NOTHING, 'threads, descriptors and locks after destroy')
  assert.deepEqual(report.report.unfinished, [])
  assert.equal(report.state, 'destroyed')
  assert.deepEqual(await child.said('pending'), pending)
  await child.endsWell()
  await beat(child, pulse)
}

/** A later process gets the payment, and the payer its preimage. */
export async function receivedLater(t, options, paying) {
  const later = new Child(t, 'receive', { options: { ...options, lease: { attempts: 1 } }, args: ['3000'] })
  const received = await later.said('received')
  assert.equal(received.length, 1)
  assert.equal(received[0].amountMsat, 21_000)
  const paid = await within(paying, 'the payer to get its preimage')
  assert.ok(paid.preimage, `the payment failed: ${paid.error}`)
  await later.endsWell()
  return received[0]
}
