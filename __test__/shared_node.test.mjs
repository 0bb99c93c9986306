// Several requests in one process: the nodes of one wallet share one running node. The second start doesn't fight the first, the
// end of one doesn't end the work of another, and the last one leaves nothing.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { startLab } from '../scripts/support/lab.mjs'
import { PATIENCE_MS, rejection, until, within } from './support/life.mjs'
import { takeAway } from './support/store.mjs'
import { Baseline, Household, monotonic } from './support/shared.mjs'
import { threads } from './support/threads.mjs'

let lab
before(async () => (lab = await startLab()))
after(() => lab.stop())

const outcome = (promise) => promise.then(() => 'resolved', (error) => error.code)

describe('two nodes of one wallet are one running node', () => {
  test('when the second starts after the first: no second connection', async (t) => {
    const [baseline, household, since] = [new Baseline(lab), new Household(t, lab), monotonic()]
    const [one, two] = household.nodes(2)
    await one.startReceiving()
    assert.equal(two.state, 'idle', 'it has no part in it yet')
    await two.startReceiving()
    await household.isOne([one, two], since)
    one.destroy()
    two.destroy()
    await baseline.isBack()
  })

  test('when both start at once, with whatever call', async (t) => {
    const [household, since] = [new Household(t, lab), monotonic()]
    const [one, two, three] = household.nodes(3)
    await Promise.all([one.start(), two.startReceiving(), three.start()])
    await household.isOne([one, two, three], since)
  })

  test('a payment is received by the one that asks', async (t) => {
    const household = new Household(t, lab)
    const [one, two] = household.nodes(2)
    await Promise.all([one.startReceiving(), two.startReceiving()])
    await household.paysTo(one)
    await household.paysTo(two)
    assert.equal(await one.nextEvent(), null)
  })

  test('what one of them asks is answered by what runs, also if it was never started', async (t) => {
    const [household, since] = [new Household(t, lab), monotonic()]
    const [runs, asks] = household.nodes(2)
    await runs.startReceiving()
    await household.paysTo(runs)
    assert.equal((await asks.getBalance()).lightningMsat, 21_000)
    assert.equal((await asks.listChannels()).length, 1)
    assert.ok((await asks.getJitRoute()).scid)
    assert.equal((await asks.listPayments()).length, 1)
    assert.equal(await household.greetings(since), 1)
    asks.destroy()
    assert.equal(runs.state, 'running')
  })
})

describe('the end of one', () => {
  for (const how of ['stop', 'destroy']) {
    test(`by ${how}() leaves the other one running, and the last one leaves nothing`, async (t) => {
      const [baseline, household, since] = [new Baseline(lab), new Household(t, lab), monotonic()]
      const [one, two] = household.nodes(2)
      await Promise.all([one.startReceiving(), two.startReceiving()])
      await one[how]()
      assert.equal(one.state, how === 'stop' ? 'idle' : 'destroyed')
      await household.isOne([two], since)
      await household.paysTo(two)
      await two[how]()
      await baseline.isBack()
      await household.leaves()
      assert.equal(await household.greetings(since), 1)
    })
  }

  test('by stop() leaves its object usable: it takes part again when it starts again', async (t) => {
    const [household, since] = [new Household(t, lab), monotonic()]
    const [one, two] = household.nodes(2)
    await Promise.all([one.startReceiving(), two.startReceiving()])
    await one.stop()
    await one.startReceiving()
    await household.isOne([one, two], since)
    await two.stop()
    await household.paysTo(one)
  })

  test('by destroy() rejects its own calls, and no others', async (t) => {
    const household = new Household(t, lab)
    const [one, two] = household.nodes(2)
    await Promise.all([one.startReceiving(), two.startReceiving()])
    const [own, other] = [one, two].map((node) => node.nextEvent(60_000))
    const looping = one.events().next()
    const destroyed = [own, looping].map(outcome)
    await one.getBalance() // in order: they wait
    one.destroy()
    assert.deepEqual(await Promise.all(destroyed), ['NODE_DESTROYED', 'NODE_DESTROYED'])
    const { bolt11, paymentHash } = await two.getInvoice(21_000, 'One report', 900)
    assert.ok((await lab.pay(bolt11)).preimage)
    assert.equal((await other).paymentHash, paymentHash)
  })

  test('by destroy() while both boot lets the other one come up', async (t) => {
    const household = new Household(t, lab)
    const [one, two] = household.nodes(2)
    const [first, second] = [outcome(one.start()), two.startReceiving()]
    await until(() => threads() === 1, 'the start')
    one.destroy()
    assert.equal(await first, 'NODE_DESTROYED')
    await within(second, 'the other start')
    await household.paysTo(two)
  })

  test('an abort of one while both wait for a silent Esplora does not end the wait of the other', async (t) => {
    const household = new Household(t, lab)
    const [one, two] = household.nodes(2)
    const controller = new AbortController()
    await lab.post('/faults', { link: 'esplora', blackhole: true })
    let second
    try {
      const first = rejection(one.start({ signal: controller.signal }))
      second = two.startReceiving()
      second.catch(() => {}) // looked at below
      await until(() => two.state === 'starting', 'the start')
      controller.abort('enough')
      const error = await first
      assert.equal(error.code, 'ABORTED')
      assert.equal(error.cause, 'enough')
      assert.equal(two.state, 'starting')
    } finally {
      await lab.post('/faults', { link: 'esplora', blackhole: false })
    }
    await within(second, 'the other start')
  })

  test('one that only minted, or only asked, does not keep what runs', async (t) => {
    const [baseline, household] = [new Baseline(lab), new Household(t, lab)]
    const [runs, mints, asks] = household.nodes(3)
    await runs.startReceiving()
    await mints.getInvoice(21_000, 'One report', 900)
    await asks.getBalance()
    assert.equal(await asks.nextEvent(), null)
    runs.destroy()
    await baseline.isBack()
    await household.leaves()
    assert.equal(mints.state, 'idle')
    assert.ok((await mints.getInvoice(21_000, 'One report', 900)).bolt11)
  })

  for (const how of ['stop', 'destroy']) {
    test(`by ${how}() of one that never started changes nothing`, async (t) => {
      const [household, since] = [new Household(t, lab), monotonic()]
      const [runs, idle] = household.nodes(2)
      await runs.startReceiving()
      await idle[how]()
      await household.isOne([runs], since)
      await household.paysTo(runs)
    })
  }
})

