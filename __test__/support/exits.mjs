// The process of exits-child.mjs as its test sees it.

import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { PATIENCE_MS, within } from './life.mjs'

const CHILD = new URL('./exits-child.mjs', import.meta.url)

export class Exit {
  #said = {}
  #heard = () => {}

  /** `state`: of its node; `how` it ends; `at`: the log record at which it does, when it is paid. */
  constructor(t, { how, state, options, at = '' }) {
    this.how = how
    this.name = `a process that is ${state} and ends by ${how}`
    const isRepl = how === 'repl'
    const env = { ...process.env, EXIT_HOW: how, EXIT_STATE: state, EXIT_AT: at, EXIT_OPTIONS: JSON.stringify(options), NODE_REPL_HISTORY: '' }
    this.child = spawn(process.execPath, isRepl ? ['-i'] : [fileURLToPath(CHILD)], { env, stdio: ['pipe', 'ignore', 'pipe', 'pipe'] })
    t.after(() => this.child.kill('SIGKILL'))
    this.child.stdin.on('error', () => {}) // it may be gone already
    if (isRepl) this.child.stdin.write(`import(${JSON.stringify(CHILD.href)})\n`)
    this.stderr = ''
    this.child.stderr.on('data', (data) => (this.stderr += data))
    const [, , , line] = this.child.stdio
    line.on('error', () => {}) // ended with a word of ours unread
    createInterface({ input: line }).on('error', () => {}).on('line', (said) => {
      Object.assign(this.#said, JSON.parse(said))
      this.#heard()
    })
    this.closed = new Promise((resolve) => this.child.once('close', (code, signal) => resolve({ code, signal, stderr: this.stderr })))
  }

  /** What it said under that key. */
  async said(key) {
    const said = new Promise((resolve) => {
      this.#heard = () => key in this.#said && resolve(this.#said[key])
      this.#heard()
    })
    const gone = this.closed.then((end) => {
      if (!(key in this.#said)) throw new Error(`${this.name} ended without saying ${key}: ${JSON.stringify(end)}`)
      return this.#said[key]
    })
    return within(Promise.race([said, gone]), `${this.name} to say ${key}`)
  }

  /** It goes on, to whatever is next. */
  tell() {
    this.child.stdio[3].write('on\n')
  }

  /** Its end: `{ code, signal, stderr }`. A watchdog: nothing of what it might wait for is over by then. */
  async ends() {
    if (this.how === 'repl') this.child.stdin.end()
    else this.tell()
    return within(this.closed, `${this.name} to be gone`, PATIENCE_MS)
  }
}
