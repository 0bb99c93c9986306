// A worker as a platform runs it: an HTTP server, the shutdown hooks, and a node in the state that the test asks for. It never ends
// by itself. How it ended is in a file that it writes as its last act: nobody can ask for the exit code of an orphan, and a process
// that was killed writes none.

import { appendFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { MdkNode, installShutdownHooks, isMdkError, setLogListener, shutdownWorker } from '../../../index.mjs'
import { REACHED, die } from '../hanging.mjs'
import { until } from '../life.mjs'

const { state, options, shutdown, files, dies, go } = JSON.parse(process.argv[2])

/** What became of the calls that were under way. */
const outcomes = []
const calls = (...promises) => {
  for (const promise of promises) promise.then(() => outcomes.push('resolved'), (error) => outcomes.push(isMdkError(error) ? error.code : String(error)))
}
process.once('exit', (code) => writeFileSync(files.end, JSON.stringify({ code, outcomes })))

const listening = new Set()
setLogListener((record) => {
  for (const listener of listening) listener(record)
  if (['info', 'warn', 'error'].includes(record.level)) appendFileSync(files.log, `${JSON.stringify(record)}\n`)
}, state === 'paying' ? 'trace' : 'info')

/** Resolves when it is written. */
const say = (type, more = {}) => new Promise((resolve) => process.send({ type, ...more }, resolve))
const logged = (text) =>
  new Promise((resolve) => {
    listening.add((record) => {
      if (record.message.includes(text)) resolve()
    })
  })

const node = new MdkNode(options)

/** A start that comes to a service, and no further. */
const booting = (service) => async () => {
  if (dies !== undefined) die(dies)
  calls(node.start(), node.nextEvent(60_000))
  await until(() => REACHED[service](node, options), `${service} to be asked`)
}

const received = (payment) => appendFileSync(files.received, `${JSON.stringify({ payment })}\n`)
const told = async (payment) => {
  received(payment)
  await reached()
  await new Promise(() => {}) // whatever it does, it is not done
}

/** Each resolves when the worker is there. `reached` may come from within, or by itself. */
const STATES = {
  async idle() {
    await node.getInvoice(21_000, 'One report', 900)
  },
  async contended() {
    calls(node.start(), node.nextEvent(60_000))
    await until(() => node.state === 'starting', 'the start')
  },
  esplora: booting('esplora'),
  lsp: booting('lsp'),
  dns: booting('dns'),
  store: booting(options.store.startsWith('file:') ? 'disk' : 'postgres'),
  async running() {
    await node.startReceiving()
    calls(node.nextEvent(60_000))
  },
  /** The payment's HTLC is there, and nobody has it yet. */
  async paying() {
    const coming = logged('Received message UpdateAddHTLC')
    calls(node.receivePayment(received))
    await coming
  },
  /** The handler has it, and has not acked it. */
  async told() {
    calls(node.receivePayment(told))
    await new Promise(() => {})
  },
  /** A failpoint says when it is there. */
  async committing() {
    calls(node.receivePayment(received))
    await new Promise(() => {})
  },
  /** The webhook's handler, from its first to its last line: a signal comes when it comes. */
  async receiving() {
    const payments = await node.receivePayment(received)
    await node.stop()
    await say('done', { payments })
  },
}

let said = false
async function reached() {
  if (said) return
  said = true
  await say('reached', { stats: node.stats() })
}

installShutdownHooks(shutdown)
const server = createServer((request, response) => {
  response.writeHead(200, { connection: 'close' }).end('ok')
  if (request.url === '/close') server.close(() => shutdownWorker(shutdown))
})
server.listen(0, '127.0.0.1', async () => {
  await say('ready', { port: server.address().port })
  if (go) await new Promise((resolve) => process.once('message', resolve))
  try {
    await STATES[state]()
    await reached()
  } catch (error) {
    // Told to end in the middle of it.
    if (error.code !== 'NODE_DESTROYED') await say('failed', { code: error.code, message: error.message })
  }
})
