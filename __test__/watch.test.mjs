// watch(): what a cron calls, so that nothing is lost while nobody pays. Here, when there is nothing to do, and how it gets along with
// other calls; what it does when something is at stake: claimed.test.mjs.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { MdkNode, deriveNodeId, generateMnemonic, isMdkError } from '../index.mjs'
import { startLab } from '../scripts/support/lab.mjs'
import { folder, receiveOne, rejection, until, within } from './support/life.mjs'
import { Child } from './support/life-process.mjs'
import { noThreads, threads } from './support/threads.mjs'

let lab
before(async () => (lab = await startLab()))
after(() => lab.stop())

const fresh = (t, more = {}) => lab.options({ mnemonic: generateMnemonic(), store: `file:${folder(t)}/store`, ...more })

function nodeOf(t, options) {
  const node = new MdkNode(options)
  t.after(() => node.destroy())
  return node
}

/** A wallet with a channel, nothing of it running. */
async function paid(t, more) {
  const options = fresh(t, more)
  const node = nodeOf(t, options)
  await receiveOne(lab, node)
  node.destroy()
  return options
}

const height = async () => (await lab.get('/chain')).height
/** How often the LSP was connected to since `reset`. */
const connections = async () => (await lab.get('/stats')).lsp.connections.length
/** The LSP must wait so long for its own money: `PUNISHMENT_BLOCKS` in core. */
const PUNISHMENT = 1_008
const CONFIRMS = 18

/** Looks at the chain, finds nothing, leaves. */
async function uneventful(node) {
  const before = threads()
  const called = performance.now()
  const report = await node.watch()
  const took = performance.now() - called
  assert.equal(node.state, 'idle')
  await noThreads(before)
  assert.ok(report.durationMs > 0 && report.durationMs <= took, `${report.durationMs} of ${took} ms`)
  assert.equal(report.height, await height())
  assert.deepEqual([report.closedChannels, report.sent, report.unsent, report.wakeBy], [[], [], [], undefined])
  return report
}

test('a new wallet has nothing to watch', async (t) => {
  const node = nodeOf(t, fresh(t))
  await lab.post('/stats/reset')
  const { lsp, nextBy, onchainSats, pendingCloseSats } = await uneventful(node)
  assert.deepEqual({ lsp, nextBy, onchainSats, pendingCloseSats }, { lsp: 'unneeded', nextBy: undefined, onchainSats: 0, pendingCloseSats: 0 })
  assert.equal(await connections(), 0)
})

test('a wallet with a channel and nothing at stake does not call the LSP, and must come again while a cheat can be punished', async (t) => {
  const options = await paid(t)
  const node = nodeOf(t, options)
  await lab.post('/stats/reset')
  for (const blocks of [0, 1, 30]) {
    if (blocks > 0) await lab.post('/mine', { blocks })
    const now = Date.now()
    const { lsp, nextBy } = await uneventful(node)
    assert.equal(lsp, 'unneeded')
    assert.equal(nextBy.height, (await height()) + 1 + PUNISHMENT - CONFIRMS)
    const expected = now + (1 + PUNISHMENT - CONFIRMS) * 600_000
    assert.ok(Math.abs(nextBy.estimatedAt - expected) < 600_000, `${nextBy.estimatedAt}, not ${expected}`)
  }
  assert.equal(await connections(), 0)
  assert.equal(node.wakeBy, null)
  await receiveOne(lab, node)
})

test('with the LSP down a watch that has no need of it is none the worse', async (t) => {
  const options = await paid(t)
  await lab.post('/faults', { link: 'lsp', reset: true })
  try {
    assert.equal((await uneventful(nodeOf(t, options))).lsp, 'unneeded')
  } finally {
    await lab.post('/faults', { link: 'lsp', reset: false })
  }
})

test('a node that runs looks at the chain once more and goes on running', async (t) => {
  const node = nodeOf(t, await paid(t))
  await node.startReceiving()
  await lab.post('/mine', { blocks: 3 })
  const report = await node.watch()
  assert.equal(report.height, await height())
  assert.equal(report.lsp, 'reached')
  assert.equal(node.state, 'running')
  await receiveOne(lab, node)
})

