// An event is out with one node of its wallet at a time: the others of the process wait for the next one, and are given this one
// when its node ends or gives it back. (Of a worker that is terminated: shared_threads.test.mjs.)

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { startLab } from '../scripts/support/lab.mjs'
import { MdkNode } from '../index.mjs'
import { untilCollected } from './support/gc.mjs'
import { rejection, within } from './support/life.mjs'
import { Household } from './support/shared.mjs'

let lab
before(async () => (lab = await startLab()))
after(() => lab.stop())

/** Pays an invoice of the wallet; gives the payment's hash when the payer has its preimage. */
async function pay(node, amountMsat = 21_000) {
  const { bolt11, paymentHash } = await node.getInvoice(amountMsat, 'One report', 900)
  const paid = await lab.pay(bolt11)
  assert.ok(paid.preimage, `the payment failed: ${paid.error}`)
  return paymentHash
}

/** A wallet with so many nodes that run. */
async function running(t, count) {
  const household = new Household(t, lab)
  const nodes = household.nodes(count)
  await Promise.all(nodes.map((node) => node.startReceiving()))
  return { household, nodes }
}

const hashOf = async (waiting) => (await within(waiting, 'an event'))?.paymentHash

describe('an event', () => {
  test('is given to one of the nodes that wait, and the next one to the other', async (t) => {
    const { nodes } = await running(t, 2)
    const waiting = nodes.map((node) => node.nextEvent(60_000))
    await nodes[0].getBalance() // in order: they wait
    const paid = [await pay(nodes[0], 1_000), await pay(nodes[0], 2_000)]
    assert.deepEqual((await Promise.all(waiting.map(hashOf))).sort(), paid.sort())
  })

  test('that is out and acked is not given to another', async (t) => {
    const { nodes } = await running(t, 2)
    const [one, two] = nodes
    const first = await pay(one)
    const event = await one.nextEvent()
    assert.equal(event.paymentHash, first)
    assert.equal(await two.nextEvent(), null, 'it is out')
    assert.equal((await one.nextEvent()).id, event.id, 'the one that has it may ask again')
    const waiting = two.nextEvent(60_000)
    await two.getBalance()
    await one.ackEvent(event.id)
    const second = await pay(one)
    assert.equal(await hashOf(waiting), second)
  })

  test('that one node has may be acked by another one', async (t) => {
    const { nodes } = await running(t, 2)
    const [one, two] = nodes
    await pay(one)
    const { id } = await one.nextEvent()
    await two.ackEvent(id)
    assert.equal(await one.nextEvent(), null)
  })
})

describe('an event that was acked already', () => {
  test('by the onPayment of a receivePayment, or by another node meanwhile, ends it no other way', async (t) => {
    const household = new Household(t, lab)
    const [runs, wakes] = household.nodes(2)
    await runs.startReceiving()
    const paid = [await pay(runs, 1_000), await pay(runs, 2_000)]
    const ackers = [wakes, runs]
    const receiving = wakes.receivePayment((payment) => ackers.pop().ackEvent(payment.id))
    const received = await within(receiving, 'the receivePayment')
    assert.deepEqual(received.map(({ paymentHash }) => paymentHash), paid)
    assert.equal(await runs.nextEvent(), null)
  })

  test('in the body of an events() loop is followed by the next one', async (t) => {
    const { nodes } = await running(t, 1)
    const [node] = nodes
    const paid = [await pay(node, 1_000), await pay(node, 2_000)]
    const seen = []
    for await (const event of node.events()) {
      seen.push(event.paymentHash)
      if (seen.length === paid.length) break
      await node.ackEvent(event.id)
    }
    assert.deepEqual(seen, paid)
  })
})

describe('an event that is out goes to another node that waits', () => {
  /** Two that run, an event that is out with the first, and the second's wait. */
  async function out(t) {
    const { household, nodes } = await running(t, 2)
    const [one, two] = nodes
    const paymentHash = await pay(one)
    assert.equal((await one.nextEvent()).paymentHash, paymentHash)
    assert.equal(await two.nextEvent(), null)
    const waiting = two.nextEvent(60_000)
    await two.getBalance()
    return { household, one, two, paymentHash, waiting }
  }

  test('when its node is destroyed', async (t) => {
    const { one, paymentHash, waiting } = await out(t)
    one.destroy()
    assert.equal(await hashOf(waiting), paymentHash)
  })

  test("when its node is destroyed, also to an events() loop, and to one that isn't started", async (t) => {
    const household = new Household(t, lab)
    const [one, two, three] = household.nodes(3)
    await Promise.all([one.startReceiving(), two.startReceiving()])
    const paymentHash = await pay(one)
    await one.nextEvent()
    const looping = two.events().next()
    await two.getBalance()
    one.destroy()
    assert.equal((await within(looping, 'the loop')).value.paymentHash, paymentHash)
    const waiting = three.nextEvent(60_000)
    await three.getBalance()
    two.destroy()
    assert.equal(await hashOf(waiting), paymentHash)
  })

  test('when its node is lost and collected', async (t) => {
    const household = new Household(t, lab)
    const two = household.node()
    await two.startReceiving()
    const paymentHash = await pay(two)
    await (async () => {
      const lost = new MdkNode(household.options)
      assert.equal((await lost.nextEvent(60_000)).paymentHash, paymentHash)
    })()
    let seen
    two.nextEvent(60_000).then((event) => (seen = event))
    await untilCollected(() => seen, 'the event of the lost node')
    assert.equal(seen.paymentHash, paymentHash)
  })

  test('when the onPayment of its receivePayment fails', async (t) => {
    const household = new Household(t, lab)
    const [runs, wakes] = household.nodes(2)
    await runs.startReceiving()
    const paymentHash = await pay(runs)
    const mine = new Error('the database is down')
    let waiting
    const failed = rejection(
      wakes.receivePayment(async () => {
        assert.equal(await runs.nextEvent(), null, 'it is out')
        waiting = runs.nextEvent(60_000)
        await runs.getBalance()
        throw mine
      }),
    )
    assert.equal(await within(failed, 'the receivePayment'), mine)
    assert.equal(await hashOf(waiting), paymentHash)
  })
})
