// A worker of shared-worker.mjs as its test sees it.

import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { within } from './life.mjs'

export class WorkerNode {
  #said = {}
  #heard = () => {}

  constructor(t, options, doing) {
    this.doing = doing
    this.worker = new Worker(new URL('./shared-worker.mjs', import.meta.url), { workerData: { options, doing } })
    this.ended = once(this.worker, 'exit')
    this.failed = new Promise((_, reject) => this.worker.once('error', reject))
    this.failed.catch(() => {}) // told to whoever waits for a word
    this.worker.on('message', (line) => {
      Object.assign(this.#said, line)
      this.#heard()
    })
    t.after(() => this.worker.terminate())
  }

  async said(key) {
    const said = new Promise((resolve) => {
      this.#heard = () => key in this.#said && resolve(this.#said[key])
      this.#heard()
    })
    return within(Promise.race([said, this.failed]), `a worker that is ${this.doing} to say ${key}`)
  }

  /** Its node is destroyed, in its own thread. */
  async destroys() {
    this.worker.postMessage('destroy')
    await this.said('destroyed')
  }

  /** In the middle of whatever it does. */
  async terminate() {
    await within(this.worker.terminate(), `a worker that is ${this.doing} to be terminated`)
  }
}
