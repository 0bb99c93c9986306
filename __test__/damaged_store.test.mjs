// What a disk, a copy, an upgrade taken back or a person can do to a wallet's files, while a payment waits for it: the start is refused
// with the code that says what to do, the process lives, the LSP hears nothing, nothing in the files changes; and when they are whole
// again, the payment is received.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, statfsSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { Books, LAB_ARGS, assertNoForceClose } from './support/books.mjs'
import { failsWith } from './support/services.mjs'
import { openShop } from './support/shop.mjs'
import { databaseOf, sql } from './support/store.mjs'
import { within } from './support/until.mjs'

const AMOUNT_MSAT = 3_000_000
/** Most of a test is waiting for handlers. */
const AT_ONCE = 3

let shop
before(async () => (shop = await openShop(LAB_ARGS)))
after(() => shop?.close())

/** A wallet with a channel, an event that nobody acked, and a payment that waits at the LSP; all of it in the database's file. */
async function waitingBooks() {
  const wallet = await shop.wallet()
  const books = new Books(wallet)
  await books.payToLsp(AMOUNT_MSAT)
  const unacked = wallet.start('vanish')
  await unacked.done()
  books.hear(unacked)
  await books.payToLsp(AMOUNT_MSAT + 1)
  await sql(wallet, 'PRAGMA wal_checkpoint(TRUNCATE)')
  return books
}

/** The folder's files and what is in them. */
const contents = (folder) =>
  Object.fromEntries(readdirSync(folder).map((name) => [name, statSync(join(folder, name)).isFile() ? readFileSync(join(folder, name), 'base64') : 'no file']))

/** SQLite's index of the log, and an empty log, may come; nothing is in them. */
function assertUnchanged(now, was) {
  const empty = (name) => name.endsWith('-shm') || (name.endsWith('-wal') && now[name] === '')
  const kept = Object.entries(now).filter(([name]) => name in was ? !name.endsWith('-shm') : !empty(name))
  assert.deepEqual(Object.fromEntries(kept), Object.fromEntries(Object.entries(was).filter(([name]) => !name.endsWith('-shm'))))
}

const rowsOf = (wallet) => sql(wallet, 'SELECT key, hex(value) AS value FROM item ORDER BY key')

/** The calls that need the wallet whole. */
async function assertRefused(wallet, code, says) {
  const node = wallet.node()
  try {
    for (const call of [() => node.start(), () => node.startReceiving(), () => node.receivePayment(() => assert.fail('a payment'))]) {
      assert.match((await failsWith(call, code)).message, says)
    }
  } finally {
    node.destroy()
  }
}

/** Damages the wallet, sees it refused in silence, puts it right, and receives what waited. `kept`: 'bytes' or 'rows'. */
async function damaged(damage, { code, says, kept = 'bytes' }) {
  const books = await waitingBooks()
  const { wallet } = books
  const folder = dirname(databaseOf(wallet))
  const whole = `${folder}.whole`
  cpSync(folder, whole, { recursive: true })
  await damage(wallet)
  const was = kept === 'bytes' ? contents(folder) : await rowsOf(wallet)
  const since = process.hrtime.bigint()
  await assertRefused(wallet, code, says)
  if (kept === 'bytes') assertUnchanged(contents(folder), was)
  else assert.deepEqual(await rowsOf(wallet), was)
  const heard = (await wallet.lab.get(`/messages?since=${since}`)).filter(({ peer }) => peer === wallet.nodeId)
  assert.deepEqual(heard, [], 'what the LSP heard and said')
  assert.equal(books.open().length, 1, 'the payment still waits')
  rmSync(folder, { recursive: true })
  cpSync(whole, folder, { recursive: true })
  await books.settle()
  await books.audit()
  await assertNoForceClose(wallet.lab)
}

