// What a start reads does not grow with the payments of a wallet's life, nor does what a commit writes.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { openShop } from './support/shop.mjs'
import { payAll } from './support/stream.mjs'

/** `npm run soak` does 1,000. */
const MANY = Number(process.env.SOAK_FLAT ?? 300)

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

test(`a start after ${MANY} payments reads as many rows as one after 10, and a payment's commits are as small`, async (t) => {
  const wallet = await shop.wallet()
  const pay = async (count, how) => {
    const began = performance.now()
    const stats = await run(wallet, (node) => payAll(shop.lab, node, count, how))
    t.diagnostic(`${count} payments: ${Math.round(performance.now() - began)} ms, ${stats.commits} commits, ${Math.round(stats.commitBytes / stats.commits)} B each`)
    return stats
  }
  const early = await pay(10, { atOnce: 1 })
  const young = await run(wallet)
  await pay(MANY - 20)
  const late = await pay(10, { atOnce: 1 })
  const old = await run(wallet)

  for (const [when, stats] of [['10', young], [MANY, old]]) {
    t.diagnostic(`after ${when}: ${stats.rowsLoaded} rows, ${stats.deltasLoaded} of them deltas, ${stats.bytesLoaded} B`)
    assert.ok(stats.rowsLoaded > 0 && stats.deltasLoaded <= 50, `${stats.deltasLoaded} deltas of one channel`)
  }
  assert.equal(old.rowsLoaded - old.deltasLoaded, young.rowsLoaded - young.deltasLoaded)
})
