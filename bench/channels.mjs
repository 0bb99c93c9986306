// What a wallet with many channels costs: to start, to commit (each commit holds LDK's whole manager), to receive.

import { runChild } from './support/children.mjs'
import { PaymentFailed, receiveOnce } from './support/receive.mjs'
import { derived, samples } from './support/samples.mjs'

export const title = 'Channels'

/** So much that a channel made for one such payment (half as much again) can't carry the next. */
const FILLING_MSAT = 10_000_000

/** The lab's LSP pays each channel from one of 20 confirmed coins. */
const BLOCK_EVERY = 15

export async function run(context) {
  const runs = context.count({ quick: 3, full: 5, slow: true })
  const lab = await context.lab()
  const wallet = await context.newWallet()
  // Channels just large enough, and so as many as payments.
  const { openSat } = await lab.get('/lsp/options')
  await lab.post('/lsp/options', { openSat: 1_000 })
  const rows = []
  try {
    for (const channels of context.count({ quick: [1, 10], full: [1, 10, 100] })) {
      await openUntil(context, wallet, channels)
      rows.push(...stageRows(channels === 1 ? '1 channel' : `${channels} channels`, await measure(context, wallet, runs)))
    }
  } finally {
    await lab.post('/lsp/options', { openSat })
  }
  return rows
}

async function measure(context, wallet, runs) {
  const lab = await context.lab()
  const boot = async () => (await runChild('boot.cjs', { options: wallet.options, method: 'startReceiving' })).said
  const block = await repeat(runs, async () => {
    await lab.post('/mine', { blocks: 1 })
    return await boot()
  })
  // A start that receives nothing commits nothing: the block is known from the first payment on.
  const running = await whileRunning(wallet, (node) => repeat(runs, () => receiveRunning(lab, node)))
  const same = await repeat(runs, boot)
  const woken = await repeat(runs, () => receiveOnce(context, wallet).catch(failedBack))
  return { block, running, same, woken }
}

function stageRows(name, { block, running, same, woken }) {
  const of = (what, unit, all, pick) => samples(`${name}: ${what}`, unit, all.map(pick))
  const took = ({ began, ready }) => ready - began
  const requests = ({ stats }) => stats.chainRequests
  const received = woken.filter((one) => one !== undefined)
  return [
    of('startReceiving()', 'ms', same, took),
    of('- Esplora requests', '', same, requests),
    of('startReceiving() after a new block', 'ms', block, took),
    of('- Esplora requests', '', block, requests),
    of('receive while running, pay() → preimage', 'ms', running, (one) => one.ms),
    // Over all of them: a payment's last commit comes after its event, while the next one begins.
    derived(`${name}: - commits, on average`, '', total(running, (one) => one.commits) / running.length, running.length),
    of('- bytes per commit', 'B', running, (one) => one.bytes / one.commits),
    ...(received.length > 0 ? [of('woken receive, addon loaded → fulfilled', 'ms', received, (one) => one.oursMs)] : []),
    derived(`${name}: - failed back by the LSP`, '', woken.length - received.length, woken.length, { target: 0 }),
  ]
}

async function receiveRunning(lab, node, amountMsat = 21_000) {
  const before = node.stats()
  const { bolt11 } = await node.getInvoice(amountMsat, 'One report', 900)
  const { ms, error } = await lab.pay(bolt11)
  if (error !== undefined) throw new Error(`a payment to a running node failed: ${error}`)
  const event = await node.nextEvent(10_000)
  await node.ackEvent(event.id)
  const after = node.stats()
  return { ms, commits: after.commits - before.commits, bytes: after.commitBytes - before.commitBytes }
}

/** Payments into a running node, each too large for what the last one's channel has left. */
async function openUntil(context, wallet, channels) {
  const lab = await context.lab()
  const count = async () => (await lab.get('/lsp/channels')).filter(({ peer }) => peer === wallet.nodeId).length
  await whileRunning(wallet, async (node) => {
    for (let had = await count(); had < channels; had++) {
      await receiveRunning(lab, node, FILLING_MSAT)
      if (had % BLOCK_EVERY === 0) await lab.post('/mine', { blocks: 1 })
    }
  })
  const has = await count()
  if (has !== channels) throw new Error(`the wallet should have ${channels} channels with the LSP, not ${has}`)
}

async function whileRunning(wallet, body) {
  const { MdkNode } = await import('../index.mjs')
  const node = new MdkNode(wallet.options)
  try {
    await node.startReceiving()
    const result = await body(node)
    await node.stop()
    return result
  } finally {
    wallet.epoch = node.stats()?.epoch ?? wallet.epoch
    node.destroy()
  }
}

const total = (all, pick) => all.map(pick).reduce((a, b) => a + b)

/** LDK's LSP fails a payment that it forwards when only some of the wallet's channels are reestablished. */
function failedBack(error) {
  if (!(error instanceof PaymentFailed)) throw error
}

async function repeat(times, action) {
  const all = []
  while (all.length < times) all.push(await action())
  return all
}
