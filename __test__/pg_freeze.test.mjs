// A platform freezes a handler in the middle of its work, and another one takes the wallet over: at each failpoint, and at random
// instants. Half of the frozen ones thaw with their sockets open while the other waits to be let in; the other half when all is done
// without them, on a link that swallows everything. `npm run soak` freezes more of them.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { Books, LAB_ARGS, assertNoForceClose } from './support/books.mjs'
import { Audit } from './support/pg/audit.mjs'
import { Frozen } from './support/pg/frozen.mjs'
import { newDatabase } from './support/pg/server.mjs'
import { Random } from './support/random.mjs'
import { openShop } from './support/shop.mjs'
import { within } from './support/until.mjs'

const SEED = Number(process.env.FREEZES_SEED ?? Math.floor(Math.random() * 2 ** 32))
/** At random instants, beside those at each failpoint. */
const FREEZES = Number(process.env.FREEZES ?? 4)

/** As short as it may be: B waits for it. */
const LEASE = { ttlMs: 2_000 }
const AMOUNT_MSAT = 3_000_000
/** Most of a cycle is waiting for a lease to end. */
const WALLETS = 5
/** Instants are drawn from this part more than a whole life. */
const BEYOND = 1.2

const POINTS = createRequire(import.meta.url)('../native.js').selftestFailpoints()
/** Before the claim there is nothing to lose; what belongs to other stores, to a close, to a destroy(), or is within a step, is not met. */
const ELSEWHERE = ['AfterNewFile', 'MidSchema', 'MidClaim', 'MidCommit', 'BeforeBroadcast', 'MidCall', 'MidLogRecord', 'MidSync', 'MidPeerMessage', 'MidLspsMessage', 'AfterLeaseRelease', 'BeforeDestroy', 'DestroyAfterDisconnect', 'DestroyAfterCommit']
/** All is received, told and acked: there is nothing left that could fail. */
const DONE = ['BeforeGoodbye', 'AfterGoodbye', 'BeforeLeaseRelease']

let shop, database, audit
before(async () => {
  ;[shop, database] = await Promise.all([openShop(LAB_ARGS), newDatabase()])
  audit = await Audit.of(database, shop.lab)
})
after(() => shop?.close())

/** A wallet with a channel that has room. */
async function warm() {
  const books = new Books(await shop.wallet({ options: { store: database.url() } }))
  await books.payToLsp(300_000_000)
  await books.settle()
  return books
}

/** A stands still, B takes over, A goes on. `when(A)` brings A to the instant; false when it ended before. */
async function freeze(t, books, { when, open, name, ...more }) {
  const since = await audit.now()
  await books.payToLsp(AMOUNT_MSAT)
  const frozen = await Frozen.start(t, { books, audit, lease: LEASE, ...more })
  if (!(await when(frozen)) || !(await frozen.stop())) {
    books.hear(frozen.handler)
    return false
  }
  const claim = (await audit.claims({ since })).find(({ pid }) => pid === frozen.handler.pid)
  if (claim === undefined) {
    // It had nothing yet. It begins when it thaws, as if nothing had been.
    await frozen.handler.kill()
    return false
  }
  frozen.claim = claim
  if (!open) frozen.lsp.strand()
  const successor = books.wallet.start('receive', {}, { lease: LEASE })
  await frozen.isTakenOver(since)
  if (!open) await successor.done()
  const codes = await frozen.thaw()
  await successor.done()
  if (codes === undefined) {
    books.hear(successor)
    return false
  }
  assert.deepEqual(successor.all('failed'), [], `the successor of one frozen at ${name}`)
  books.hear(successor)
  if (!(codes.length === 0 && (DONE.includes(name) || frozen.handler.all('payments').length > 0))) assert.deepEqual(codes, ['FENCED'], name)
  return true
}

async function close(books) {
  await books.settle()
  const { refused, channels } = await books.audit()
  assert.deepEqual({ refused, channels }, { refused: 0, channels: 1 })
}

