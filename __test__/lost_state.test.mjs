// A store that lost or forgot channels must end in STATE_CORRUPT and nothing else: LDK's own answer to a channel that it does
// not know, or has an old state of, is made to force-close it.

import assert from 'node:assert/strict'
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { startLab } from '../scripts/support/lab.mjs'
import { MdkNode, generateMnemonic, isMdkError } from '../index.mjs'
import { folder, receiveOne, rejection, until } from './support/life.mjs'

/** What a peer would close a channel for. */
const FATAL = ['error', 'error_message', 'shutdown']

let lab
before(async () => (lab = await startLab()))
after(() => lab.stop())

/** A wallet with a channel, in `<folder>/store`. */
async function wallet(t) {
  const path = join(folder(t), 'store')
  const options = lab.options({ mnemonic: generateMnemonic(), store: `file:${path}` })
  await life(options, (node) => receiveOne(lab, node))
  const nodeId = nodeIdOf(options)
  return { path, options, nodeId, channel: (await channelsOf(nodeId))[0].channelId }
}

async function life(options, body) {
  const node = new MdkNode(options)
  try {
    return await body(node)
  } finally {
    node.destroy()
  }
}

function nodeIdOf(options) {
  const node = new MdkNode(options)
  const id = node.getNodeId()
  node.destroy()
  return id
}

const channelsOf = async (nodeId) => (await lab.get('/lsp/channels')).filter(({ peer }) => peer === nodeId)

/** Runs `body` with the wallet; then the LSP still has the channel, heard none of `unheard`, and no block would close it. */
async function harmless({ options, nodeId, channel }, unheard, body) {
  const mempool = (await lab.get('/chain')).mempool
  const since = process.hrtime.bigint()
  await life(options, body)
  await until(async () => !(await lab.get('/lsp/peers')).includes(nodeId), 'the LSP to see that the wallet has left')
  const heard = (await lab.get(`/messages?since=${since}`)).filter(({ direction, peer }) => direction === 'got' && peer === nodeId)
  const wrong = heard.map(({ type }) => type).filter((type) => unheard.includes(type))
  assert.deepEqual(wrong, [], 'what the LSP heard')
  assert.deepEqual((await channelsOf(nodeId)).map(({ channelId }) => channelId), [channel], 'the channel is open')
  const spends = (await lab.get('/chain')).mempool.filter((txid) => !mempool.includes(txid))
  assert.deepEqual(spends, [], 'nothing was broadcast')
}

async function isCorrupt(call, says) {
  const error = await rejection(call)
  assert.ok(isMdkError(error), String(error))
  assert.equal(error.code, 'STATE_CORRUPT', error.message)
  assert.equal(error.retryable, false)
  assert.match(error.message, says)
}

test('an empty store for a wallet that has a channel is STATE_CORRUPT: nothing is said, nothing is broadcast', async (t) => {
  const it = await wallet(t)
  rmSync(it.path, { recursive: true })
  await harmless(it, [...FATAL, 'channel_reestablish'], (node) =>
    isCorrupt(node.receivePayment(() => assert.fail('no payment')), new RegExp(it.channel)))
  // Not by luck of the first time: what it left in the store does not make the second start different.
  await harmless(it, [...FATAL, 'channel_reestablish'], (node) =>
    isCorrupt(node.receivePayment(() => assert.fail('no payment')), new RegExp(it.channel)))
})

test('with an empty store and a distant LSP a call that waits for a payment is STATE_CORRUPT', async (t) => {
  const it = await wallet(t)
  rmSync(it.path, { recursive: true })
  await lab.post('/faults', { link: 'lsp', latencyMs: 40 })
  try {
    await harmless(it, [...FATAL, 'channel_reestablish'], (node) =>
      isCorrupt(async () => {
        // May resolve: the LSP is connected, and speaks of its channel a round trip later.
        await node.startReceiving()
        await node.nextEvent(15_000)
      }, new RegExp(it.channel)))
  } finally {
    await lab.post('/faults', { link: 'lsp', latencyMs: 0 })
  }
})

test('a JavaScript thread that was busy while the session ended in STATE_CORRUPT hears of it all the same', async (t) => {
  const it = await wallet(t)
  // Whether the connection is answered before the LSP speaks of its channel is up to the network: both must come out alike.
  for (let round = 0; round < 8; round++) {
    rmSync(it.path, { recursive: true })
    await harmless(it, [...FATAL, 'channel_reestablish'], async (node) => {
      const receiving = node.receivePayment(() => assert.fail('no payment'))
      receiving.catch(() => {}) // looked at below
      // On purpose without the event loop: what receivePayment does after its first step comes after the session's end.
      const deadline = performance.now() + 10_000
      while (node.state === 'idle' && performance.now() < deadline);
      while (node.state !== 'idle' && performance.now() < deadline);
      assert.equal(node.state, 'idle')
      await isCorrupt(receiving, new RegExp(it.channel))
    })
  }
})

