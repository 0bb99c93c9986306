// What a start reads does not grow with the payments of a wallet's life, nor does what a commit writes.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { openShop } from './support/shop.mjs'
import { ackAll, payMany } from '../scripts/support/stream.mjs'

/** `npm run soak` does 1,000. */
const MANY = Math.max(30, Number(process.env.SOAK_PAYMENTS ?? 300))

let shop
before(async () => (shop = await openShop()))
after(() => shop?.close())

/** Runs the wallet in this process; resolves with what it cost. */
async function run(wallet, body) {
  const node = wallet.node()
  try {
    await node.startReceiving()
    await body?.(node)
    await node.stop()
    return node.stats()
  } finally {
    node.destroy()
  }
}

test(`a start after ${MANY} payments reads as many rows as one after 10, and the commits are as small`, async (t) => {
  const wallet = await shop.wallet()
  const pay = async (count, how) => {
    const began = performance.now()
    const stats = await run(wallet, async (node) => ackAll(node, await payMany(shop.lab, node, count, how)))
    const bytesEach = Math.round(stats.commitBytes / stats.commits)
    t.diagnostic(`${count} payments: ${Math.round(performance.now() - began)} ms, ${stats.commits} commits of ${bytesEach} B on average`)
    return bytesEach
  }
  await pay(10, { atOnce: 1 })
  const young = await run(wallet)
  await pay(MANY - 20)
  const bytesEach = await pay(10, { atOnce: 1 })
  const old = await run(wallet)

  for (const [when, stats] of [['10', young], [MANY, old]]) {
    t.diagnostic(`after ${when}: ${stats.rowsLoaded} rows, ${stats.deltasLoaded} of them deltas, ${stats.bytesLoaded} B`)
    assert.ok(stats.deltasLoaded <= 50, `${stats.deltasLoaded} deltas of one channel`)
  }
  assert.equal(old.rowsLoaded - old.deltasLoaded, young.rowsLoaded - young.deltasLoaded, 'but for what changed in the channel of late')
  assert.ok(young.rowsLoaded - young.deltasLoaded >= 3, 'the manager, the channel, the node')
  // LDK's monitor grows with each payment; a commit hardly ever holds the whole of it.
  assert.ok(bytesEach < old.bytesLoaded / 3, `${bytesEach} B a commit, of ${old.bytesLoaded} B in all`)
})