/** Each wallet takes from the same items until there are none. */
async function sharing(items, work) {
  const queue = items.values()
  await Promise.all(Array.from({ length: WALLETS }, async () => {
    const books = await warm()
    for (const item of queue) await work(books, item)
    await close(books)
  }))
}

async function assertTheLspIsContent(since) {
  await assertNoForceClose(shop.lab)
  const complaints = (await shop.lab.get(`/messages?since=${since}`)).filter(({ type }) => ['error', 'warning'].includes(type))
  assert.deepEqual(complaints, [])
  await audit.assertOneWriter()
}

describe('a handler that stands still for longer than its lease', { concurrency: 2 }, () => {
  test('at a failpoint is followed by another, and is over when it goes on', async (t) => {
    const began = process.hrtime.bigint()
    const points = POINTS.filter((point) => !ELSEWHERE.includes(point))
    await sharing(points.map((name, i) => ({ name, open: i % 2 === 0 })), async (books, { name, open }) => {
      const tripped = async ({ handler }) => (await within(name, handler.trips())).failpoint === name
      assert.ok(await freeze(t, books, { name, open, when: tripped, failpoint: `${name}:1:block` }), `nobody came to ${name}`)
    })
    await assertTheLspIsContent(began)
    t.diagnostic(`${points.length} freezes`)
  })

  test(`at ${FREEZES} random instants is followed by another, and is over when it goes on`, async (t) => {
    const rerun = `FREEZES_SEED=${SEED} FREEZES=${FREEZES} node --test __test__/pg_freeze.test.mjs`
    t.diagnostic(`seed ${SEED}; again: ${rerun}`)
    const began = process.hrtime.bigint()
    const random = new Random(SEED)
    let [frozen, lifeMs] = [0, 1_000]
    const instant = async ({ handler }) => {
      await handler.first('ready')
      const at = random.unit() * lifeMs * BEYOND
      const from = performance.now()
      handler.go()
      await Promise.race([pause(at), handler.exited])
      if (handler.end === undefined) return true
      lifeMs = performance.now() - from
      return false
    }
    function* until() {
      for (let i = 0; frozen < FREEZES; i++) yield i
    }
    await sharing({ values: until }, async (books, i) => {
      if (await freeze(t, books, { name: `a random instant (${rerun})`, open: i % 2 === 0, when: instant, args: { wait: true, log: 'debug' } })) frozen += 1
    })
    await assertTheLspIsContent(began)
    t.diagnostic(`${frozen} freezes`)
  })

  test('of the default settings is followed by another, and a healthy one with nothing to do never is', async (t) => {
    const books = await warm()
    const since = await audit.now()
    const frozen = await Frozen.start(t, { books, audit, job: 'listen', args: { waitMs: 60_000 } })
    const holder = frozen.handler
    await holder.first('running')
    const claim = (await audit.claims({ since })).find(({ pid }) => pid === holder.pid)
    frozen.claim = claim
    // Each tries as often as it may.
    const refused = await Promise.all([1, 2].map(async () => {
      const other = books.wallet.start('receive')
      await other.done()
      return other.all('failed').map(({ code, holder: { pid, epoch } }) => ({ code, pid, epoch }))
    }))
    assert.deepEqual(refused.flat(), Array(2).fill({ code: 'WALLET_LOCKED', pid: holder.pid, epoch: claim.epoch }))
    const ours = async () => (await audit.claims({ since })).filter(({ wallet }) => wallet === claim.wallet)
    assert.equal((await ours()).length, 1)
    await frozen.stop()
    frozen.lsp.strand()
    await books.payToLsp(AMOUNT_MSAT)
    const next = books.wallet.start('receive')
    await next.done()
    assert.deepEqual(next.all('failed'), [])
    books.hear(next)
    assert.deepEqual(await frozen.thaw(), ['FENCED'])
    const [, taken] = await ours()
    assert.ok(taken.unrenewedMs >= 3_000, `taken after ${taken.unrenewedMs} ms`)
    t.diagnostic(`taken over ${taken.unrenewedMs.toFixed(0)} ms after the last renewal`)
    await close(books)
  })
})