test('the newest store brings the wallet back after a start with an empty one', async (t) => {
  const it = await wallet(t)
  const safe = `${it.path}.safe`
  cpSync(it.path, safe, { recursive: true })
  rmSync(it.path, { recursive: true })
  await harmless(it, FATAL, (node) => isCorrupt(node.receivePayment(() => {}), /store/))
  rmSync(it.path, { recursive: true, force: true })
  cpSync(safe, it.path, { recursive: true })
  await life(it.options, (node) => receiveOne(lab, node))
  assert.deepEqual((await channelsOf(it.nodeId)).map(({ channelId }) => channelId), [it.channel])
})

test('a store that went back two payments is STATE_CORRUPT: no force-close, and the newest store brings it back', async (t) => {
  const it = await wallet(t)
  const [old, newest] = [`${it.path}.old`, `${it.path}.newest`]
  cpSync(it.path, old, { recursive: true })
  for (let i = 0; i < 2; i++) await life(it.options, (node) => receiveOne(lab, node))
  cpSync(it.path, newest, { recursive: true })
  const swap = (from) => {
    rmSync(it.path, { recursive: true })
    mkdirSync(it.path)
    cpSync(from, it.path, { recursive: true })
  }

  swap(old)
  await harmless(it, FATAL, (node) => isCorrupt(node.receivePayment(() => assert.fail('no payment')), /older/))

  swap(newest)
  await life(it.options, (node) => receiveOne(lab, node))
  assert.deepEqual((await channelsOf(it.nodeId)).map(({ channelId }) => channelId), [it.channel])
})

/** The database of the wallet in a store's folder, and its log, which holds what is not yet in it. */
function files(path) {
  const names = readdirSync(path)
  return { database: join(path, names.find((name) => name.endsWith('.sqlite'))), log: join(path, names.find((name) => name.endsWith('.sqlite-wal'))) }
}

/** What a disk, a copy or a person can do to the two files. Some of it leaves an older state, or none. */
const DAMAGES = {
  'an empty database without its log': ({ database, log }) => [truncateSync(database, 0), rmSync(log)],
  'an empty database beside its log': ({ database }) => truncateSync(database, 0),
  'a database cut within its header': ({ database, log }) => [truncateSync(database, 60), rmSync(log)],
  'a database that is something else': ({ database, log }) => [writeFileSync(database, 'no database at all. '.repeat(500)), rmSync(log)],
  'a log that is something else': ({ log }) => writeFileSync(log, 'no log at all. '.repeat(500)),
  'no log': ({ log }) => rmSync(log),
  'a log cut to its header': ({ log }) => truncateSync(log, 32),
  'a log cut in half': ({ log }) => truncateSync(log, readFileSync(log).length >> 1),
}

for (const [what, damage] of Object.entries(DAMAGES)) {
  test(`a store cut short is STATE_CORRUPT in silence, and the whole one brings the wallet back: ${what}`, async (t) => {
    const it = await wallet(t)
    const safe = `${it.path}.safe`
    cpSync(it.path, safe, { recursive: true })
    damage(files(it.path))
    await harmless(it, [...FATAL, 'channel_reestablish'], (node) =>
      isCorrupt(node.receivePayment(() => assert.fail('no payment')), /store/))
    rmSync(it.path, { recursive: true })
    cpSync(safe, it.path, { recursive: true })
    await life(it.options, (node) => receiveOne(lab, node))
    assert.deepEqual((await channelsOf(it.nodeId)).map(({ channelId }) => channelId), [it.channel])
  })
}

test("another wallet's database under this wallet's name is STATE_CORRUPT on every call, and stays as it is", async (t) => {
  const [it, other] = [await wallet(t), await wallet(t)]
  const [mine, theirs] = [files(it.path), files(other.path)]
  writeFileSync(mine.database, readFileSync(theirs.database))
  writeFileSync(mine.log, readFileSync(theirs.log))
  const before = [readFileSync(mine.database), readFileSync(mine.log)]
  await harmless(it, [...FATAL, 'channel_reestablish'], async (node) => {
    await isCorrupt(node.receivePayment(() => assert.fail('no payment')), /wallet/)
    await isCorrupt(node.startReceiving(), /wallet/)
    // Without a lease, too: the other wallet's money and route are not shown as ours.
    await isCorrupt(node.getBalance(), /wallet/)
    await isCorrupt(node.listChannels(), /wallet/)
    await isCorrupt(node.getJitRoute(), /wallet/)
    await isCorrupt(node.getInvoice(1_000, 'x', 60), /wallet/)
    await isCorrupt(node.nextEvent(), /wallet/)
  })
  assert.deepEqual([readFileSync(mine.database), readFileSync(mine.log)], before)
  await life(other.options, (node) => receiveOne(lab, node))
})