describe('receivePayment', () => {
  test('beside a node that was started receives, and leaves that one running', async (t) => {
    const [household, since] = [new Household(t, lab), monotonic()]
    const [runs, wakes] = household.nodes(2)
    await runs.startReceiving()
    const { bolt11, paymentHash } = await runs.getInvoice(21_000, 'One report', 900)
    const told = []
    const receiving = wakes.receivePayment((payment) => told.push(payment.paymentHash), { minMs: PATIENCE_MS })
    assert.ok((await lab.pay(bolt11)).preimage)
    const received = await within(receiving, 'the receivePayment')
    assert.deepEqual(told, [paymentHash])
    assert.equal(received.length, 1)
    assert.equal(wakes.state, 'idle')
    await household.isOne([runs], since)
    assert.equal(await runs.nextEvent(), null, 'it is acked')
    await household.paysTo(runs)
  })

  test('that ends before another node starts leaves nothing in its way', async (t) => {
    const [baseline, household] = [new Baseline(lab), new Household(t, lab)]
    const [wakes, runs] = household.nodes(2)
    const receiving = wakes.receivePayment(() => {}, { minMs: 1 })
    const starting = runs.startReceiving()
    assert.deepEqual(await receiving, [])
    await starting
    await household.paysTo(runs)
    wakes.destroy()
    runs.destroy()
    await baseline.isBack()
  })

  test('whose node is destroyed while it boots: one that joined it receives', async (t) => {
    const household = new Household(t, lab)
    const [leads, joins] = household.nodes(2)
    const { bolt11, paymentHash } = await leads.getInvoice(21_000, 'One report', 900)
    await lab.post('/faults', { link: 'esplora', blackhole: true })
    let joined
    try {
      const led = outcome(leads.receivePayment(() => assert.fail('it is over'), { minMs: PATIENCE_MS }))
      joined = joins.receivePayment(() => {}, { minMs: PATIENCE_MS })
      joined.catch(() => {}) // looked at below
      await until(() => leads.state === 'starting', 'the start')
      leads.destroy()
      assert.equal(await led, 'NODE_DESTROYED')
    } finally {
      await lab.post('/faults', { link: 'esplora', blackhole: false })
    }
    assert.ok((await lab.pay(bolt11)).preimage)
    assert.deepEqual((await within(joined, 'the one that joined')).map((payment) => payment.paymentHash), [paymentHash])
  })
})

describe('a node that comes', () => {
  for (const how of ['stop', 'destroy']) {
    test(`while the last one ends by ${how}() starts well after it`, async (t) => {
      const household = new Household(t, lab)
      const [goes] = household.nodes(1)
      for (let round = 0; round < 5; round++) {
        const leaving = household.node()
        await leaving.startReceiving()
        const left = leaving[how]()
        const comes = household.node()
        await comes.startReceiving()
        await left
        await household.paysTo(comes, 1_000 + round)
        comes.destroy()
      }
      goes.destroy()
    })
  }

  test('after FENCED, which ends all nodes that took part, starts afresh', async (t) => {
    const household = new Household(t, lab)
    const nodes = household.nodes(3)
    const [one, two, idle] = nodes
    await Promise.all([one.startReceiving(), two.startReceiving()])
    const waiting = [one, two].map((node) => outcome(node.nextEvent(60_000)))
    const { bolt11, paymentHash } = await one.getInvoice(21_000, 'One report', 900)
    // The next commit finds out.
    await takeAway(household)
    const paying = lab.pay(bolt11)
    paying.catch(() => {}) // looked at below
    assert.deepEqual(await Promise.all(waiting), ['FENCED', 'FENCED'])
    for (const node of [one, two]) {
      assert.equal(node.state, 'fenced')
      assert.equal((await rejection(node.start())).code, 'FENCED')
    }
    idle.destroy()
    const fresh = household.node()
    await fresh.startReceiving()
    assert.equal((await within(fresh.nextEvent(60_000), 'the payment')).paymentHash, paymentHash)
    assert.ok((await within(paying, 'the payer')).preimage)
    one.destroy()
    two.destroy()
    assert.equal(fresh.state, 'running')
  })
})
