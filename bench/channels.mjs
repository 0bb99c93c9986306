// What a wallet with many channels costs: to start, to commit (each commit holds LDK's whole manager), to receive.

import { runChild } from './support/children.mjs'
import { PaymentFailed, receiveOnce } from './support/receive.mjs'
import { derived, samples } from './support/samples.mjs'

export const title = 'Channels'

/** So much that a channel made for one such payment (half as much again) can't carry the next. */
const FILLING_MSAT = 10_000_000

/** The lab's LSP pays each channel from one of 20 confirmed coins. */
const BLOCK_EVERY = 15

/** LDK's LSP can fail a payment that it forwards while only some of a wallet's channels are reestablished. */
const MOST_FAILURES = 5

export async function run(context) {
  const runs = context.count({ quick: 3, full: 9, slow: true })
  const lab = await context.lab()
  const wallet = await context.newWallet()
  // Channels just large enough, and so as many as payments.
  const { openSat } = await lab.get('/lsp/options')
  await lab.post('/lsp/options', { openSat: 1_000 })
  const rows = []
  try {
    for (const channels of context.count({ quick: [1, 10], full: [1, 10, 100] })) {
      await openUntil(context, wallet, channels)
      const stage = await measure(context, wallet, runs)
      rows.push(...stageRows(channels === 1 ? '1 channel' : `${channels} channels`, stage))
    }
  } finally {
    await lab.post('/lsp/options', { openSat })
  }
  return rows
}

async function measure(context, wallet, runs) {
  const lab = await context.lab()
  const input = { options: wallet.options, method: 'startReceiving', phases: false }
  const boot = async () => (await runChild('boot.cjs', input)).said
  const stage = { same: [], block: [], receives: [], failed: 0 }
  const receive = async () => {
    const before = stage.failed
    for (;;) {
      try {
        return await receiveOnce(context, wallet)
      } catch (error) {
        if (!(error instanceof PaymentFailed) || ++stage.failed - before === MOST_FAILURES) throw error
      }
    }
  }
  for (let i = 0; i < runs; i++) {
    await lab.post('/mine', { blocks: 1 })
    stage.block.push(await boot())
    // A start that receives nothing commits nothing: the block is known from the first receive on.
    await receive()
    stage.same.push(await boot())
    stage.receives.push(await receive())
  }
  return stage
}

function stageRows(name, { same, block, receives, failed }) {
  const of = (what, unit, all, pick) => samples(`${name}: ${what}`, unit, all.map(pick))
  const took = ({ began, ready }) => ready - began
  const requests = ({ stats }) => stats.chainRequests
  return [
    of('startReceiving()', 'ms', same, took),
    of('- Esplora requests', '', same, requests),
    of('startReceiving() after a new block', 'ms', block, took),
    of('- Esplora requests', '', block, requests),
    of('warm receive, addon loaded → fulfilled', 'ms', receives, (one) => one.oursMs),
    of('- commits', '', receives, ({ ended }) => ended.commits),
    of('- bytes per commit', 'B', receives, ({ ended }) => ended.commitBytes / ended.commits),
    derived(`${name}: payments that the LSP failed back`, '', failed, 2 * receives.length + failed, { target: 0 }),
  ]
}

/** Payments into a running node, each too large for what the last one's channel has left. */
async function openUntil(context, wallet, channels) {
  const lab = await context.lab()
  const { MdkNode } = await import('../index.mjs')
  const count = async () => (await lab.get('/lsp/channels')).filter(({ peer }) => peer === wallet.nodeId).length
  const node = new MdkNode(wallet.options)
  try {
    await node.startReceiving()
    for (let had = await count(); had < channels; had++) {
      const { bolt11 } = await node.getInvoice(FILLING_MSAT, 'A channel', 900)
      const { error } = await lab.pay(bolt11)
      if (error !== undefined) throw new Error(`the payment for channel ${had + 1} failed: ${error}`)
      const event = await node.nextEvent(10_000)
      await node.ackEvent(event.id)
      if (had % BLOCK_EVERY === 0) await lab.post('/mine', { blocks: 1 })
    }
    await node.stop()
    wallet.epoch = node.stats().epoch
  } finally {
    node.destroy()
  }
  const has = await count()
  if (has !== channels) throw new Error(`the wallet should have ${channels} channels with the LSP, not ${has}`)
}
