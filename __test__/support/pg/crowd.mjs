// Processes that contend for one wallet, as their test sees them.

import { fork } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { within } from '../until.mjs'

const PROCESS = fileURLToPath(new URL('./contender.mjs', import.meta.url))
/** A crowd of processes starts on two processors, and one of them waits for all others. */
const PATIENCE_MS = 300_000

export class Contender {
  #heard = new EventEmitter()
  #said = []

  /** Ready when it says so. */
  constructor(t, options) {
    this.child = fork(PROCESS, [JSON.stringify(options)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    this.child.on('message', (message) => {
      this.#said.push(message)
      this.#heard.emit('something')
    })
    this.exited = once(this.child, 'exit')
    this.exited.then(() => this.#heard.emit('something'))
    t.after(() => this.child.kill('SIGKILL'))
  }

  get pid() {
    return this.child.pid
  }

  /** The next thing that it says. */
  async says() {
    const found = async () => {
      while (this.#said.length === 0) {
        if (this.child.exitCode !== null || this.child.signalCode !== null) throw new Error(`contender ${this.pid} has ended (${this.child.exitCode ?? this.child.signalCode})`)
        await once(this.#heard, 'something')
      }
      return this.#said.shift()
    }
    return within(`contender ${this.pid} to say something`, found(), PATIENCE_MS)
  }

  tell(word) {
    this.child.send(word)
  }

  /** To its own end. */
  async ends() {
    this.tell('end')
    const [code, signal] = await within(`contender ${this.pid} to end`, this.exited)
    if (code !== 0) throw new Error(`contender ${this.pid} ended with ${code ?? signal}`)
  }
}
