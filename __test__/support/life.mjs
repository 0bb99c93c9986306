// What the tests of a node's life share: conditions with a deadline, folders that go away, and child processes that talk in
// lines of JSON. A child ends by itself; one that does not is an error of its test, not a hang.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const CHILD = fileURLToPath(new URL('./life-child.mjs', import.meta.url))

/** Generous: a loaded machine with two cores. Only what is broken takes so long. */
export const PATIENCE_MS = 15_000

/** Looks until `condition` gives something truthy, which it returns. */
export async function until(condition, what, patienceMs = PATIENCE_MS) {
  const deadline = performance.now() + patienceMs
  for (;;) {
    const found = await condition()
    if (found) return found
    if (performance.now() > deadline) throw new Error(`waited ${patienceMs} ms in vain for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** `promise`, or an error that names what did not come. */
export async function within(promise, what, patienceMs = PATIENCE_MS) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${patienceMs} ms in vain for ${what}`)), patienceMs)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Runs `call`, which must reject, and returns the error. */
export async function rejection(call, what = 'the call') {
  try {
    await (typeof call === 'function' ? call() : call)
  } catch (error) {
    return error
  }
  return assert.fail(`${what} was expected to fail`)
}

/** A temporary folder; `t` is a test's context, or anything with `after`. */
export function folder(t) {
  const path = mkdtempSync(join(tmpdir(), 'mayfly-life-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** A process that plays one scenario of `life-child.mjs`. */
export class Child {
  #lines = []
  #waiters = new Set()

  constructor(t, scenario, { options, args = [], under = [], nodeArgs = [] }) {
    const [command, ...rest] = [...under, process.execPath, ...nodeArgs, CHILD, scenario, ...args]
    this.scenario = scenario
    // The options hold a mnemonic: the environment is not in the process list, arguments are.
    this.process = spawn(command, rest, {
      env: { ...process.env, LIFE_OPTIONS: JSON.stringify(options) },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    this.process.stdin.on('error', () => {}) // it may be gone already
    this.stderr = ''
    this.process.stderr.on('data', (data) => (this.stderr += data))
    this.closed = new Promise((resolve) => this.process.once('close', (code, signal) => resolve({ code, signal })))
    createInterface({ input: this.process.stdout }).on('line', (line) => {
      this.#lines.push(JSON.parse(line))
      for (const look of this.#waiters) look()
    })
    t.after(() => this.process.exitCode ?? this.process.kill('SIGKILL'))
  }

  get pid() {
    return this.process.pid
  }

  /** The first line with that key; its value. */
  async said(key) {
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
      return await within(Promise.race([found, gone]), `${this.scenario} to say ${key}`, PATIENCE_MS * 2)
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

/** Receives one payment of `amountMsat` in this process. */
export async function receiveOne(lab, node, amountMsat = 21_000) {
  const { bolt11 } = await node.getInvoice(amountMsat, 'One report', 900)
  const paying = lab.pay(bolt11)
  const received = await node.receivePayment(() => {}, { minMs: PATIENCE_MS })
  const paid = await paying
  assert.ok(paid.preimage, `the payment failed: ${paid.error}`)
  assert.equal(received.length, 1)
  return received[0]
}
