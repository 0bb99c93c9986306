// A worker in a process of its own, whose code stands in the test: it says what it sees in lines of JSON, and how it ends is what
// is looked at. One that does not end is told with its stacks (watchdog.mjs).

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { root } from './child.mjs'
import { options } from './options.mjs'
import { within } from './until.mjs'
import { gone, withReport } from './watchdog.mjs'
import { folder } from './life.mjs'

/** What the code has: mayfly, the options of a node, a way to say something, and what became of a promise. */
const PRELUDE = `
  const fs = require('node:fs')
  const mayfly = require(${JSON.stringify(root)})
  const native = require(${JSON.stringify(`${root}native.js`)})
  const OPTIONS = JSON.parse(process.env.WORKER_OPTIONS)
  const say = (line) => fs.writeSync(1, JSON.stringify(line) + '\\n')
  const outcome = (promise) => promise.then(() => 'resolved', (error) => error.code ?? String(error))
  // One that ends between the two calls is none any more.
  const comm = (id) => { try { return fs.readFileSync('/proc/self/task/' + id + '/comm', 'utf8').trim() } catch { return '' } }
  const threads = () => fs.readdirSync('/proc/self/task').map(comm).filter((name) => name.startsWith('mayfly'))
`

export class WorkerProcess {
  #lines = []
  #look = () => {}

  /** Runs `code` (CommonJS). `ipc`: with a channel to this process. `under`: a command that it runs under. */
  constructor(t, code, { given = {}, ipc = false, env = {}, under = [] } = {}) {
    const [command, ...args] = [...under, process.execPath, ...withReport(folder(t)), '--input-type=commonjs', '-e', PRELUDE + code]
    this.process = spawn(command, args, {
      env: { ...process.env, ...env, WORKER_OPTIONS: JSON.stringify(options(given)) },
      stdio: ['ignore', 'pipe', 'pipe', ...(ipc ? ['ipc'] : [])],
    })
    this.stderr = ''
    this.process.stderr.on('data', (data) => (this.stderr += data))
    const lines = createInterface({ input: this.process.stdout })
    this.read = once(lines, 'close')
    lines.on('line', (line) => {
      this.#lines.push(JSON.parse(line))
      this.#look()
    })
    t.after(() => this.process.kill('SIGKILL'))
  }

  /** What the first line with that key says. */
  said(key) {
    const line = new Promise((resolve, reject) => {
      this.#look = () => {
        const found = this.#lines.find((candidate) => key in candidate)
        if (found) resolve(found[key])
      }
      this.#look()
      this.read.then(() => reject(new Error(`it ended without saying ${key}: ${this.stderr}`)))
    })
    return within(`it to say ${key}`, line)
  }

  kill(signal) {
    this.process.kill(signal)
  }

  /** What it said, once it has ended as expected: with that exit code, or by that signal. */
  async ends(how) {
    const expected = typeof how === 'number' ? { code: how, signal: null } : { code: null, signal: how }
    const ended = await gone(this.process, 'the worker')
    await within('its last words', this.read)
    assert.deepEqual(ended, expected, `it ended otherwise: ${this.stderr} ${JSON.stringify(this.#lines)}`)
    return Object.assign({}, ...this.#lines)
  }
}

/** A service that accepts and never answers: who asks it waits. `reached()` resolves when somebody has. */
export async function silentService(t) {
  const server = createServer()
  const reached = once(server, 'connection')
  const sockets = []
  server.on('connection', (socket) => sockets.push(socket.on('error', () => {})))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { url: `http://127.0.0.1:${server.address().port}`, reached: () => within('somebody to ask the silent service', reached) }
}
