// Handlers of several wallets, killed at random instants of their lives while payments stream in, one after the other for as long as
// it takes. In the end the payer, the ledgers, what handlers were told and the LSP agree to the millisatoshi, and no channel was
// closed. `npm run soak` kills more of them.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { Books, LAB_ARGS, assertNoForceClose } from './support/books.mjs'
import { Random } from './support/random.mjs'
import { openShop } from './support/shop.mjs'

const SEED = Number(process.env.KILLS_SEED ?? Math.floor(Math.random() * 2 ** 32))
const KILLS = Number(process.env.KILLS ?? 200)
const WALLETS = Number(process.env.KILLS_WALLETS ?? 4)

/** At most so many payments are under way to one wallet, and at least one when a handler starts. */
const OPEN = 3
/** One handler in so many is one that takes an event and is destroyed at once, whatever is in flight. */
const VANISHES = 4
/** Above what is dust, of which an LSP lets only a few be in flight at once; and small enough for many in one channel. */
const AMOUNTS_MSAT = [3_000_000, 6_000_000]
/** So that more of a life is spent between messages. */
const ROUND_TRIP_MS = 10
/** Instants are drawn from this part more than the last life that nobody cut short: some handlers end by themselves. */
const BEYOND = 1.2

let shop
before(async () => {
  shop = await openShop(LAB_ARGS)
  await shop.lab.post('/faults', { link: 'lsp', roundTripMs: ROUND_TRIP_MS })
})
after(() => shop?.close())

/** One wallet, its books, and handlers one after the other. */
class Victim {
  /** What became of the handlers. */
  kills = 0
  withPayments = 0
  survived = 0
  /** How long a handler lives that is not killed, from `go` to its end. */
  lifeMs = 1_000

  constructor(books, random) {
    this.books = books
    this.random = random
  }

  /** A handler that is loaded, and waits for `go`: what is random is how far into its work it dies. */
  #ready() {
    const job = this.random.below(VANISHES) === 0 ? 'vanish' : 'receive'
    return this.books.wallet.start(job, { wait: true })
  }

  async suffer(goesOn) {
    let next = this.#ready()
    while (goesOn()) {
      const handler = next
      const missing = 1 + this.random.below(OPEN) - this.books.open().length
      for (let i = 0; i < missing; i++) await this.books.pay(this.random.between(...AMOUNTS_MSAT))
      await handler.first('ready')
      next = this.#ready()
      await this.#live(handler)
    }
    await next.kill()
  }

  async #live(handler) {
    const deathMs = this.random.unit() * this.lifeMs * BEYOND
    const began = performance.now()
    handler.go()
    await Promise.race([pause(deathMs), handler.exited])
    const open = this.books.open().length
    const { code, signal } = await handler.kill()
    this.books.hear(handler)
    assert.deepEqual(handler.all('failed'), [])
    if (signal === 'SIGKILL') {
      this.kills += 1
      if (open > 0) this.withPayments += 1
      return
    }
    assert.equal(code, 0)
    this.survived += 1
    if (handler.job === 'receive') this.lifeMs = performance.now() - began
  }
}

test(`handlers killed at ${KILLS} random instants leave wallets that have received all that was paid, once`, async (t) => {
  const rerun = `KILLS_SEED=${SEED} KILLS=${KILLS} KILLS_WALLETS=${WALLETS} node --test __test__/kill_random.test.mjs`
  t.diagnostic(`seed ${SEED}; again: ${rerun}`)
  try {
    const random = new Random(SEED)
    const victims = []
    for (let i = 0; i < WALLETS; i++) victims.push(new Victim(new Books(await shop.wallet()), random.fork()))
    const kills = () => victims.reduce((sum, victim) => sum + victim.kills, 0)
    await Promise.all(victims.map((victim) => victim.suffer(() => kills() < KILLS)))
    const sums = { paid: 0, refused: 0 }
    for (const { books } of victims) {
      await books.settle()
      const { paid, refused } = await books.audit()
      sums.paid += paid
      sums.refused += refused
    }
    await assertNoForceClose(shop.lab)
    const withPayments = victims.reduce((sum, victim) => sum + victim.withPayments, 0)
    const survived = victims.reduce((sum, victim) => sum + victim.survived, 0)
    t.diagnostic(`${kills()} kills, ${withPayments} with a payment under way; ${survived} handlers lived; ${sums.paid} payments received, ${sums.refused} failed`)
    assert.ok(withPayments > 0 && sums.paid > 0, 'there was something to lose')
  } catch (error) {
    error.message += `\nagain: ${rerun}`
    throw error
  }
})
