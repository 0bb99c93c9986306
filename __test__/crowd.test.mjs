// Many wallets in one process: platforms that run requests side by side in one instance have as many nodes there.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startLab } from '../scripts/support/lab.mjs'
import { generateMnemonic } from '../index.mjs'
import { folder } from './support/life.mjs'
import { Child, beat } from './support/life-process.mjs'
import { Pulse } from './support/pulse.mjs'
import { KIND, storeAt } from './support/store.mjs'

const WALLETS = Number(process.env.SOAK_WALLETS ?? 100)
/** A watchdog: some ten seconds on two idle processors. */
const PATIENCE_MS = 120_000

let lab
let pulse
before(async () => {
  // A payment waits while a hundred channels open, on a machine that may be busy with other things.
  lab = await startLab({ args: ['--hold-ms', String(PATIENCE_MS)] })
  pulse = await Pulse.start()
})
after(async () => {
  pulse.stop()
  await lab.stop()
})

test(`${WALLETS} wallets at once in one process start, are paid and are destroyed: all at baseline, no stall`, async (t) => {
  const home = folder(t)
  // Time enough to start and to finish on a busy machine: what counts is that each does.
  const patience = { timeouts: { chainMs: PATIENCE_MS, lspMs: PATIENCE_MS, connectMs: 30_000, lspRequestMs: PATIENCE_MS - 1 }, destroyTimeoutMs: 10_000, maxIdleMs: 0 }
  const wallets = Array.from({ length: WALLETS }, (_, i) => lab.options({ mnemonic: generateMnemonic(), store: storeAt(`${home}/${i}`), ...patience }))
  const child = new Child(t, 'crowd', { options: wallets, script: 'crowd-child.mjs' })
  const payments = []
  child.onLine(({ invoice }) => invoice && payments.push(lab.pay(invoice, PATIENCE_MS)))
  assert.deepEqual(await child.said('balances', PATIENCE_MS), Array(WALLETS).fill(21_000))
  const running = await child.said('running')
  assert.equal(running.threads, WALLETS, 'a thread for each')
  if (KIND === 'file') assert.ok(running.locks >= WALLETS, `${running.locks} locks; SQLite has some of its own`)
  const outcomes = await Promise.all(payments)
  assert.deepEqual(outcomes.filter(({ preimage }) => !preimage), [], 'payments that failed')
  assert.equal(payments.length, WALLETS)
  const done = await child.said('done', PATIENCE_MS)
  assert.deepEqual(done.unfinished, [])
  assert.deepEqual(done.left, { threads: 0, fds: 0, locks: 0 })
  await child.endsWell()
  await beat(child, pulse)
})
