// A worker that is told to end, in any way and whatever it is in the middle of, is gone within a second (three where something hangs
// for ever; the machine's own stalls taken out): by itself and with the exit code that was asked for, its calls rejected, its wallet free for the next process's
// first attempt, and a payment in the middle not lost.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Books, LAB_ARGS, assertNoForceClose } from './support/books.mjs'
import { GONE_FROM_STUCK_MS, GONE_MS, PATIENT, STATES, hold, nextEpoch, workerIn } from './support/no_lingering/states.mjs'
import { STORES } from './support/no_lingering/stores.mjs'
import { WAYS, Worker } from './support/no_lingering/worker.mjs'
import { Pulse } from './support/pulse.mjs'
import { openShop } from './support/shop.mjs'
import { KIND } from './support/store.mjs'

/** Most of a worker's life is waiting. */
const AT_ONCE = 6
const AMOUNT_MSAT = 3_000_000
const STARTS = 50

let shop
let pulse
before(async () => ([shop, pulse] = await Promise.all([openShop(LAB_ARGS), Pulse.start()])))
after(() => Promise.all([shop?.close(), pulse?.stop()]))

const store = STORES[KIND]
/** By what a worker is told makes no difference to its store. */
const ways = KIND === 'file' || process.env.EXITS === 'all' ? Object.keys(WAYS) : ['SIGTERM', 'parent SIGKILLed']

describe(`with a ${KIND} store`, { concurrency: AT_ONCE }, () => {
  for (const [name, state] of Object.entries(STATES)) {
    if (state.silent && store.silenced === undefined) continue
    const isAsking = state.worker === 'store'
    const skip = state.skip ?? (isAsking && store.noHangs)
    const stuck = isAsking ? store.sticks : state.stuck
    for (const way of ways) {
      test(`${name}: ${way}`, { skip }, async (t) => {
        const place = store.open(t)
        const wallet = await shop.wallet({ options: { store: place.store } })
        const books = new Books(wallet)
        if (state.payment) await books.payToLsp(AMOUNT_MSAT)
        const { worker, still } = await workerIn(t, name, { wallet, place, store, orphan: WAYS[way].orphan })
        const ms = await worker.endsBy(way, { withinMs: stuck ? GONE_FROM_STUCK_MS : GONE_MS, pulse })
        t.diagnostic(`gone after ${ms.toFixed(0)} ms`)
        if (state.outcomes) assert.deepEqual(worker.end().outcomes, state.outcomes)
        const left = worker.assertToldWhatIsLeft({ stuck, silent: state.silent, asks: !store.sticks && state.asks })
        if (still) await still()
        else await nextEpoch(wallet, left && !store.sticks ? {} : undefined)
        if (state.payment) await received(books, worker)
      })
    }
  }
})

/** The payment is the wallet's, once, and all agree on it. */
async function received(books, worker) {
  books.hear(worker)
  await books.settle()
  assert.deepEqual(await books.audit(), { paid: 1, refused: 0, channels: 1 })
}

test(`${STARTS} starts against a held lock, each ended by SIGTERM, leave no process, and the holder undisturbed`, async (t) => {
  const wallet = await shop.wallet()
  const holder = await hold(t, wallet)
  let started = 0
  const starting = async () => {
    while (started++ < STARTS) {
      const worker = new Worker(t, 'contended', { ...wallet.options, lease: PATIENT })
      await worker.reached()
      await worker.endsBy('SIGTERM', { withinMs: GONE_MS, pulse })
      assert.deepEqual(worker.end().outcomes, ['NODE_DESTROYED', 'NODE_DESTROYED'])
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, starting))
  await holder.undisturbed()
})

test('nobody closed a channel', () => assertNoForceClose(shop.lab))
