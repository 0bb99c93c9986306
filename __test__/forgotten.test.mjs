// A node that JavaScript lost without destroy(): garbage collection ends it, what it holds is free, and the collector does not
// wait for it. (Without garbage collection: idle_limit.test.mjs.)

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startLab } from '../scripts/support/lab.mjs'
import { MdkNode, generateMnemonic } from '../index.mjs'
import { gc, untilCollected } from './support/gc.mjs'
import { Disk, noHangs } from './support/hang.mjs'
import { folder, within } from './support/life.mjs'
import { Child, receivedLater } from './support/life-process.mjs'
import { Baseline, Household, monotonic } from './support/shared.mjs'
import { threads } from './support/threads.mjs'

let lab
before(async () => (lab = await startLab()))
after(() => lab.stop())

/** A wallet's node, made and lost by `use`, whose result is kept. */
const lost = async (household, use) => use(new MdkNode(household.options))

async function ended(household, baseline) {
  await untilCollected(async () => threads() === 0 && !(await household.isConnected()), 'the lost node to end')
  await baseline.isBack()
}

test('a node that runs and is lost ends: the LSP sees it go, and thread and lock are gone', async (t) => {
  const [baseline, household] = [new Baseline(lab), new Household(t, lab)]
  household.node() // for its id; it has no part in what runs
  await lost(household, async (node) => void (await node.startReceiving()))
  assert.ok(await household.isConnected())
  await ended(household, baseline)
})

test('a node that is lost while it starts comes up, since its promise may be waited for, and then ends', async (t) => {
  const [baseline, household] = [new Baseline(lab), new Household(t, lab)]
  household.node()
  const started = await lost(household, (node) => ({ promise: node.startReceiving() }))
  gc()
  await within(started.promise, 'the start of a lost node')
  await ended(household, baseline)
})

test('a node that is lost while a call is in flight lives until that is settled', async (t) => {
  const [baseline, household, since] = [new Baseline(lab), new Household(t, lab), monotonic()]
  const minter = household.node()
  const { promise } = await lost(household, async (node) => {
    await node.startReceiving()
    return { promise: node.nextEvent(60_000) }
  })
  const collected = new WeakRef({})
  await untilCollected(() => collected.deref() === undefined, 'garbage to be collected')
  const { bolt11, paymentHash } = await minter.getInvoice(21_000, 'One report', 900)
  assert.ok((await lab.pay(bolt11)).preimage)
  assert.equal((await promise).paymentHash, paymentHash)
  assert.equal(await household.greetings(since), 1, 'all of it in one life')
  await ended(household, baseline)
})

test('a receivePayment of a node that is lost receives', async (t) => {
  const [baseline, household] = [new Baseline(lab), new Household(t, lab)]
  const minter = household.node()
  const { bolt11, paymentHash } = await minter.getInvoice(21_000, 'One report', 900)
  const { promise } = await lost(household, (node) => ({ promise: node.receivePayment(() => gc(), { minMs: 60_000 }) }))
  const collected = new WeakRef({})
  await untilCollected(() => collected.deref() === undefined, 'garbage to be collected')
  assert.ok((await lab.pay(bolt11)).preimage)
  assert.deepEqual((await promise).map((payment) => payment.paymentHash), [paymentHash])
  await ended(household, baseline)
})

test('one of two nodes that is lost leaves the other one running', async (t) => {
  const [household, since] = [new Household(t, lab), monotonic()]
  const kept = household.node()
  await kept.startReceiving()
  const { lostRef } = await lost(household, async (node) => {
    await node.startReceiving()
    return { lostRef: new WeakRef(node) }
  })
  await untilCollected(() => lostRef.deref() === undefined, 'the lost node to be collected')
  await household.isOne([kept], since)
  await household.paysTo(kept)
})

test('the garbage collector does not wait for a node whose disk is dead', { skip: noHangs }, async (t) => {
  const store = folder(t)
  const options = lab.options({ mnemonic: generateMnemonic(), store: `file:${store}` })
  const disk = new Disk(t, store)
  const child = new Child(t, 'lost', { options, script: 'forgotten-child.mjs', env: disk.env })
  const invoice = await child.said('invoice')
  disk.die('fdatasync')
  const paying = lab.pay(invoice)
  paying.catch(() => {}) // looked at below
  await disk.hangs()
  child.release()
  // The thread stands in a system call until the disk is back: whoever joined it would not come to say so.
  assert.deepEqual(await child.said('collected'), { threads: 1 })
  disk.revive()
  assert.equal(await child.said('ended'), true)
  await child.endsWell()
  await receivedLater(t, options, paying)
})
