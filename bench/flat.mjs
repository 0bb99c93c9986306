// What a wallet's past costs (P7): starts and commits after more and more payments. See README.md, "Flat".

import { ackAll, payMany } from '../scripts/support/stream.mjs'
import { runChild } from './support/children.mjs'
import { derived, median, samples } from './support/samples.mjs'

export const title = 'Flat (after many payments)'

/** One channel for all payments: what is measured is its monitor. */
const OPEN_SAT = 2_000_000

/** So many payments one after the other, for the commits of each. */
const ONE_BY_ONE = 20

/** So many in one running node, whose outbox must not become what is measured. */
const AT_MOST = 200

export async function run(context) {
  const lab = await context.lab()
  const wallet = await context.newWallet()
  const { openSat } = await lab.get('/lsp/options')
  await lab.post('/lsp/options', { openSat: OPEN_SAT })
  try {
    const stages = []
    let paid = 0
    for (const payments of context.count({ quick: [10, 200], full: [10, 1_000, context.payments] })) {
      const together = await payUntil(lab, wallet, payments - paid)
      paid = payments
      stages.push({ payments, together, ...(await measure(context, wallet)) })
      paid += ONE_BY_ONE
    }
    return [...stages.flatMap((stage) => stageRows(stage, stages[0])), ...growth(stages[0], stages.at(-1))]
  } finally {
    await lab.post('/lsp/options', { openSat })
  }
}

/** So many payments, eight at once; what their commits cost until all are paid, and without their acks. */
async function payUntil(lab, wallet, count) {
  const cost = { payments: 0, commits: 0, bytes: 0 }
  while (cost.payments < count) {
    const some = Math.min(AT_MOST, count - cost.payments)
    await whileRunning(wallet, async (node) => {
      const before = node.stats()
      const paid = await payMany(lab, node, some)
      const after = node.stats()
      cost.payments += some
      cost.commits += after.commits - before.commits
      cost.bytes += after.commitBytes - before.commitBytes
      await ackAll(node, paid)
    })
  }
  return cost
}

async function measure(context, wallet) {
  const lab = await context.lab()
  const boots = []
  const runs = context.count({ quick: 5, full: 11, slow: true })
  while (boots.length < runs) boots.push((await runChild('boot.cjs', { options: wallet.options, method: 'start' })).said)
  return { boots, oneByOne: await whileRunning(wallet, (node) => payOneByOne(lab, node)) }
}

/** Each payment paid, received and acked before the next. */
async function payOneByOne(lab, node) {
  const before = node.stats()
  for (let i = 0; i < ONE_BY_ONE; i++) await ackAll(node, await payMany(lab, node, 1))
  const after = node.stats()
  return { payments: ONE_BY_ONE, commits: after.commits - before.commits, bytes: after.commitBytes - before.commitBytes }
}

function stageRows({ payments, boots, together, oneByOne }, first) {
  const of = (what, unit, pick, goal) => samples(`after ${payments}: ${what}`, unit, boots.map(pick), goal)
  const one = (what, unit, value, n, goal) => derived(`after ${payments}: ${what}`, unit, value, n, goal)
  const others = ({ stats }) => stats.rowsLoaded - stats.deltasLoaded
  return [
    of('start()', 'ms', ({ began, ready }) => ready - began),
    of('- the store: lease and rows', 'ms', ({ stats }) => stats.claimMs),
    of('- LDK reads them', 'ms', readMs),
    of('- bytes read', 'B', ({ stats }) => stats.bytesLoaded),
    of('- rows read, but for deltas', '', others, { target: median(first.boots.map(others)) }),
    of('- deltas read', '', ({ stats }) => stats.deltasLoaded, { target: 50 }),
    one('commits per payment, one by one', '', oneByOne.commits / oneByOne.payments, oneByOne.payments, { target: 4 }),
    one('- bytes per commit', 'B', oneByOne.bytes / oneByOne.commits, oneByOne.commits),
    one('commits per payment, 8 at once', '', together.commits / together.payments, together.payments, { target: 1 }),
    one('- bytes per commit', 'B', together.bytes / together.commits, together.commits),
  ]
}

/** LDK's own: what its monitor keeps of every payment. */
function growth(first, last) {
  const payments = last.payments - first.payments
  const more = (pick) => (median(last.boots.map(pick)) - median(first.boots.map(pick))) / payments
  return [
    derived("LDK's monitor, bytes per payment", 'B', more(({ stats }) => stats.bytesLoaded), payments),
    derived('- ms to read per 1,000 payments', 'ms', 1_000 * more(readMs), payments),
  ]
}

const readMs = ({ stats }) => stats.phases.loadedMs - stats.phases.claimedMs

async function whileRunning(wallet, body) {
  const { MdkNode } = await import('../index.mjs')
  const node = new MdkNode(wallet.options)
  try {
    await node.startReceiving()
    const result = await body(node)
    await node.stop()
    return result
  } finally {
    node.destroy()
  }
}
