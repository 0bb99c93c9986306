// One function instance: a process of its own that serves one request and ends. What it has to say goes to stdout, one JSON
// line each: `{ at, text }` for the timeline, `{ response }` for the gateway, `{ left }` for what it leaves behind.

import { footprint, locksHeld } from '../support/footprint.mjs'
import { challenge, isPaid } from './l402.mjs'
import { MdkNode } from '../../index.mjs'

const request = JSON.parse(process.argv[2])
const options = JSON.parse(process.env.MAYFLY_OPTIONS)
const secret = process.env.SHOP_SECRET
const before = footprint()
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)
const mark = (text) => say({ at: performance.timeOrigin + performance.now(), text })

const handlers = {
  /** GET /report without payment: mint and answer 402. */
  async mint() {
    const node = new MdkNode(options)
    const began = performance.now()
    const invoice = await node.getInvoice(21_000, 'One report', 900)
    mark(`minted an invoice in ${(performance.now() - began).toFixed(1)} ms, no socket, no thread`)
    return { status: 402, headers: { 'WWW-Authenticate': challenge(secret, invoice) }, body: 'Payment Required' }
  },

  /** POST /webhook from the LSP: wake, receive, vanish. */
  async receive() {
    mark('woke')
    const node = new MdkNode(options)
    try {
      const received = await node.receivePayment(async (payment) => {
        mark(`received ${payment.amountMsat} msat, claimed and durable`)
      })
      mark(`fulfilled and revoked; ${received.length} payment${received.length === 1 ? '' : 's'}`)
    } finally {
      node.destroy()
    }
    mark(`vanished (destroy took ${node.lastDestroy.durationMs.toFixed(1)} ms)`)
    return { status: 200, headers: {}, body: 'ok' }
  },

  /** GET /report with a preimage. */
  async deliver() {
    if (!isPaid(secret, request.authorization)) return { status: 401, headers: {}, body: 'not paid' }
    mark('the preimage fits: delivered')
    return { status: 200, headers: {}, body: 'The report: mayflies live for a day.' }
  },

  /** Once, before the first sale: learn the JIT route to put into the environment. */
  async route() {
    const node = new MdkNode(options)
    try {
      return { status: 200, headers: {}, body: JSON.stringify({ nodeId: node.getNodeId(), route: await node.getJitRoute() }) }
    } finally {
      await node.stop()
      node.destroy()
    }
  },
}

const response = await handlers[request.handler]()
const after = footprint()
say({ response })
say({ left: before && { threads: after.threads - before.threads, sockets: after.sockets - before.sockets, locks: locksHeld() } })
