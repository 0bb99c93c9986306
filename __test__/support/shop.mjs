// What a test of payments needs: a lab, wallets with a store each, and the webhooks by which the LSP wakes them.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MdkNode, deriveNodeId, generateMnemonic } from '../../index.mjs'
import { startLab } from '../../scripts/support/lab.mjs'
import { Handler, killHandlers } from './handler.mjs'
import { storeAt } from './store.mjs'
import { until } from './until.mjs'

/** `args`: the lab's options. */
export async function openShop(args = []) {
  const lab = await startLab({ args })
  const folder = mkdtempSync(join(tmpdir(), 'mayfly-test-'))
  const wallets = new Map()
  const server = createServer((request, response) => {
    request.resume()
    const wallet = wallets.get(request.url.slice(1))
    // Answered at once: the LSP does not care, and a handler that hangs must not hang the server's end.
    response.writeHead(200).end('ok')
    wallet.woken += 1
    wallet.onWebhook?.()
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${server.address().port}`

  return {
    lab,
    folder,
    /** A new wallet whose JIT route is learnt, and whose webhook is registered with the LSP. */
    async wallet({ options = {}, routed = true } = {}) {
      const store = storeAt(join(folder, `wallet-${wallets.size}`))
      const wallet = new Wallet(lab, lab.options({ mnemonic: generateMnemonic(), store, ...options }))
      wallets.set(wallet.nodeId, wallet)
      await lab.post('/webhooks', { nodeId: wallet.nodeId, url: `${url}/${wallet.nodeId}` })
      if (routed) await wallet.learnRoute()
      return wallet
    },
    async close() {
      await killHandlers()
      await new Promise((resolve) => server.close(resolve).closeAllConnections())
      await lab.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

class Wallet {
  /** How often the LSP called. */
  woken = 0
  /** What the webhook does; nothing at first: nobody is there. */
  onWebhook
  /** The handlers that a webhook started. */
  handlers = []

  constructor(lab, options) {
    this.lab = lab
    this.options = options
    this.nodeId = deriveNodeId(options.mnemonic, options.network)
  }

  /** A node in this process. */
  node(more = {}) {
    return new MdkNode({ ...this.options, ...more })
  }

  /** `more`: options for that node, which may keep its state elsewhere. */
  async learnRoute(more) {
    const node = this.node(more)
    try {
      this.options.jitRoute = await node.getJitRoute()
      await node.stop()
    } finally {
      node.destroy()
    }
  }

  /** An invoice, minted by a node that is gone before it is paid. */
  async invoice(amountMsat, description = 'One report') {
    const node = this.node()
    try {
      return await node.getInvoice(amountMsat, description, 900)
    } finally {
      node.destroy()
    }
  }

  /** `process`: see Handler. */
  start(job, args, more = {}, process = {}) {
    return new Handler(job, { ...this.options, ...more }, args, process)
  }

  /** From now on each webhook starts a handler process. */
  serveWebhooks(args = {}, more = {}) {
    this.onWebhook = () => this.handlers.push(this.start('receive', args, more))
  }

  /** The payment is with the LSP, which waits for us. */
  held(count = 1) {
    return until(`the LSP to hold ${count} payment(s)`, async () => {
      const held = await this.lab.get('/lsp/held')
      return held.filter(({ nodeId }) => nodeId === this.nodeId).length === count
    })
  }

  /** A payment that waits at the LSP: nobody serves the webhook. `paying` resolves when somebody claimed it. */
  async payUnattended(amountMsat, pay = {}) {
    this.onWebhook = undefined
    const { bolt11, paymentHash } = await this.invoice(amountMsat)
    const paying = this.lab.post('/pay', { bolt11, ...pay })
    await this.held()
    return { paymentHash, paying }
  }

  /** The LSP has sent, or got, that message with this wallet since `ns` of the monotonic clock. */
  said(ns, direction, type) {
    return until(`the LSP to have ${direction} ${type}`, async () =>
      (await this.lab.get(`/messages?since=${ns}`)).some(
        (message) => message.peer === this.nodeId && message.direction === direction && message.type === type,
      ),
    )
  }

  /** The LSP's view. */
  async channels() {
    return (await this.lab.get('/lsp/channels')).filter(({ peer }) => peer === this.nodeId)
  }

  /** Mints, pays, and has the webhook's handler receive it. Resolves with the payment as the handler saw it. */
  async sell(amountMsat, { args, more, pay = {} } = {}) {
    const before = this.handlers.length
    this.serveWebhooks(args, more)
    const { bolt11, paymentHash } = await this.invoice(amountMsat)
    const paid = await this.lab.post('/pay', { bolt11, ...pay })
    assert.ok(paid.preimage, `the payment failed: ${paid.error}`)
    assert.equal(this.handlers.length, before + 1, 'one webhook, one handler')
    const handler = this.handlers.at(-1)
    await handler.done()
    const { payments } = await handler.first('payments')
    assert.equal(payments.length, 1)
    assert.equal(payments[0].paymentHash, paymentHash)
    return { ...payments[0], preimage: paid.preimage, handler }
  }
}

/**
 * Everything that was paid is claimed, told and acked: `msat` in all, in one channel that nobody closed, with nothing pending at
 * either end and nothing held. The wallet may remember channels that the LSP dropped before it funded them; nothing is in those.
 */
export async function assertSettled(wallet, { msat, channelId }) {
  await until('the last HTLC to leave the channel', async () =>
    (await wallet.channels()).every(({ pendingHtlcs }) => pendingHtlcs === 0),
  )
  const held = (await wallet.lab.get('/lsp/held')).filter(({ nodeId }) => nodeId === wallet.nodeId)
  assert.deepEqual(held, [])
  await assertNothingMore(wallet, 1)
  const theirs = await wallet.channels()
  assert.equal(theirs.length, 1, 'one channel, and nobody closed it')
  if (channelId !== undefined) assert.equal(theirs[0].channelId, channelId, 'the same as before')
  const node = wallet.node()
  try {
    const ours = await node.listChannels()
    const known = ours.filter((channel) => channel.channelId === theirs[0].channelId)
    assert.deepEqual(known.map(({ pendingHtlcs, isReady }) => ({ pendingHtlcs, isReady })), [{ pendingHtlcs: 0, isReady: true }])
    for (const dropped of ours.filter((channel) => !known.includes(channel))) {
      const { isReady, isUsable, outboundMsat, pendingHtlcs } = dropped
      assert.deepEqual({ isReady, isUsable, outboundMsat, pendingHtlcs }, { isReady: false, isUsable: false, outboundMsat: 0, pendingHtlcs: 0 })
    }
    const { lightningMsat, pendingCloseSats } = await node.getBalance()
    assert.deepEqual({ lightningMsat, pendingCloseSats }, { lightningMsat: msat, pendingCloseSats: 0 })
    assert.equal(node.wakeBy, null)
  } finally {
    node.destroy()
  }
}

/** The payer's proof of that payment. */
export function assertProof({ preimage, error }, paymentHash) {
  assert.ok(preimage, `the payment failed: ${error}`)
  assert.equal(createHash('sha256').update(Buffer.from(preimage, 'hex')).digest('hex'), paymentHash)
}

/** Nothing is left to be told, however often the wallet starts; LDK repeats PaymentClaimed at each load. */
export async function assertNothingMore(wallet, times = 2) {
  for (let i = 0; i < times; i++) {
    const looking = wallet.start('look')
    await looking.done()
    assert.deepEqual(looking.all('looked'), [{ type: 'looked', running: null, idle: null }])
  }
}
