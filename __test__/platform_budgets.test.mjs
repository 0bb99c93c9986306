// What platforms grant a function from SIGTERM to SIGKILL is enough at any instant of a webhook handler's life: it is gone before, its
// wallet free for the next handler's only attempt; or its log says what was left undone. In the end all that was paid is received,
// once. `npm run soak` terminates more of them.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { Books, LAB_ARGS, assertNoForceClose } from './support/books.mjs'
import { terminate } from './support/no_lingering/platform.mjs'
import { Worker } from './support/no_lingering/worker.mjs'
import { Pulse } from './support/pulse.mjs'
import { Random } from './support/random.mjs'
import { openShop } from './support/shop.mjs'
import { KIND } from './support/store.mjs'

const SEED = Number(process.env.TERMS_SEED ?? Math.floor(Math.random() * 2 ** 32))
/** On each platform. */
const TERMS = Number(process.env.TERMS ?? 20)
const PLATFORMS = { Vercel: 500, Lambda: 300 }

/** Wallets side by side on each platform. */
const WALLETS = 2
/** At most so many payments are under way to one wallet, and at least one when a handler starts. */
const OPEN = 2
/** Above what is dust, and small enough for many in one channel. */
const AMOUNTS_MSAT = [3_000_000, 6_000_000]
/** So that more of a life is spent between messages. */
const ROUND_TRIP_MS = 10
/** Instants are drawn from this part more than the last whole life: some signals come when all is done. */
const BEYOND = 1.2
/** A lease that was left, as the log says, ends with its process in a file, and with its time on a server. */
const LEASE = KIND === 'file' ? { attempts: 1 } : { ttlMs: 2_000 }
/** What is left of the budget when destroying has had its time: for the exit, and for a log that is read. */
const RESERVE_MS = 100

let shop
let pulse
before(async () => {
  ;[shop, pulse] = await Promise.all([openShop(LAB_ARGS), Pulse.start()])
  await shop.lab.post('/faults', { link: 'lsp', roundTripMs: ROUND_TRIP_MS })
})
after(() => Promise.all([shop?.close(), pulse?.stop()]))

/** One wallet, its books, and handlers one after the other, each terminated. */
class Victim {
  /** What became of them: `{ ms, killed }`. */
  ends = []
  inTheMiddle = 0
  /** From `go` to the end of its work: of the last one that came so far, and longer when one was still at work by then. */
  #lifeMs = 1_000

  constructor(t, wallet, random, budgetMs) {
    this.t = t
    this.books = new Books(wallet)
    this.random = random
    this.budgetMs = budgetMs
  }

  /** A handler that is loaded, and waits for `go`: what is random is how far into its work it is told to end. */
  #ready() {
    const options = { ...this.books.wallet.options, lease: LEASE }
    return new Worker(this.t, 'receiving', options, { go: true, shutdown: { destroyTimeoutMs: this.budgetMs - RESERVE_MS } })
  }

  async suffer(goesOn) {
    let next = this.#ready()
    while (goesOn()) {
      const handler = next
      const missing = 1 + this.random.below(OPEN) - this.books.open().length
      for (let i = 0; i < missing; i++) await this.books.payToLsp(this.random.between(...AMOUNTS_MSAT))
      await handler.first('ready')
      next = this.#ready()
      await this.#live(handler)
    }
    next.child.kill('SIGKILL')
  }

  async #live(handler) {
    const termMs = this.random.unit() * this.#lifeMs * BEYOND
    const began = performance.now()
    const working = handler.first('done').then(() => (this.#lifeMs = performance.now() - began))
    working.catch(() => {}) // it may never come so far
    handler.child.send('go')
    await pause(termMs)
    if (handler.all('done').length === 0) {
      this.inTheMiddle += 1
      this.#lifeMs = Math.max(this.#lifeMs, termMs)
    }
    const end = await terminate(handler.child, { budgetMs: this.budgetMs, pulse })
    this.books.hear(handler)
    this.ends.push(end)
    const when = `${handler}, SIGTERM ${termMs.toFixed(1)} ms after it began, gone after ${end.ms.toFixed(1)} ms`
    assert.deepEqual(handler.all('failed'), [], when)
    // Killed: then it had said by then what was left, if anything was.
    if (end.killed) handler.told()
    else handler.assertEndedAsAsked(when, { mayLeave: KIND !== 'file' })
  }
}

describe('SIGTERM at a random instant of a handler, and SIGKILL when the time of the platform is up', { concurrency: true }, () => {
  for (const [platform, budgetMs] of Object.entries(PLATFORMS)) {
    test(`${platform}, ${budgetMs} ms, ${TERMS} times: gone before, and all that was paid is received, once`, async (t) => {
      const rerun = `TERMS_SEED=${SEED} TERMS=${TERMS} node --test __test__/platform_budgets.test.mjs`
      t.diagnostic(`seed ${SEED}; again: ${rerun}`)
      try {
        const random = new Random(SEED + budgetMs)
        const victims = []
        for (let i = 0; i < WALLETS; i++) victims.push(new Victim(t, await shop.wallet(), random.fork(), budgetMs))
        const ends = () => victims.flatMap((victim) => victim.ends)
        let left = TERMS
        await Promise.all(victims.map((victim) => victim.suffer(() => left-- > 0)))
        assert.equal(ends().length, TERMS)
        const sums = { paid: 0, refused: 0 }
        for (const { books } of victims) {
          await books.settle()
          const { paid, refused } = await books.audit()
          sums.paid += paid
          sums.refused += refused
        }
        assert.equal(sums.refused, 0, 'payments that failed')
        const inTheMiddle = victims.reduce((sum, victim) => sum + victim.inTheMiddle, 0)
        const ms = ends().map((end) => end.ms).sort((a, b) => a - b)
        const killed = ends().filter((end) => end.killed).length
        t.diagnostic(`${inTheMiddle} of ${TERMS} in the middle of their work; gone after ${ms[ms.length >> 1].toFixed(0)} ms (median), ${ms.at(-1).toFixed(0)} ms (longest); ${killed} killed; ${sums.paid} payments received`)
        assert.ok(inTheMiddle > 0 && sums.paid > 0, 'there was something to lose')
      } catch (error) {
        error.message += `\nagain: ${rerun}`
        throw error
      }
    })
  }
})

test('nobody closed a channel', () => assertNoForceClose(shop.lab))
