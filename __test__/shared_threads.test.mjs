// Nodes of one wallet in several threads of a process, as hosts with worker_threads have them: they share one running node, and a
// worker that is terminated takes its own part along and nothing else.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startLab } from '../scripts/support/lab.mjs'
import { until, within } from './support/life.mjs'
import { Baseline, Household, monotonic } from './support/shared.mjs'
import { WorkerNode } from './support/shared-workers.mjs'

let lab
before(async () => (lab = await startLab()))
after(() => lab.stop())

test("a worker's node shares what the main thread's node runs, and the other way round", async (t) => {
  for (const workerFirst of [false, true]) {
    const [baseline, household, since] = [new Baseline(lab), new Household(t, lab), monotonic()]
    const node = household.node()
    const worker = new WorkerNode(t, household.options, 'running')
    if (workerFirst) await worker.said('there')
    await node.startReceiving()
    await worker.said('there')
    await household.isOne([node], since)
    await worker.destroys()
    await household.isOne([node], since)
    await household.paysTo(node)
    node.destroy()
    await worker.ended
    await baseline.isBack()
  }
})

test("the main thread's destroy() leaves a worker's node running", async (t) => {
  const [household, since] = [new Household(t, lab), monotonic()]
  const node = household.node()
  await node.startReceiving()
  const worker = new WorkerNode(t, household.options, 'listening')
  await worker.said('there')
  const { bolt11 } = await node.getInvoice(21_000, 'One report', 900)
  node.destroy()
  assert.ok((await lab.pay(bolt11)).preimage)
  assert.ok(await worker.said('event'))
  assert.equal(await household.greetings(since), 1)
  await worker.terminate()
  await household.leaves()
})

for (const doing of ['starting', 'running', 'waiting', 'receiving']) {
  test(`a worker that is terminated while its node is ${doing} takes nothing of the main thread's along`, async (t) => {
    const [baseline, household] = [new Baseline(lab), new Household(t, lab)]
    const node = household.node()
    const held = doing === 'starting'
    if (held) await lab.post('/faults', { link: 'esplora', blackhole: true })
    let started
    let worker
    try {
      worker = new WorkerNode(t, household.options, doing)
      await worker.said('there')
      started = node.startReceiving()
      started.catch(() => {}) // looked at below
      if (!held) await started
      await worker.terminate()
    } finally {
      if (held) await lab.post('/faults', { link: 'esplora', blackhole: false })
    }
    await within(started, "the main thread's start")
    await household.paysTo(node)
    assert.equal(node.stats().lspConnections, 1)
    node.destroy()
    await baseline.isBack()
    await household.leaves()
  })
}

test('workers that come and go at a wallet leave it to whoever is left, and then to nobody', async (t) => {
  const [baseline, household, since] = [new Baseline(lab), new Household(t, lab), monotonic()]
  household.node() // for its id
  const workers = Array.from({ length: 4 }, () => new WorkerNode(t, household.options, 'running'))
  await Promise.all(workers.map((worker) => worker.said('there')))
  const last = workers.pop()
  for (const [number, worker] of workers.entries()) await (number % 2 === 0 ? worker.terminate() : worker.destroys())
  assert.ok(await household.isConnected())
  assert.equal(await household.greetings(since), 1)
  await last.terminate()
  await household.leaves()
  await Promise.all(workers.map((worker) => worker.ended))
  await baseline.isBack()
})

test('an event that is out in a worker that is terminated is given to the main thread', async (t) => {
  const household = new Household(t, lab)
  const node = household.node()
  await node.startReceiving()
  const { bolt11 } = await node.getInvoice(21_000, 'One report', 900)
  const worker = new WorkerNode(t, household.options, 'holding')
  assert.ok((await lab.pay(bolt11)).preimage)
  const id = await worker.said('event')
  assert.equal(await node.nextEvent(), null, 'it is out')
  const waiting = node.nextEvent(60_000)
  await node.getBalance()
  await worker.terminate()
  assert.equal((await within(waiting, 'the event')).id, id)
  await until(() => node.state === 'running', 'the node to run on')
})
