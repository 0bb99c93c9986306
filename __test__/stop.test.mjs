// stop(), repeated lives, and processes that end without having said goodbye.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { locksHeld } from '../scripts/support/footprint.mjs'
import { startLab } from '../scripts/support/lab.mjs'
import { MdkNode, generateMnemonic } from '../index.mjs'
import { folder, until } from './support/life.mjs'
import { Child } from './support/life-process.mjs'

const NOTHING = { threads: 0, fds: 0, locks: 0 }

let lab
before(async () => (lab = await startLab()))
after(() => lab.stop())

const wallet = (t, more = {}) => lab.options({ mnemonic: generateMnemonic(), store: `file:${folder(t)}`, ...more })

test('stop() of an idle node resolves; start() three times is one start; after stop() the object starts again', async (t) => {
  const child = new Child(t, 'stop', { options: wallet(t) })
  assert.equal(await child.said('stoppedIdle'), 'idle')
  const { state, left } = await child.said('running')
  assert.equal(state, 'running')
  assert.equal(left.threads, 1, 'one thread per running node')
  assert.deepEqual(await child.said('stopped'), { state: 'idle', left: NOTHING })
  const again = await child.said('again')
  assert.equal(again.state, 'running')
  // How many connections to Esplora stand is up to how its answers fall; the first life's are none of them.
  assert.deepEqual({ ...again.left, fds: 0 }, { ...left, fds: 0 }, 'the second life holds what the first held')
  assert.ok(again.left.fds < left.fds * 2, `${again.left.fds} descriptors, ${left.fds} in the first life`)
  assert.deepEqual(await child.said('stoppedAgain'), { state: 'idle', left: NOTHING })
  await child.endsWell()
})

test('three starts of one node are one connection to the LSP', async (t) => {
  const node = new MdkNode(wallet(t))
  await lab.post('/stats/reset')
  await Promise.all([node.start(), node.start(), node.startReceiving()])
  await node.start()
  assert.equal((await lab.get('/stats')).lsp.connections.length, 1)
  await node.stop()
  node.destroy()
})

test('stop() ends a start that waits for a held wallet, which rejects with ABORTED; the object starts later', async (t) => {
  const options = wallet(t)
  const holder = new Child(t, 'hold', { options })
  await holder.said('holding')
  const child = new Child(t, 'stopStarting', { options })
  assert.equal(await child.said('started'), 'ABORTED')
  assert.deepEqual(await child.said('left'), NOTHING)
  await holder.endsWell()
  child.release()
  assert.equal(await child.said('startedLater'), true)
  await child.endsWell()
})

test('stop() ends a start that waits for a silent LSP, and the wallet is free when it resolves', async (t) => {
  const options = wallet(t)
  const node = new MdkNode(options)
  t.after(() => node.destroy())
  await lab.post('/faults', { link: 'lsp', blackhole: true })
  try {
    const started = node.start().then(() => 'resolved', (error) => error.code)
    await until(() => node.state === 'starting', 'the start')
    await node.stop()
    assert.equal(await started, 'ABORTED')
  } finally {
    await lab.post('/faults', { link: 'lsp', blackhole: false })
  }
  assert.equal(locksHeld(), 0)
  const next = new MdkNode(options)
  t.after(() => next.destroy())
  await next.start()
})

test('a node that stop() has resolved for is idle, and its wallet is free for another at once', async (t) => {
  const options = wallet(t, { lease: { attempts: 1 } })
  const [one, two] = [new MdkNode(options), new MdkNode(options)]
  t.after(() => [one, two].forEach((node) => node.destroy()))
  for (let round = 0; round < 10; round++) {
    for (const node of [one, two]) {
      await node.start()
      await node.stop()
      assert.equal(node.state, 'idle', `round ${round}`)
      assert.equal(locksHeld(), 0)
    }
  }
})

test('ten lives in one process leave threads, descriptors and locks where they were', async (t) => {
  const child = new Child(t, 'cycles', { options: wallet(t) })
  const seen = await child.said('seen')
  assert.deepEqual(seen, Array(10).fill({ ...NOTHING, unfinished: [] }))
  await child.endsWell()
})

test('a process ends by itself with an idle node that nobody destroyed', async (t) => {
  const child = new Child(t, 'idleWithoutDestroy', { options: wallet(t) })
  assert.equal(await child.said('state'), 'idle')
  await child.endsWell()
})

test('a process ends by itself with a running node that nobody destroyed, and the wallet is free', async (t) => {
  const options = wallet(t)
  const child = new Child(t, 'runningWithoutDestroy', { options })
  assert.equal(await child.said('state'), 'running')
  await child.endsWell()
  await startsAtOnce(options)
})

test('process.exit in the middle of a call is a clean end, and the wallet is free', async (t) => {
  const options = wallet(t)
  const child = new Child(t, 'exitInACall', { options })
  assert.equal(await child.said('state'), 'running')
  await child.endsWell()
  await startsAtOnce(options)
})

test('a running node that JavaScript forgot ends itself, so that its successor in the process starts', async (t) => {
  const child = new Child(t, 'forgotten', { options: wallet(t), nodeArgs: ['--expose-gc'] })
  assert.equal((await child.said('running')).threads, 1)
  assert.deepEqual(await child.said('left'), NOTHING)
  assert.equal(await child.said('successor'), 'started')
  await child.endsWell()
})

test('a worker that is terminated in a call takes its node along: no crash, no thread, no lock', async (t) => {
  const child = new Child(t, 'worker', { options: wallet(t) })
  await lab.post('/faults', { link: 'esplora', blackhole: true })
  try {
    assert.equal(await child.said('workerStarting'), 'starting')
  } finally {
    await lab.post('/faults', { link: 'esplora', blackhole: false })
  }
  child.release()
  assert.equal(await child.said('free_start'), true)
  assert.equal(await child.said('free_nextEvent'), true)
  await child.endsWell()
})

async function startsAtOnce(options) {
  const node = new MdkNode({ ...options, lease: { attempts: 1 } })
  try {
    await node.start()
  } finally {
    node.destroy()
  }
}
