// What a lying Esplora could cost: a wallet with a channel must neither go back to an older tip, nor take over a tip without work or
// of another network, nor believe a confirmation without its proof, nor one whose transaction is missing. It refuses, the LSP sees
// no channel closed, and when the server tells the truth the next payment comes over the same channel.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { startLab } from '../scripts/support/lab.mjs'
import { receiveOne, until } from './support/life.mjs'
import { failsWith, idle, lying, nodeOf, wallet } from './support/services.mjs'

const LOOK_REQUESTS = 4
const LOOK_PATIENCE_MS = 60_000

let lab
before(async () => (lab = await startLab({ args: ['--hold-ms', '600000'] })))
after(() => lab.stop())

/** A wallet with a 0-conf channel, its node stopped. */
async function withChannel(t, more) {
  const node = nodeOf(t, wallet(lab, t, more))
  await receiveOne(lab, node)
  await node.stop()
  const [channel] = await node.listChannels()
  assert.ok(channel.isReady)
  return { node, channel }
}

/** The LSP's view of that channel. */
const atLsp = async ({ channelId }) => (await lab.get('/lsp/channels')).find((channel) => channel.channelId === channelId)

/** The channel is what it was, and a payment comes over it. */
async function assertUnharmed(node, channel) {
  await receiveOne(lab, node)
  const channels = await node.listChannels()
  assert.deepEqual(channels.map(({ channelId }) => channelId), [channel.channelId], 'no other channel was needed')
  assert.ok((await atLsp(channel)).ready)
}

/** What the node knows of its channel's depth after a start. */
async function confirmations(node) {
  await node.startReceiving()
  const [channel] = await node.listChannels()
  await node.stop()
  return channel.confirmations ?? 0
}

/** Mines, and has the wallet commit what it then knows: with a payment, since a start alone writes nothing. Returns the depth. */
async function confirmed(node, blocks) {
  await lab.post('/mine', { blocks })
  await receiveOne(lab, node)
  const depth = await confirmations(node)
  assert.ok(depth >= blocks, `${depth} confirmations`)
  return depth
}

describe('a wallet with a channel, at an Esplora', () => {
  test('whose tip is some blocks old, keeps what it knows and goes on', async (t) => {
    const { node, channel } = await withChannel(t)
    const depth = await confirmed(node, 6)
    // Six blocks back, the funding transaction was not even confirmed.
    await lying(lab, { lie: 'staleTip', blocks: 6 }, async () => {
      assert.equal(await confirmations(node), depth)
      await receiveOne(lab, node)
    })
    await lab.post('/mine', { blocks: 1 })
    assert.equal(await confirmations(node), depth + 1)
    await assertUnharmed(node, channel)
  })

  test('whose tip is many blocks old, is refused', async (t) => {
    const { node, channel } = await withChannel(t)
    const depth = await confirmed(node, 10)
    await lying(lab, { lie: 'staleTip', blocks: 7 }, async () => {
      const error = await failsWith(node.start(), 'CHAIN_UNAVAILABLE')
      assert.match(error.message, /lags behind/)
    })
    assert.equal(await confirmations(node), depth)
    await assertUnharmed(node, channel)
  })

  // Unconfirmed at the lie, so that its confirmation is what is asked for.
  const aboutItsFunding = {
    wrongMerkle: /proof that proves nothing/,
    missingTx: /unknown, but proven/,
    wrongHeader: /header of another block/,
    noWork: /does not carry its work/,
    wrongNetwork: /is a server of mainnet/,
  }
  for (const [lie, words] of Object.entries(aboutItsFunding)) {
    test(`that tells ${lie}, is refused, and the channel confirms later`, async (t) => {
      const { node, channel } = await withChannel(t)
      await lab.post('/mine', { blocks: 6 })
      await lying(lab, lie, async () => {
        const error = await failsWith(node.startReceiving(), 'CHAIN_UNAVAILABLE')
        assert.match(error.message, words)
        await idle(node)
        // From the last commit: nothing of the lie was kept.
        const [kept] = await node.listChannels()
        assert.equal(kept.confirmations ?? 0, 0)
      })
      assert.ok((await confirmations(node)) >= 6)
      await assertUnharmed(node, channel)
    })
  }

  test('that answers each request in time, but slowly, is given up for the sync as a whole', async (t) => {
    // Three rounds of 1.2 s and more: what confirmed the funding, the transaction itself, and the tip once more.
    const timeouts = { chainMs: 3_300, syncMs: 3_300 }
    const options = wallet(lab, t, { timeouts })
    const node = nodeOf(t, options)
    await receiveOne(lab, node)
    await node.stop()
    await lab.post('/mine', { blocks: 6 })
    await lab.post('/faults', { link: 'esplora', latencyMs: 600 })
    try {
      const error = await failsWith(node.start(), 'CHAIN_UNAVAILABLE')
      assert.match(error.message, /too slow to follow the chain within 3300 ms \(timeouts\.syncMs\)/)
    } finally {
      await lab.post('/faults', { link: 'esplora', latencyMs: 0 })
    }
    assert.ok((await confirmations(node)) >= 6)
  })

  test('that denies a confirmation that is known, keeps it', async (t) => {
    const { node, channel } = await withChannel(t)
    const depth = await confirmed(node, 6)
    await lab.post('/mine', { blocks: 1 })
    await lying(lab, { lie: '404', path: '/tx/' }, async () => assert.equal(await confirmations(node), depth + 1))
    await lying(lab, { lie: '404', path: '/block/' }, () => failsWith(node.start(), 'CHAIN_UNAVAILABLE'))
    await assertUnharmed(node, channel)
  })

  test('that begins to lie while the node runs, goes on without it', async (t) => {
    // Nobody calls the node while it looks at the chain.
    const { node, channel } = await withChannel(t, { maxIdleMs: 0 })
    await node.startReceiving()
    const { told } = await lab.post('/esplora', { lie: 'wrongNetwork' })
    const toldSince = async () => (await lab.post('/esplora', { lie: 'wrongNetwork' })).told - told
    // A running node looks every 15 s: its tip with header and status, and the first block.
    await until(async () => (await toldSince()) >= LOOK_REQUESTS, 'the node to look at the chain', LOOK_PATIENCE_MS)
    assert.equal(node.state, 'running')
    await receiveOne(lab, node)
    await lab.post('/esplora', { lie: null })
    await assertUnharmed(node, channel)
  })

  test('that was wrong when the wallet was new, is forgotten', async (t) => {
    const node = nodeOf(t, wallet(lab, t))
    await lying(lab, 'wrongNetwork', () => failsWith(node.getJitRoute(), 'CHAIN_UNAVAILABLE'))
    await receiveOne(lab, node)
    await until(async () => (await node.listChannels()).length === 1, 'its channel')
  })
})
