// A handler as the test sees it: started, listened to, told to go on, killed; never left behind.

import { fork } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { within } from './until.mjs'

const PROCESS = fileURLToPath(new URL('./handler_process.mjs', import.meta.url))
const alive = new Set()

export class Handler {
  /**
   * Starts a process that does `job` (see handler_process.mjs). `failpoint` arms one, or several with commas between, as
   * core/src/failpoint.rs says; what happened there is in `tripped`.
   */
  constructor(job, options, args = {}, { failpoint } = {}) {
    this.job = job
    this.said = []
    this.tripped = []
    this.heard = new EventEmitter()
    const env = failpoint === undefined ? process.env : { ...process.env, MAYFLY_FAILPOINT: failpoint, MAYFLY_FAILPOINT_FD: '4' }
    const stdio = ['ignore', 'inherit', 'inherit', 'ipc', ...(failpoint === undefined ? [] : ['pipe'])]
    this.child = fork(PROCESS, [JSON.stringify({ job, options, args })], { stdio, env })
    alive.add(this)
    if (failpoint !== undefined) this.#listen(this.child.stdio[4])
    this.child.on('message', (message) => {
      this.said.push(message)
      this.heard.emit('something')
    })
    this.exited = new Promise((resolve) => {
      // `close` comes after the last message, `exit` may come before it.
      this.child.once('close', (code, signal) => {
        alive.delete(this)
        this.end = { code, signal }
        this.heard.emit('something')
        resolve(this.end)
      })
    })
  }

  #listen(pipe) {
    // The other end may be gone, killed.
    pipe.on('error', () => {})
    createInterface({ input: pipe }).on('line', (line) => {
      this.tripped.push(JSON.parse(line))
      this.heard.emit('something')
    })
  }

  /** The first failpoint that it came to. */
  async trips() {
    while (this.tripped.length === 0) {
      if (this.end) throw new Error(`${this} ended at no failpoint: ${JSON.stringify([this.end, ...this.said])}`)
      await once(this.heard, 'something')
    }
    return this.tripped[0]
  }

  /** What blocks at a failpoint goes on. */
  unblock() {
    this.child.stdio[4].write('.')
  }

  get pid() {
    return this.child.pid
  }

  all(type) {
    return this.said.filter((message) => message.type === type)
  }

  /** The first message of that type, or an error that holds what it said instead. */
  first(type, deadlineMs) {
    return this.nth(type, 1, deadlineMs)
  }

  async nth(type, count, deadlineMs) {
    const found = async () => {
      for (;;) {
        const message = this.all(type)[count - 1]
        if (message) return message
        if (this.end) throw new Error(`${this} ended without ${type}: ${JSON.stringify([this.end, ...this.said])}`)
        await once(this.heard, 'something')
      }
    }
    return within(`${this} to say ${type}`, found(), deadlineMs)
  }

  /** The log records with that message; `args.log` must be set. */
  logged(message) {
    return this.all('log').filter((record) => record.message === message)
  }

  go() {
    this.child.send('go')
  }

  /** It calls `node.destroy()`, whatever it waits for, and ends. */
  destroy() {
    this.child.send('destroy')
  }

  async kill() {
    this.child.kill('SIGKILL')
    return this.exited
  }

  /** To its own end: it must have exited well. Resolves with all that it said. */
  async done(deadlineMs) {
    const { code, signal } = await within(`${this} to end`, this.exited, deadlineMs)
    if (code !== 0) throw new Error(`${this} ended with ${code ?? signal}: ${JSON.stringify(this.said)}`)
    return this.said
  }

  toString() {
    return `handler ${this.job} (pid ${this.pid})`
  }
}

/** Kills what a failed test left. */
export async function killHandlers() {
  await Promise.all([...alive].map((handler) => handler.kill()))
}