/** Flips one bit where the database's file holds the middle of that row. */
async function flipBitOf(wallet, prefix) {
  const read = async () => (await sql(wallet, `SELECT hex(value) AS value FROM item WHERE key >= '${prefix}' ORDER BY key LIMIT 1`))[0].value
  const value = await read()
  const row = Buffer.from(value, 'hex')
  const bytes = readFileSync(databaseOf(wallet))
  // A long row goes from page to page: a piece of it is in one of them. Pages that are free now may hold the same, of before.
  const piece = 24
  for (let from = row.length >> 1; from + piece <= row.length; from += piece) {
    for (let at = -1; (at = bytes.indexOf(row.subarray(from, from + piece), at + 1)) >= 0; ) {
      const flipped = Buffer.from(bytes)
      flipped[at + (piece >> 1)] ^= 0x10
      writeFileSync(databaseOf(wallet), flipped)
      if ((await read()) !== value) return
    }
  }
  assert.fail(`${prefix} was not found in the file`)
}

/** Writes a row as a holder would, with its sums (core/src/store/file/sums.rs). */
async function rewrite(wallet, key, change) {
  const [{ value, sum }] = await sql(wallet, `SELECT hex(value) AS value, hex(sum) AS sum FROM item WHERE key = '${key}'`)
  const changed = Buffer.from(change(Buffer.from(value, 'hex')))
  const length = Buffer.alloc(8)
  length.writeBigUInt64BE(BigInt(Buffer.byteLength(key)))
  const now = createHash('sha256').update(length).update(key).update(changed).digest().subarray(0, 16)
  const [lease] = await sql(wallet, 'SELECT hex(sum) AS sum FROM lease')
  const [total, was] = [lease.sum, sum].map((hex) => Buffer.from(hex, 'hex'))
  const all = total.map((byte, i) => byte ^ was[i] ^ now[i])
  await sql(wallet, `UPDATE item SET value = x'${changed.toString('hex')}', sum = x'${now.toString('hex')}' WHERE key = '${key}'`)
  await sql(wallet, `UPDATE lease SET sum = x'${all.toString('hex')}'`)
}

const keyOf = async (wallet, prefix) => (await sql(wallet, `SELECT key FROM item WHERE key >= '${prefix}' ORDER BY key LIMIT 1`))[0].key

describe('a file that is not what was written', { concurrency: AT_ONCE }, () => {
  for (const row of ['manager', 'monitor/', 'node', 'outbox/']) {
    test(`one bit of row ${row}: STATE_CORRUPT`, () =>
      damaged((wallet) => flipBitOf(wallet, row), { code: 'STATE_CORRUPT', says: new RegExp(`row ${row}.* is not what was written.*Keep it.*check the disk`) }))
  }

  test('a row that is gone: STATE_CORRUPT', () =>
    damaged(async (wallet) => sql(wallet, `DELETE FROM item WHERE key = '${await keyOf(wallet, 'monitor/')}'`), { code: 'STATE_CORRUPT', says: /rows are gone.*Keep it/ }))

  test("one bit of the database's header: STATE_CORRUPT", () =>
    damaged(
      (wallet) => {
        const bytes = readFileSync(databaseOf(wallet))
        bytes[3] ^= 1
        writeFileSync(databaseOf(wallet), bytes)
      },
      { code: 'STATE_CORRUPT', says: /not a database.*Keep it/ },
    ))

  test('a database cut in the middle: STATE_CORRUPT', () =>
    damaged((wallet) => truncateSync(databaseOf(wallet), (statSync(databaseOf(wallet)).size >> 13) << 12), { code: 'STATE_CORRUPT', says: /malformed.*Keep it/ }))
})

