// A handler that is killed at every instant that has a name (core/src/failpoint.rs), at its first passing and at later ones: in the
// middle of each step of a start, a commit, a send, an ack, a goodbye and a destroy(). The next handler goes on; in the end the
// payer, the wallet's ledger, what handlers were told and the LSP agree to the millisatoshi, and no channel was closed.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { after, before, test } from 'node:test'
import { Books, LAB_ARGS, assertNoForceClose, commitments } from './support/books.mjs'
import { openShop } from './support/shop.mjs'
import { KIND, ledgerOf } from './support/store.mjs'
import { until, within } from './support/until.mjs'

const POINTS = createRequire(import.meta.url)('../native.js').selftestFailpoints()

/** Within what a server does by itself where the wallet is no file. */
const OF_FILES = ['AfterNewFile', 'MidSchema', 'MidClaim', 'MidCommit']
/** Once in a wallet's life. */
const FIRST_LIFE = KIND === 'file' ? ['AfterNewFile', 'MidSchema'] : []
/** Where `destroy()` finds a node that runs; elsewhere the whole webhook handler is what is killed. */
const DESTROY = ['BeforeDestroy', 'DestroyAfterDisconnect', 'DestroyAfterCommit']
/** Where nobody may wait any more: all is received, and a `destroy()` says nothing. */
const UNHEARD = [...DESTROY, 'BeforeLeaseRelease', 'AfterLeaseRelease']
/** Only who closes a channel broadcasts. */
const CLOSE = ['BeforeBroadcast']
/** Within steps that leave nothing behind when the process ends: for the panics of panics.test.mjs. */
const WITHIN = ['MidCall', 'MidLogRecord', 'MidSync', 'MidPeerMessage', 'MidLspsMessage']
const ELSEWHERE = KIND === 'file' ? [] : OF_FILES
const LIVES = POINTS.filter((point) => ![...ELSEWHERE, ...FIRST_LIFE, ...DESTROY, ...CLOSE, ...WITHIN].includes(point))

/** A payment has no more turns that do something than these, cold or warm; what comes later repeats them. */
const PASSINGS = Number(process.env.KILL_PASSINGS ?? 6)
/** What is about the node more than about its store is shown once. */
const skip = PASSINGS === 1 && 'only where each point is passed more than once (KILL_PASSINGS)'
/** Smaller ones are dust, of which an LDK-based LSP lets only a few be in flight at once. */
const AMOUNT_MSAT = 3_000_000
/** Most of a handler's life is waiting; on a server the lease of each that was killed has to end, too. */
const AT_ONCE = KIND === 'file' ? 3 : 8

let shop
before(async () => (shop = await openShop(LAB_ARGS)))
after(() => shop?.close())

/** A wallet whose store does not exist yet. */
async function newBooks() {
  const wallet = await shop.wallet({ routed: false })
  await wallet.learnRoute({ store: 'memory:' })
  return new Books(wallet)
}

/** A wallet with a channel that has room for what these tests pay. */
async function warmBooks() {
  const books = await newBooks()
  await books.payToLsp(300_000_000)
  await books.settle()
  return books
}

/** One handler with something armed and one payment more to receive. */
async function armed(books, point, passing, action) {
  const { wallet } = books
  await books.payToLsp(AMOUNT_MSAT + passing)
  const handler = wallet.start(DESTROY.includes(point) ? 'vanish' : 'receive', {}, {}, { failpoint: `${point}:${passing}:${action}` })
  const end = await within(`${handler} to end`, handler.exited)
  books.hear(handler)
  if (handler.tripped.length === 0) {
    assert.deepEqual([end, handler.all('failed')], [{ code: 0, signal: null }, []])
    return undefined
  }
  assert.deepEqual(handler.tripped, [{ failpoint: point, passing, action, pid: handler.pid }])
  return { end, failed: handler.all('failed') }
}

/** Kills handlers at that point, each one passing further, until one does not come so far. Resolves with how many. */
async function killAt(books, point) {
  for (let passing = 1; passing <= PASSINGS; passing++) {
    const died = await armed(books, point, passing, 'kill')
    if (died === undefined) return passing - 1
    assert.deepEqual(died, { end: { code: null, signal: 'SIGKILL' }, failed: [] })
  }
  return PASSINGS
}

/** Nobody kills any more: all is received, and all agree. */
async function closeBooks(books) {
  await books.settle()
  const { refused, channels } = await books.audit()
  assert.equal(refused, 0, 'payments that failed')
  assert.equal(channels, 1)
}

/** `AT_ONCE` times `work`, each taking from the same items. */
function sharing(items, work) {
  const queue = items.values()
  return Promise.all(Array.from({ length: AT_ONCE }, () => work(queue)))
}

