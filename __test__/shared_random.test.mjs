// Nodes of one wallet that start, wait, receive, stop, vanish and are lost at random instants in one process, while it is paid.
// Nobody gets in another one's way: every call ends, with its result or because of what its own node did, every payment is
// received, and in the end nothing is left. `npm run soak` does more of it.

import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import { after, before, test } from 'node:test'
import { startLab } from '../scripts/support/lab.mjs'
import { gc, untilCollected } from './support/gc.mjs'
import { within } from './support/life.mjs'
import { Random } from './support/random.mjs'
import { Baseline, Household } from './support/shared.mjs'
import { threads } from './support/threads.mjs'

const SEED = Number(process.env.SHARED_SEED ?? Math.floor(Math.random() * 2 ** 32))
const ROUNDS = Number(process.env.SHARED_ROUNDS ?? 2)

/** Nodes at a time, and what happens to them in a round. */
const NODES = 4
const STEPS = 60
const PAYMENTS = 4
/** A call that takes longer than all of a round hangs. */
const WATCHDOG_MS = 60_000

/** What a call may be rejected with: stop(), a signal or destroy() of its own node. Nothing that another node does. */
const OWN_ENDS = ['ABORTED', 'NODE_DESTROYED']

let lab
before(async () => (lab = await startLab()))
after(() => lab.stop())

class Round {
  calls = []
  paid = []
  told = new Set()

  constructor(household, random) {
    this.household = household
    this.random = random
    this.nodes = Array.from({ length: NODES }, () => household.node())
  }

  /** One thing happens to one of the nodes. */
  step() {
    const slot = this.random.below(NODES)
    const node = this.nodes[slot]
    const doings = {
      start: () => node.start(),
      startReceiving: () => node.startReceiving(),
      stop: () => node.stop(),
      getBalance: () => node.getBalance(),
      watch: () => node.watch(),
      nextEvent: async () => this.#act(node, await node.nextEvent(this.random.below(100))),
      receivePayment: () => node.receivePayment(({ paymentHash }) => this.told.add(paymentHash), { minMs: 1 + this.random.below(50), quietMs: 1 + this.random.below(20) }),
      'start, aborted': async () => {
        const controller = new AbortController()
        const started = node.startReceiving({ signal: controller.signal })
        setTimeout(() => controller.abort(), this.random.below(20))
        await started
      },
      destroy: async () => {
        this.nodes[slot] = this.household.node()
        node.destroy()
      },
      forget: async () => {
        this.nodes[slot] = this.household.node()
        gc()
      },
    }
    const names = Object.keys(doings)
    const name = names[this.random.below(names.length)]
    const call = doings[name]().then(() => 'resolved', (error) => error)
    this.calls.push([name, call])
  }

  async #act(node, event) {
    if (event === null) return
    this.told.add(event.paymentHash)
    // Acked by another node meanwhile: it was given back when its own was destroyed.
    await node.ackEvent(event.id).catch((error) => {
      if (error.option !== 'eventId') throw error
    })
  }

  async pay() {
    const { bolt11, paymentHash } = await this.household.node().getInvoice(1_000_000, 'One report', 900)
    const paying = lab.pay(bolt11, WATCHDOG_MS)
    paying.catch(() => {}) // looked at in the end
    this.paid.push({ bolt11, paymentHash, paying })
  }

  /** Everything that was begun has an end. */
  async settle() {
    for (const [name, call] of this.calls) {
      const outcome = await within(call, `${name} to end`, WATCHDOG_MS)
      assert.ok(outcome === 'resolved' || OWN_ENDS.includes(outcome.code), `${name}: ${outcome.stack}`)
    }
    const last = this.household.node()
    await last.startReceiving()
    for (const { bolt11, paying } of this.paid) {
      const { preimage } = await within(paying, 'the payer to hear', WATCHDOG_MS)
      // One that was forwarded in the instant in which the node went fails at the LSP, and nobody was told of it: payers try again.
      const again = preimage ? { preimage } : await lab.post('/pay', { bolt11, again: true })
      assert.ok(again.preimage, `the payment failed although a node runs: ${again.error}`)
    }
    for (const node of this.nodes) node.destroy()
    for (let event; (event = await last.nextEvent()); await last.ackEvent(event.id)) this.told.add(event.paymentHash)
    assert.deepEqual([...this.told].sort(), this.paid.map(({ paymentHash }) => paymentHash).sort())
    last.destroy()
  }
}

for (let round = 0; round < ROUNDS; round++) {
  const seed = (SEED + round) >>> 0
  test(`nodes of one wallet at random: SHARED_SEED=${seed} SHARED_ROUNDS=1 npm test -- __test__/shared_random.test.mjs`, async (t) => {
    const random = new Random(seed)
    const baseline = new Baseline(lab)
    const household = new Household(t, lab)
    // It has a channel: an LSP that opens one for every payment of a wallet that comes and goes fails some.
    const first = household.node()
    await first.startReceiving()
    await household.paysTo(first)
    household.options.jitRoute = await first.getJitRoute()
    await first.stop()
    first.destroy()
    const at = new Set(Array.from({ length: PAYMENTS }, () => random.below(STEPS)))
    const it = new Round(household, random)
    for (let step = 0; step < STEPS; step++) {
      if (at.has(step)) await it.pay()
      it.step()
      if (random.below(2) === 0) await pause(random.below(30))
    }
    await it.settle()
    await untilCollected(() => threads() === 0, 'the nodes that were lost to end')
    await baseline.isBack()
  })
}