describe('a file of a newer version', { concurrency: AT_ONCE }, () => {
  test('its tables: STATE_CORRUPT, and the message says to upgrade', () =>
    damaged((wallet) => sql(wallet, 'PRAGMA user_version = 99'), { code: 'STATE_CORRUPT', says: /newer version \(schema 99.*upgrade, do not delete it/ }))

  test("the node's own row: STATE_CORRUPT, and the message says to update", () =>
    damaged((wallet) => rewrite(wallet, 'node', (json) => JSON.stringify({ ...JSON.parse(json), version: 99 })), {
      code: 'STATE_CORRUPT',
      says: /newer mayfly \(row version 99.*update mayfly/,
      kept: 'rows',
    }))

  test("LDK's manager: STATE_CORRUPT", () =>
    damaged((wallet) => rewrite(wallet, 'manager', (bytes) => bytes.fill(99, 0, 2)), { code: 'STATE_CORRUPT', says: /row manager.*UnknownVersion/, kept: 'rows' }))

  test("LDK's monitor: STATE_CORRUPT", () =>
    damaged(async (wallet) => rewrite(wallet, await keyOf(wallet, 'monitor/'), (bytes) => bytes.fill(99, 0, 2)), {
      code: 'STATE_CORRUPT',
      says: /row monitor.*UnknownVersion/,
      kept: 'rows',
    }))
})

describe('something else in its place', () => {
  const folderAt = (path) => {
    rmSync(path)
    mkdirSync(path)
  }

  test('a folder for the database: STORE_UNAVAILABLE', () =>
    damaged((wallet) => folderAt(databaseOf(wallet)), { code: 'STORE_UNAVAILABLE', says: /\.sqlite.*(check|unable)/ }))

  test('a folder for the lock: STORE_UNAVAILABLE', () =>
    damaged((wallet) => folderAt(databaseOf(wallet).replace(/sqlite$/, 'lock')), { code: 'STORE_UNAVAILABLE', says: /\.lock.*check/ }))
})

describe('a disk without room', () => {
  const folder = mkdtempSync(join(tmpdir(), 'mayfly-full-'))
  let mounted = false
  before(() => {
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', folder], { stdio: 'ignore' })
      mounted = true
    } catch {
      // Not root: services_store.test.mjs has a disk that is full by other means.
    }
  })
  after(() => {
    if (mounted) execFileSync('umount', ['-l', folder])
    rmSync(folder, { recursive: true })
  })

  const ballast = join(folder, 'ballast')
  /** Leaves so much room on it. */
  function fill(leave) {
    rmSync(ballast, { force: true })
    const { bavail, bsize } = statfsSync(folder)
    writeFileSync(ballast, Buffer.alloc(Math.max(0, bavail * bsize - leave)))
  }

  test('a handler for whose commits there is no room ends in STORE_UNAVAILABLE, and its payment is received when there is', async (t) => {
    if (!mounted) return t.skip('NOT TESTED: only root may mount a small file system')
    // How much the wallet writes is not known: less room each time, from enough to none, with a database that is new and one that grows.
    let refused = 0
    for (const life of ['new', 'old']) {
      const books = life === 'new' ? undefined : await fullBooks()
      for (const leave of [0, 4_096, 16_384, 40_960, 81_920, 163_840]) {
        const it = books ?? (await fullBooks())
        await it.payToLsp(AMOUNT_MSAT + leave)
        fill(leave)
        const handler = it.wallet.start('receive', {}, { timeouts: { commitMs: 300 } })
        const end = await within(`${handler} to end`, handler.exited)
        it.hear(handler)
        assert.deepEqual(end, { code: 0, signal: null }, `the process, with ${leave} bytes left`)
        for (const { code, message, retryable } of handler.all('failed')) {
          assert.deepEqual([code, retryable], ['STORE_UNAVAILABLE', true], message)
          assert.match(message, /room|full/)
          refused += 1
        }
        rmSync(ballast)
        if (books === undefined) await closed(it)
      }
      if (books !== undefined) await closed(books)
    }
    assert.ok(refused > 0, 'the disk was never full')
    t.diagnostic(`${refused} handlers found no room`)
  })

  async function fullBooks() {
    const wallet = await shop.wallet({ routed: false })
    await wallet.learnRoute({ store: 'memory:' })
    wallet.options.store = `file:${join(folder, basename(wallet.options.store))}`
    return new Books(wallet)
  }

  async function closed(books) {
    await books.settle()
    await books.audit()
    await assertNoForceClose(shop.lab)
    rmSync(dirname(databaseOf(books.wallet)), { recursive: true })
  }
})