test('a new wallet whose handlers are killed at a failpoint, each one passing further, receives all that was paid', { skip }, async (t) => {
  let kills = 0
  await sharing([...FIRST_LIFE, ...LIVES, ...DESTROY], async (points) => {
    for (const point of points) {
      const books = await newBooks()
      const killed = await killAt(books, point)
      assert.ok(killed > 0, `nobody came to ${point}`)
      kills += killed
      await closeBooks(books)
    }
  })
  await assertNoForceClose(shop.lab)
  t.diagnostic(`${kills} kills`)
})

test('a wallet with a channel whose handlers are killed at one failpoint after the other receives all that was paid', async (t) => {
  let kills = 0
  await sharing([...LIVES, ...DESTROY], async (points) => {
    const books = await warmBooks()
    for (const point of points) {
      const killed = await killAt(books, point)
      assert.ok(killed > 0, `nobody came to ${point}`)
      kills += killed
    }
    await closeBooks(books)
  })
  await assertNoForceClose(shop.lab)
  t.diagnostic(`${kills} kills`)
})

test('a panic at any failpoint is INTERNAL and ends the node, not the process, and the next handler receives the payment', { skip }, async () => {
  await sharing([...LIVES, ...DESTROY], async (points) => {
    const books = await warmBooks()
    for (const point of points) {
      const ended = await armed(books, point, 1, 'panic')
      assert.deepEqual(ended?.end, { code: 0, signal: null }, `the process of ${point}`)
      const codes = ended.failed.map(({ code }) => code)
      if (UNHEARD.includes(point) && codes.length === 0) continue
      assert.deepEqual(codes, ['INTERNAL'], point)
    }
    await closeBooks(books)
  })
  await assertNoForceClose(shop.lab)
})

test('a handler that stands still between its commit and its messages keeps others out, and says them when it goes on', async () => {
  const books = await warmBooks()
  const { paymentHash } = await books.payToLsp(AMOUNT_MSAT)
  const frozen = books.wallet.start('receive', {}, {}, { failpoint: 'BeforeFulfil:1:block' })
  assert.equal((await within('the failpoint', frozen.trips())).failpoint, 'BeforeFulfil')
  // The payment is in the store already, and nobody was told.
  assert.ok((await ledgerOf(books.wallet)).some((entry) => entry.paymentHash === paymentHash))
  assert.equal(books.open().length, 1)
  const other = books.wallet.start('receive', {}, { lease: { attempts: 1 } })
  await other.done()
  assert.deepEqual(other.all('failed').map(({ code, holder }) => [code, holder.pid]), [['WALLET_LOCKED', frozen.pid]])
  frozen.unblock()
  await frozen.done()
  books.hear(frozen)
  await closeBooks(books)
})

test('a handler that is killed between the commit of a force close and its broadcast leaves the broadcast to the next', async (t) => {
  const books = await warmBooks()
  const { wallet } = books
  t.after(() => shop.lab.post('/lsp/hostile', {}))
  const [{ channelId }] = await wallet.channels()
  const reason = 'give up'
  const error = { type: 17, hex: channelId + reason.length.toString(16).padStart(4, '0'), text: reason }
  await shop.lab.post('/lsp/hostile', { greeting: [error] })
  const killed = wallet.start('receive', {}, {}, { failpoint: 'BeforeBroadcast:1' })
  assert.equal((await within('its death', killed.exited)).signal, 'SIGKILL')
  assert.deepEqual(killed.tripped.map(({ failpoint }) => failpoint), ['BeforeBroadcast'])
  await assertNoForceClose(shop.lab)
  await shop.lab.post('/lsp/hostile', {})
  const next = wallet.start('look')
  await next.done()
  assert.equal((await until('our commitment in the mempool', () => commitmentsIn(shop.lab))).length, 1)
})

/** undefined while there is none. */
async function commitmentsIn(lab) {
  const found = await commitments(lab)
  return found.length > 0 ? found : undefined
}

test('every failpoint of this build is one of those above', () => {
  assert.deepEqual([...ELSEWHERE, ...FIRST_LIFE, ...LIVES, ...DESTROY, ...CLOSE, ...WITHIN].sort(), [...POINTS].sort())
  assert.ok(POINTS.length >= 20, 'the build has them')
})

test('what looks for force closes finds one', async () => {
  const books = await warmBooks()
  const before = await commitments(shop.lab)
  await shop.lab.post('/lsp/close', { nodeId: books.wallet.nodeId, force: true })
  await until('the commitment', async () => (await commitments(shop.lab)).length === before.length + 1)
})
