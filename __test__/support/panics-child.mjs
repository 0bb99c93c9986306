// One process that lives through a panic at each layer: `{ options, other }` come over IPC, and a case at a time after it.
// A case arms one failpoint, lets a node run into it, and says what the caller saw; then the same wallet receives a payment.
// Another wallet's node runs all the while.

import { readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { MdkNode, isMdkError, setLogListener } from '../../index.mjs'
import { until } from './life.mjs'

const native = createRequire(import.meta.url)('../../native.js')
const seen = (error) => (isMdkError(error) ? { code: error.code, retryable: error.retryable, message: error.message } : { foreign: String(error) })
const outcome = (promise) => promise.then((value) => ({ resolved: value ?? null }), seen)

/** What the failpoint's panic is met by: a call, made after `prepare`, and what it came to. */
const ways = {
  /** Thrown on this thread; the node, which runs on its own, is told to stop. */
  async call(node, armed) {
    await node.startReceiving()
    armed()
    const met = await outcome(node.getBalance())
    await until(() => node.state === 'idle', 'the node to stop')
    return met
  },
  /** The node logs, and must not suffer for it. */
  async log(node, armed) {
    const records = []
    setLogListener((record) => records.push(record), 'debug')
    armed()
    const met = await outcome(node.start())
    // Records come when this thread has time for them.
    const failures = await until(() => {
      const found = records.filter(({ fields }) => fields.code === 'INTERNAL')
      return found.length > 0 && found
    }, 'the record that says so')
    setLogListener(null)
    await node.stop()
    return { ...met, failures: failures.map(({ message }) => message) }
  },
  async start(node, armed) {
    armed()
    return outcome(node.start())
  },
  /** Of a wallet that lived before, since when blocks were mined. */
  async startLater(node, armed) {
    await node.getJitRoute() // a wallet that nothing was written of begins at the tip
    await node.stop()
    await ask('mine')
    // A running node follows the chain by itself, and must not be the one that comes to the failpoint.
    await other.watch()
    before = held()
    armed()
    return outcome(node.start())
  },
  async learnRoute(node, armed) {
    armed()
    return outcome(node.getJitRoute())
  },
  /** The promise that waits is an event's; nobody called what panics. */
  async receive(node, armed) {
    await node.startReceiving()
    const { bolt11 } = await node.getInvoice(21_000, 'One report', 900)
    armed()
    await ask('pay', bolt11)
    return outcome(node.nextEvent(60_000))
  },
  async ack(node, armed) {
    await node.startReceiving()
    const { bolt11 } = await node.getInvoice(21_000, 'One report', 900)
    await ask('pay', bolt11)
    const { id } = await node.nextEvent(60_000)
    await node.stop()
    armed()
    return outcome(node.ackEvent(id))
  },
  async stop(node, armed) {
    await node.startReceiving()
    armed()
    return outcome(node.stop())
  },
  async destroy(node, armed) {
    await node.startReceiving()
    armed()
    const waiting = outcome(node.nextEvent(60_000))
    node.destroy()
    return { ...(await waiting), unfinished: node.lastDestroy.unfinished }
  },
}

const { options, other: otherOptions } = await ask('options')
const other = new MdkNode(otherOptions)
await other.startReceiving()
let before = held()

for (;;) {
  const next = await ask('next')
  if (next === null) break
  process.send({ result: await play(next).catch((error) => ({ failed: error.stack })) })
}
const { bolt11 } = await other.getInvoice(21_000, 'Another report', 900)
await ask('pay', bolt11)
const event = await other.nextEvent(60_000)
await other.ackEvent(event.id)
process.send({ result: { other: other.state, received: event.amountMsat } })
other.destroy()
process.disconnect()

async function play({ name, point, way }) {
  const mine = { ...options[name] }
  const node = new MdkNode(mine)
  const met = await ways[way](node, () => native.selftestArm(`${point}:1:panic`))
  native.selftestArm('')
  const state = node.state
  const locks = more().filter((name) => name.startsWith('lock '))
  if (state !== 'idle') node.destroy() // else it would be in the way of the next case
  // Linux lists a thread for a moment after it has ended.
  await until(() => nothingMore(), `the thread, the sockets and the lock of ${point} to be gone: ${JSON.stringify(more())}`)
  const later = state === 'idle' ? node : new MdkNode(mine)
  await later.startReceiving()
  const { bolt11 } = await later.getInvoice(34_000, 'One report', 900)
  await ask('pay', bolt11)
  const received = []
  // One that comes late is not waited for once another one was there.
  while (!received.some(({ amountMsat }) => amountMsat === 34_000)) {
    const more = await later.receivePayment(() => {}, { minMs: 30_000 })
    if (more.length === 0) break
    received.push(...more)
  }
  later.destroy()
  return { met, state, locks, received: received.map(({ amountMsat }) => amountMsat).sort(), other: other.state }
}

/** The parent's answer. */
function ask(what, about) {
  return new Promise((resolve) => {
    process.once('message', resolve)
    process.send({ ask: what, about })
  })
}

/** The threads, files and locks of this process, by name: a count would not tell a new one from one of the other node's. */
function held() {
  const fds = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return `fd ${readlinkSync(`/proc/self/fd/${fd}`)}`
    } catch {
      return undefined // the one that lists them
    }
  })
  const threads = readdirSync('/proc/self/task').map((id) => `thread ${id}`)
  const locks = readFileSync('/proc/locks', 'utf8').split('\n').map((line) => line.split(/\s+/)).filter((lock) => lock[4] === String(process.pid))
  return new Set([...fds.filter(Boolean), ...threads, ...locks.map((lock) => `lock ${lock[5]}`)])
}

function more() {
  return [...held()].filter((name) => !before.has(name))
}

function nothingMore() {
  return more().length === 0
}
