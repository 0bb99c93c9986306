// The lab as a child process: started, asked over its control API, and always ended.

import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { ensureLab } from '../setup.mjs'

/**
 * Starts a lab and waits for its first line.
 * @param {{ args?: string[], env?: Record<string, string>, quiet?: boolean }} [options] `quiet: false` shows the lab's log; `env` is
 * added to ours
 */
export async function startLab({ args = [], env = {}, quiet = true } = {}) {
  const binary = ensureLab()
  // Its stdin is a pipe of ours: the lab ends when we end, whatever ends us.
  const child = spawn(binary, args, { stdio: ['pipe', 'pipe', quiet ? 'ignore' : 'inherit'], env: { ...process.env, ...env } })
  const exited = new Promise((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })))
  const lines = createInterface({ input: child.stdout })
  const info = await new Promise((resolve, reject) => {
    lines.once('line', (line) => {
      try {
        resolve(JSON.parse(line))
      } catch {
        reject(new Error(`the lab's first line is not JSON: ${line}`))
      }
    })
    exited.then(({ code, signal }) => reject(new Error(`the lab ended before it was ready (${code ?? signal})`)))
  })
  return new Lab(child, exited, info)
}

export class Lab {
  constructor(child, exited, info) {
    this.child = child
    this.exited = exited
    this.info = info
  }

  get pid() {
    return this.child.pid
  }

  /** The options that a node needs to use this lab. */
  options(more = {}) {
    return {
      network: 'regtest',
      esploraUrl: this.info.esploraUrl,
      lspNodeId: this.info.lspNodeId,
      lspAddress: this.info.lspAddress,
      ...more,
    }
  }

  async get(path) {
    const response = await fetch(this.info.controlUrl + path)
    return this.#body(path, response)
  }

  async post(path, body = {}) {
    const response = await fetch(this.info.controlUrl + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    return this.#body(path, response)
  }

  async #body(path, response) {
    const text = await response.text()
    let body
    try {
      body = JSON.parse(text)
    } catch {
      throw new Error(`the lab answered ${path} with ${response.status} and no JSON: ${text}`)
    }
    if (!response.ok && response.status !== 402) throw new Error(`the lab refused ${path}: ${text}`)
    return body
  }

  /** Pays; resolves with `{ preimage, feeMsat, ms }` or `{ error }`. */
  pay(bolt11, timeoutMs = 30_000) {
    return this.post('/pay', { bolt11, timeoutMs })
  }

  async stop() {
    this.child.stdin.end()
    return this.exited
  }
}
