// What the tests of nodes that share one running node ask: what of it there is, here and at the LSP.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { MdkNode, generateMnemonic } from '../../index.mjs'
import { footprint, locksHeld } from '../../scripts/support/footprint.mjs'
import { folder, until, within } from './life.mjs'
import { storeAt } from './store.mjs'
import { noThreads, threads } from './threads.mjs'

/** A wallet, and the nodes of it that a test makes. */
export class Household {
  #t

  constructor(t, lab, more = {}) {
    this.#t = t
    this.lab = lab
    this.options = lab.options({ mnemonic: generateMnemonic(), store: storeAt(folder(t)), ...more })
  }

  /** One more node of the wallet; gone with the test, which does not keep it from being collected. */
  node(more = {}) {
    const node = new MdkNode({ ...this.options, ...more })
    const kept = new WeakRef(node)
    this.#t.after(() => kept.deref()?.destroy())
    this.nodeId ??= node.getNodeId()
    return node
  }

  nodes(count) {
    return Array.from({ length: count }, () => this.node())
  }

  /** The LSP sees it. */
  async isConnected() {
    return (await this.lab.get('/lsp/peers')).includes(this.nodeId)
  }

  async leaves() {
    await until(async () => !(await this.isConnected()), 'the LSP to see the node go')
  }

  /** How often the LSP has greeted it since `ns` of the monotonic clock. */
  async greetings(ns = 0n) {
    const messages = await this.lab.get(`/messages?since=${ns}`)
    return messages.filter(({ peer, direction, type }) => peer === this.nodeId && direction === 'sent' && type === 'init').length
  }

  /** One thread, one lease, one connection. */
  async isOne(nodes, ns) {
    assert.equal(threads(), 1)
    assert.deepEqual(nodes.map((node) => node.state), nodes.map(() => 'running'))
    assert.equal(new Set(nodes.map((node) => node.stats().epoch)).size, 1, 'one lease')
    assert.deepEqual(nodes.map((node) => node.stats().lspConnections), nodes.map(() => 1))
    assert.equal(await this.greetings(ns), 1, 'one connection')
  }

  /** A payment that `node` mints and gets as its next event. */
  async paysTo(node, amountMsat = 21_000) {
    const { bolt11, paymentHash } = await node.getInvoice(amountMsat, 'One report', 900)
    const [paid, event] = await Promise.all([this.lab.pay(bolt11), within(node.nextEvent(60_000), 'the payment')])
    assert.ok(paid.preimage, `the payment failed: ${paid.error}`)
    assert.equal(event.paymentHash, paymentHash)
    await node.ackEvent(event.id)
  }
}

/** Threads, descriptors and locks of this process, to come back to. */
export class Baseline {
  #lab
  #fds

  constructor(lab) {
    assert.deepEqual([threads(), locksHeld()], [0, 0], 'an earlier test left something')
    this.#lab = lab
    this.#fds = this.#open()
  }

  /** They are back. Linux lists a thread for a moment after its join. */
  async isBack() {
    assert.equal(locksHeld(), 0)
    await noThreads()
    await until(() => this.#open() <= this.#fds, 'the descriptors to be back')
  }

  /** How many descriptors are open, but for what `fetch` keeps open to the lab's control. */
  #open() {
    return footprint().fds - connectionsTo(Number(new URL(this.#lab.info.controlUrl).port))
  }
}

/** How many connections this machine has to that port; only this process talks to its lab's control. */
function connectionsTo(port) {
  const ESTABLISHED = '01'
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  const lines = readFileSync('/proc/net/tcp', 'utf8').trim().split('\n').slice(1)
  const fields = lines.map((line) => line.trim().split(/\s+/))
  return fields.filter(([, , remote, state]) => remote.endsWith(`:${hex}`) && state === ESTABLISHED).length
}

export const monotonic = () => process.hrtime.bigint()
