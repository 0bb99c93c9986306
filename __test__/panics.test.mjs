// A panic at each layer is INTERNAL with its place, for whoever waits. It ends the node that it happened to and leaves nothing of it;
// the process, and the nodes of other wallets in it, live, and the wallet goes on where it was.

import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { generateMnemonic } from '../index.mjs'
import { startLab } from '../scripts/support/lab.mjs'
import { folder, within } from './support/life.mjs'

/** Layer → the failpoint, who runs into it, where that is, and what is done there. */
const LAYERS = {
  'a method of the node': { point: 'MidCall', way: 'call', place: 'src/node.rs', during: 'the binding' },
  'taking the wallet': { point: 'MidClaim', way: 'start', place: 'core/src/store/file/db.rs', during: 'the start' },
  'loading it': { point: 'AfterLoad', way: 'start', place: 'core/src/node/boot.rs', during: 'the start' },
  'following the chain': { point: 'MidSync', way: 'startLater', place: 'core/src/chain/sync.rs', during: 'the start' },
  'the LSP that connects': { point: 'MidPeerMessage', way: 'start', place: 'core/src/checkpoint/messages.rs', during: 'peer_connected' },
  "the LSP's answer to a request": { point: 'MidLspsMessage', way: 'learnRoute', place: 'core/src/lsp/transport.rs', during: 'the connection to the LSP' },
  'a message about a channel': { point: 'MidPeerMessage', way: 'receive', place: 'core/src/checkpoint/messages.rs', during: 'handle_open_channel' },
  'a payment': { point: 'AfterClaim', way: 'receive', place: 'core/src/wallet/payments.rs', during: 'LDK' },
  'the cut': { point: 'BeforeCommit', way: 'receive', place: 'core/src/wallet/mod.rs', during: "the node's loop" },
  'the transaction': { point: 'MidCommit', way: 'receive', place: 'core/src/store/file/db.rs', during: "the node's loop" },
  "the loop's turn": { point: 'AfterSend', way: 'receive', place: 'core/src/node/session.rs', during: "the node's loop" },
  'an ack without a session': { point: 'BeforeAck', way: 'ack', place: 'core/src/node/between.rs', during: 'a call' },
  'leaving the LSP': { point: 'BeforeGoodbye', way: 'stop', place: 'core/src/node/leave.rs', during: "the node's loop" },
  'giving the wallet back': { point: 'BeforeLeaseRelease', way: 'stop', place: 'core/src/node/worker.rs', during: 'the stop' },
  "destroy()'s disconnect": { point: 'BeforeDestroy', way: 'destroy', place: 'core/src/node/worker.rs', during: 'destroy()' },
  "destroy()'s release": { point: 'BeforeLeaseRelease', way: 'destroy', place: 'core/src/node/worker.rs', during: 'destroy()' },
}

const LOG = 'a log record'

let lab, child
before(async () => {
  lab = await startLab({ args: ['--hold-ms', '600000'] })
  child = new Child(lab)
})
after(() => lab.stop())

class Child {
  stderr = ''

  constructor(lab) {
    this.folders = []
    const wallet = () => lab.options({ mnemonic: generateMnemonic(), store: `file:${folder({ after: (gone) => this.folders.push(gone) })}` })
    const options = Object.fromEntries([...Object.keys(LAYERS), LOG].map((name) => [name, wallet()]))
    this.answers = {
      options: () => ({ options, other: wallet() }),
      mine: () => lab.post('/mine', { blocks: 1 }),
      // Answered at once: whether it was paid is known by who received it.
      pay: (bolt11) => void lab.pay(bolt11, 600_000).catch(() => {}),
    }
    this.process = fork(fileURLToPath(new URL('./support/panics-child.mjs', import.meta.url)), [], { stdio: ['ignore', 'inherit', 'pipe', 'ipc'] })
    this.process.stderr.on('data', (data) => (this.stderr += data))
    this.ended = once(this.process, 'close').then(([code, signal]) => ({ code, signal, stderr: this.stderr }))
    this.ready = new Promise((resolve) => (this.isReady = resolve))
    this.process.on('message', (message) => this.#hear(message))
  }

  async #hear({ ask, about, result }) {
    if (ask === 'next') this.isReady()
    else if (ask !== undefined) this.process.send((await this.answers[ask](about)) ?? null)
    else this.results(result)
  }

  /** What the next thing that is asked for came to. */
  async next(what) {
    const gone = this.ended.then((end) => assert.fail(`the process ended: ${JSON.stringify(end)}`))
    await within(Promise.race([this.ready, gone]), 'the process to be ready')
    this.ready = new Promise((resolve) => (this.isReady = resolve))
    const result = new Promise((resolve) => (this.results = resolve))
    this.process.send(what)
    return within(Promise.race([result, gone]), JSON.stringify(what), 60_000)
  }
}

describe('a panic in', () => {
  for (const [name, { point, way, place, during }] of Object.entries(LAYERS)) {
    test(`${name} (${point}) is INTERNAL with its place, and ends the node alone`, async () => {
      const { failed, met, state, locks, received, other } = await child.next({ name, point, way })
      assert.equal(failed, undefined)
      const ends = way === 'destroy'
      // Who waits while destroy() is called is told of that; what went wrong is in its report.
      assert.equal(met.code, ends ? 'NODE_DESTROYED' : 'INTERNAL', JSON.stringify(met))
      assert.equal(met.retryable, false)
      const said = ends ? met.unfinished.join() : met.message
      const expected = new RegExp(`panic at ${place}:\\d+, in ${during.replace('()', '\\(\\)')}: the failpoint ${point}, as asked`)
      assert.match(said, expected)
      assert.equal(state, ends ? 'destroyed' : 'idle')
      assert.deepEqual(locks, [], 'held when the caller was told')
      assert.deepEqual(received, way === 'receive' || way === 'ack' ? [21_000, 34_000] : [34_000])
      assert.equal(other, 'running')
    })
  }
})

test('a panic in what makes a log record loses that record, says so in another, and the node goes on', async () => {
  const { failed, met, received } = await child.next({ name: LOG, point: 'MidLogRecord', way: 'log' })
  assert.equal(failed, undefined)
  assert.equal(met.resolved, null)
  assert.equal(met.failures.length, 1)
  assert.match(met.failures[0], /^a log record is lost: .*panic at src\/log\.rs:\d+, in the binding: the failpoint MidLogRecord, as asked/)
  assert.deepEqual(received, [34_000])
})

test('the node of another wallet in the process was not disturbed, and nothing was printed', async () => {
  assert.deepEqual(await child.next(null), { other: 'running', received: 21_000 })
  assert.deepEqual(await within(child.ended, 'the process to end by itself'), { code: 0, signal: null, stderr: '' })
  for (const gone of child.folders) gone()
})
