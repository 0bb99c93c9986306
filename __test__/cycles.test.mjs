// A process that lives for many requests: start, receive, destroy, again and again. Nothing grows, and the event loop goes on
// beating. `npm run soak` runs it longer, with a payment in every cycle.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startLab } from '../scripts/support/lab.mjs'
import { generateMnemonic } from '../index.mjs'
import { folder } from './support/life.mjs'
import { Child, beat } from './support/life-process.mjs'
import { Pulse } from './support/pulse.mjs'

const CYCLES = Number(process.env.SOAK_CYCLES ?? 1_000)
const PAY_EVERY = Number(process.env.SOAK_PAY_EVERY ?? 10)
const PAYMENTS = Math.floor(CYCLES / PAY_EVERY)
/** A watchdog for what takes some 20 ms a cycle, and some 100 with a payment. */
const PATIENCE_MS = 60_000 + CYCLES * 500

let lab
let pulse
before(async () => {
  lab = await startLab()
  pulse = await Pulse.start()
})
after(async () => {
  pulse.stop()
  await lab.stop()
})

test(`${CYCLES} starts and destroys in one process, ${PAYMENTS} with a payment: threads, files and locks at baseline after each, no stall`, async (t) => {
  // Time enough to finish on a busy machine: what is left undone is looked at after each cycle.
  const options = lab.options({ mnemonic: generateMnemonic(), store: `file:${folder(t)}`, destroyTimeoutMs: 10_000 })
  const child = new Child(t, 'cycles', { options, args: [`${CYCLES},${PAY_EVERY}`], script: 'cycles-child.mjs' })
  const payments = []
  child.onLine(({ invoice, progress }) => {
    if (invoice) payments.push(lab.pay(invoice, PATIENCE_MS))
    if (progress) t.diagnostic(`${progress.cycle} cycles, ${progress.rssMb} MB resident`)
  })
  const done = await child.said('done', PATIENCE_MS)
  assert.deepEqual(done.left, { threads: 0, fds: 0, locks: 0 })
  const outcomes = await Promise.all(payments)
  assert.deepEqual(outcomes.filter(({ preimage }) => !preimage), [], 'payments that failed')
  assert.equal(payments.length, PAYMENTS)
  assert.equal((await child.said('balance')).lightningMsat, done.paidMsat, 'what was paid is there')
  await child.endsWell()
  await beat(child, pulse)
})
