// A shop's webhook endpoint: each call of the LSP starts a handler process, as a serverless platform would.

import { spawn } from 'node:child_process'
import { createServer } from 'node:http'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { MdkNode, generateMnemonic } from '../../index.mjs'

const HANDLER = fileURLToPath(new URL('./handler.mjs', import.meta.url))
/** Only what is broken takes so long. */
const PATIENCE_MS = 60_000

/** A wallet with a store of its own, its JIT route learnt. */
export async function openShop(lab, more = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'mayfly-shop-'))
  const options = lab.options({ mnemonic: generateMnemonic(), store: `file:${folder}/wallet`, ...more })
  const node = new MdkNode(options)
  const jitRoute = await node.getJitRoute()
  const nodeId = node.getNodeId()
  node.destroy()
  return new Shop(lab, folder, { ...options, jitRoute }, nodeId)
}

class Shop {
  constructor(lab, folder, options, nodeId) {
    this.lab = lab
    this.folder = folder
    this.options = options
    this.nodeId = nodeId
    /** What each handler process said, in the order of the webhooks. */
    this.handlers = []
    /** What the next handler processes do; a missing one receives normally. */
    this.plans = []
  }

  /** Mints in this process, without starting anything. */
  async mint(amountMsat, description = 'a thing') {
    const node = new MdkNode(this.options)
    const invoice = amountMsat === undefined ? await node.getVariableAmountJitInvoice(description, 900) : await node.getInvoice(amountMsat, description, 900)
    node.destroy()
    return invoice
  }

  /** Registers the webhook with the LSP: from here on handlers are started. */
  async listen() {
    this.server = createServer((request, response) => {
      const chunks = []
      request.on('data', (chunk) => chunks.push(chunk))
      request.on('end', () => {
        this.handlers.push(this.wake({ ...this.plans.shift(), hook: JSON.parse(Buffer.concat(chunks).toString()) }))
        response.end('ok')
      })
    })
    await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve))
    await this.lab.post('/webhooks', { nodeId: this.nodeId, url: `http://127.0.0.1:${this.server.address().port}/` })
    return this
  }

  /** Starts one handler process; resolves when it has ended, with all that it said merged, payments in a list. */
  async wake(plan = {}) {
    const child = spawn(process.execPath, [HANDLER, JSON.stringify(plan)], {
      env: { ...process.env, HANDLER_OPTIONS: JSON.stringify(this.options) },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS)
    const closed = new Promise((resolve) => child.once('close', (code, signal) => resolve({ code, signal })))
    const outcome = { hook: plan.hook, payments: [] }
    for await (const line of createInterface({ input: child.stdout })) {
      const { payment, ...said } = JSON.parse(line)
      if (payment) outcome.payments.push(payment)
      Object.assign(outcome, said)
    }
    const ended = await closed
    clearTimeout(timer)
    return { ...outcome, ...ended }
  }

  /** All handlers that were woken so far have ended. */
  async outcomes() {
    return Promise.all(this.handlers)
  }

  async close() {
    await this.outcomes()
    if (this.server) await new Promise((resolve) => this.server.close(resolve).closeAllConnections())
    rmSync(this.folder, { recursive: true, force: true })
  }
}