test('a node that is started while it watches stays', async (t) => {
  const options = await paid(t)
  for (const method of ['start', 'startReceiving']) {
    const node = nodeOf(t, options)
    const [report] = await Promise.all([node.watch(), node[method]()])
    assert.equal(report.height, await height())
    assert.equal(node.state, 'running')
    const { bolt11 } = await node.getInvoice(1_000, 'x', 900)
    const paying = lab.pay(bolt11)
    assert.equal((await node.nextEvent(15_000)).eventType, 'Received')
    assert.ok((await paying).preimage)
    await node.stop()
    node.destroy()
    await until(async () => !(await lab.get('/lsp/peers')).includes(deriveNodeId(options.mnemonic, options.network)), 'the LSP to see it leave')
  }
})

test('watches at once are one session, and all have the same report', async (t) => {
  const node = nodeOf(t, await paid(t))
  const reports = await Promise.all([node.watch(), node.watch(), node.watch()])
  const first = reports[0].height
  assert.deepEqual(reports.map((report) => report.height), [first, first, first])
  assert.equal(node.state, 'idle')
})

test("a wallet that another process holds is WALLET_LOCKED: the holder does what there is to do", async (t) => {
  const options = await paid(t)
  const holder = new Child(t, 'hold', { options })
  await holder.said('holding')
  const other = nodeOf(t, { ...options, lease: { attempts: 1, baseDelayMs: 1, maxWaitMs: 0 } })
  const error = await rejection(other.watch())
  assert.ok(isMdkError(error) && error.code === 'WALLET_LOCKED' && error.retryable, String(error))
  await holder.endsWell()
  assert.equal((await other.watch()).height, await height())
})

test('a wallet that another node of this process runs is watched by what runs, which goes on', async (t) => {
  const options = await paid(t)
  const [runs, watches] = [nodeOf(t, options), nodeOf(t, options)]
  await runs.startReceiving()
  const { epoch } = runs.stats()
  assert.equal((await watches.watch()).height, await height())
  assert.deepEqual([runs.state, watches.state, runs.stats().epoch], ['running', 'idle', epoch])
})

/** Esplora answers nothing, so that the watch stays under way. */
async function stuck(body) {
  await lab.post('/faults', { link: 'esplora', blackhole: true })
  try {
    await body()
  } finally {
    await lab.post('/faults', { link: 'esplora', blackhole: false })
  }
}

test('a watch ends with its signal, its timeout, stop() and destroy(), and leaves nothing', async (t) => {
  const options = await paid(t)
  await stuck(async () => {
    const ends = {
      ABORTED: (node) => {
        const reason = new AbortController()
        const watching = node.watch({ signal: reason.signal })
        reason.abort()
        return watching
      },
      TIMEOUT: (node) => node.watch({ timeoutMs: 50 }),
      NODE_DESTROYED: (node) => {
        const watching = node.watch()
        node.destroy()
        return watching
      },
    }
    for (const [code, end] of Object.entries(ends)) {
      const before = threads()
      const node = nodeOf(t, options)
      const error = await within(rejection(() => end(node)), code)
      assert.equal(error.code, code)
      await until(() => ['idle', 'destroyed'].includes(node.state), 'the end')
      await noThreads(before)
    }
    const node = nodeOf(t, options)
    const watching = rejection(node.watch())
    await until(() => node.state === 'starting', 'the start')
    await within(node.stop(), 'stop()')
    assert.equal((await watching).code, 'ABORTED')
  })
  assert.equal((await nodeOf(t, options).watch()).height, await height())
})

test('a watch in which nothing happened commits nothing', async (t) => {
  const options = await paid(t)
  const node = nodeOf(t, options)
  await node.watch()
  const [balance, channels] = [await node.getBalance(), await node.listChannels()]
  await node.watch()
  assert.equal(node.stats().commits, 0)
  assert.deepEqual([await node.getBalance(), await node.listChannels()], [balance, channels])
})
