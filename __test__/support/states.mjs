// Every method of a node, and every state that a node can be in, brought about by what brings it about for users: an Esplora that
// does not answer, an LSP whose goodbye does not come, a newer holder.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { MdkNode, generateMnemonic, isMdkError } from '../../index.mjs'
import { ensureLab } from '../../scripts/setup.mjs'
import { rejection, until, within } from './life.mjs'

const ADDRESS = 'bcrt1q6rz28mcfaxtmd6v789l9rrlrusdprr9pz3cppk'
const HASH = '00'.repeat(32)
const SCID = '100x1x0'

/** One call of each, which is right in itself: what it is refused for is the state, or that there is nothing to close or send. */
export const CALLS = {
  state: (node) => node.state,
  lastDestroy: (node) => node.lastDestroy,
  wakeBy: (node) => node.wakeBy,
  stats: (node) => node.stats(),
  getNodeId: (node) => node.getNodeId(),
  getInvoice: (node) => node.getInvoice(1_000, 'x', 900),
  getVariableAmountJitInvoice: (node) => node.getVariableAmountJitInvoice('x', 900),
  getInvoiceWithScid: (node) => node.getInvoiceWithScid(SCID, 1_000, 'x', 900),
  getVariableAmountJitInvoiceWithScid: (node) => node.getVariableAmountJitInvoiceWithScid(SCID, 'x', 900),
  getJitRoute: (node) => node.getJitRoute(),
  start: (node) => node.start(),
  startReceiving: (node) => node.startReceiving(),
  stop: (node) => node.stop(),
  stopReceiving: (node) => node.stopReceiving(),
  nextEvent: (node) => node.nextEvent(),
  /** Ended when a later call was answered, which it would otherwise wait for without end. */
  async events(node) {
    const events = node.events()
    const next = events.next()
    next.catch(() => {})
    await node.getBalance().catch(() => {})
    await events.return()
    return next
  },
  ackEvent: (node) => node.ackEvent('none'),
  receivePayment: (node) => node.receivePayment(() => {}, { minMs: 1, quietMs: 1 }),
  watch: (node) => node.watch(),
  getBalance: (node) => node.getBalance(),
  listChannels: (node) => node.listChannels(),
  getPayment: (node) => node.getPayment(HASH),
  listPayments: (node) => node.listPayments(),
  closeChannel: (node) => node.closeChannel(HASH),
  getOnchainAddress: (node) => node.getOnchainAddress(),
  sendAllOnchain: (node) => node.sendAllOnchain(ADDRESS),
  destroy: (node) => node.destroy(),
  '[Symbol.dispose]': (node) => node[Symbol.dispose](),
  '[Symbol.asyncDispose]': (node) => node[Symbol.asyncDispose](),
}

/** What a call comes to: `returns` and `throws …` at once, `resolves` or a code later. */
export async function outcome(call) {
  const failure = (error) => (isMdkError(error) ? error.code : `no MdkError: ${error?.stack ?? error}`)
  let result
  try {
    result = call()
  } catch (error) {
    return `throws ${failure(error)}`
  }
  if (!(result instanceof Promise)) return 'returns'
  return result.then(() => 'resolves', failure)
}

/** A goodbye is held for a second; a machine that stands still for longer gets another try. */
const TRIES = 10
/** Nothing that is held on purpose runs into one of these. */
const TIMEOUTS = { chainMs: 60_000, syncMs: 60_000, lspMs: 60_000, lspRequestMs: 60_000, connectMs: 60_000 }

/** Brings nodes into each state, in which each is called once. `folder`: their stores. */
export class States {
  constructor(lab, folder) {
    this.lab = lab
    this.folder = folder
  }

  node(store = this.folder) {
    return new MdkNode(this.lab.options({ mnemonic: generateMnemonic(), store: `file:${store}`, timeouts: TIMEOUTS, destroyTimeoutMs: 5_000 }))
  }

  /** `works` each with a node of its own; the results, by their names. */
  async #each(names, work) {
    const all = Object.keys(CALLS).filter((name) => names.includes(name))
    const nodes = new Map(all.map((name) => [name, this.node()]))
    try {
      const found = await Promise.all(all.map(async (name) => [name, await work(nodes.get(name), name)]))
      return Object.fromEntries(found)
    } finally {
      for (const node of nodes.values()) node.destroy()
    }
  }

  idle(names) {
    return this.#each(names, (node, name) => outcome(() => CALLS[name](node)))
  }

  /** `atOnce`: those that are answered while Esplora is silent. The others are told with `waits, `. */
  async starting(names, atOnce) {
    await this.lab.post('/faults', { link: 'esplora', blackhole: true })
    const waiting = []
    let release
    const released = new Promise((resolve) => (release = resolve))
    const found = this.#each(names, async (node, name) => {
      node.start().catch(() => {})
      await until(() => node.state === 'starting', 'the start')
      let isReleased = false
      released.then(() => (isReleased = true))
      const called = outcome(() => CALLS[name](node)).then((came) => (isReleased ? `waits, ${came}` : came))
      waiting.push(atOnce.includes(name) ? called : undefined)
      return called
    })
    await until(() => waiting.length === names.length, 'all calls')
    await within(Promise.all(waiting), `an answer to each of ${atOnce}`)
    // As many turns of the event loop as any of the others would need to be answered too early.
    await new Promise(setImmediate)
    release()
    await released
    await this.lab.post('/faults', { link: 'esplora', blackhole: false })
    return found
  }

  running(names) {
    return this.#each(names, async (node, name) => {
      await node.start()
      return outcome(() => CALLS[name](node))
    })
  }

  /** With what became of the node. */
  async stopping(names) {
    const inTheState = async (name, tries = TRIES) => {
      const node = this.node()
      await node.start()
      await this.lab.post('/faults', { link: 'lsp', drop: 'down' })
      node.stop().catch(() => {})
      await until(() => node.state !== 'running', 'the stop')
      const before = node.state
      const called = outcome(() => CALLS[name](node))
      if (before === 'stopping') return { node, called }
      node.destroy()
      if (tries === 0) throw new Error(`${name} was never called in time`)
      await this.lab.post('/faults', { link: 'lsp', drop: null })
      return inTheState(name, tries - 1)
    }
    const found = {}
    for (const name of names) {
      const { node, called } = await inTheState(name)
      await this.lab.post('/faults', { link: 'lsp', drop: null })
      found[name] = await within(called, `${name} of a node that stops`)
      node.destroy()
    }
    return found
  }

  /** It is for ever: what does not end the node finds the same one. */
  async fenced(names) {
    const found = {}
    let node = await this.#fencedNode()
    for (const name of names) {
      found[name] = await within(outcome(() => CALLS[name](node)), `${name} of a fenced node`)
      if (node.state === 'destroyed') node = await this.#fencedNode()
      if (node.state !== 'fenced') throw new Error(`${name} made a fenced node ${node.state}`)
    }
    node.destroy()
    return found
  }

  async #fencedNode() {
    const store = mkdtempSync(join(this.folder, 'fenced-'))
    const node = this.node(store)
    await node.start()
    const database = readdirSync(store).find((name) => name.endsWith('.sqlite'))
    execFileSync(ensureLab(), ['sql', join(store, database), 'UPDATE lease SET epoch = epoch + 1'])
    // Its next commit.
    const { code } = await rejection(node.getOnchainAddress())
    if (code !== 'FENCED' || node.state !== 'fenced') throw new Error(`not fenced: ${code}, ${node.state}`)
    return node
  }

  destroyed(names) {
    return this.#each(names, (node, name) => {
      node.destroy()
      return outcome(() => CALLS[name](node))
    })
  }
}
