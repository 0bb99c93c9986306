// What the tests of a hostile LSP share: a wallet in this process, and the proof that an attack left nothing behind.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { MdkNode, generateMnemonic, isMdkError } from '../../index.mjs'
import { folder, receiveOne, rejection, until } from './life.mjs'
import { noThreads, threads } from './threads.mjs'

/** Waits that a test can watch to their end. */
export const IMPATIENT = { lspRequestMs: 700, lspMs: 4_000, stopMs: 2_000 }

/** A wallet that knows its route; `warm`: with a channel and 500,000 msat in it. */
export async function besieged(t, lab, { warm = true, options = {} } = {}) {
  const store = `file:${join(folder(t), 'store')}`
  const wallet = new Besieged(lab, lab.options({ mnemonic: generateMnemonic(), store, ...options }))
  await wallet.live(async (node) => {
    wallet.nodeId = node.getNodeId()
    if (warm) await receiveOne(lab, node, 500_000)
    wallet.options.jitRoute = await node.getJitRoute()
    await node.stop()
  })
  t.after(() => lab.post('/lsp/hostile', {}))
  return wallet
}

class Besieged {
  constructor(lab, options) {
    this.lab = lab
    this.options = options
  }

  node(more = {}) {
    return new MdkNode({ ...this.options, ...more })
  }

  /** A node's life around `body`, destroyed at its end: nothing of it stays. */
  async live(body, more = {}) {
    const before = threads()
    const node = this.node(more)
    try {
      return await body(node)
    } finally {
      node.destroy()
      await noThreads(before)
    }
  }

  /** The LSP does this wrong until told otherwise. */
  hostile(rules) {
    return this.lab.post('/lsp/hostile', rules)
  }

  say(...messages) {
    return this.lab.post('/lsp/say', { nodeId: this.nodeId, messages })
  }

  open(more) {
    return this.lab.post('/lsp/open', { nodeId: this.nodeId, sats: 100_000, ...more })
  }

  /** The LSP's view. */
  async channels() {
    return (await this.lab.get('/lsp/channels')).filter(({ peer }) => peer === this.nodeId)
  }

  /** What the wallet's store says: money and channels, without what only time and chain change. */
  committed() {
    return this.live(async (node) => {
      const channels = await node.listChannels()
      const kept = channels.map(({ channelId, capacitySats, inboundMsat, outboundMsat, isReady, pendingHtlcs }) =>
        ({ channelId, capacitySats, inboundMsat, outboundMsat, isReady, pendingHtlcs }))
      return { balance: await node.getBalance(), channels: kept, event: await node.nextEvent() }
    })
  }

  /** Runs the attack in a life of its own; then the store says what it said, and a good payment arrives in the same wallet. */
  async withstands(attack, more = {}) {
    const before = await this.committed()
    const mempool = (await this.lab.get('/chain')).mempool
    await this.live(attack, more)
    await this.gone()
    assert.deepEqual(await this.committed(), before, 'the attack changed what is committed')
    const spent = (await this.lab.get('/chain')).mempool.filter((txid) => !mempool.includes(txid))
    assert.deepEqual(spent, [], 'nothing was broadcast')
    await this.isPayable()
  }

  /** The LSP has seen that the wallet left. */
  gone() {
    return until(async () => !(await this.lab.get('/lsp/peers')).includes(this.nodeId), 'the LSP to see that the wallet has left')
  }

  /** An honest LSP pays an honest payment into it. */
  async isPayable(amountMsat = 21_000) {
    await this.hostile({})
    const before = (await this.committed()).balance.lightningMsat
    await this.live((node) => receiveOne(this.lab, node, amountMsat))
    assert.equal((await this.committed()).balance.lightningMsat, before + amountMsat)
  }
}

/** `call` rejects with that code, and its message says `says`. */
export async function isRefused(call, code, says) {
  const error = await rejection(call)
  assert.ok(isMdkError(error), String(error?.stack ?? error))
  assert.equal(error.code, code, error.message)
  if (says) assert.match(error.message, says)
  return error
}
