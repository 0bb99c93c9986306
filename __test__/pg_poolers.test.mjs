// Behind what platforms put before PostgreSQL: a pooler that gives a connection for one transaction at a time, and a role that may have one
// connection only.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Books, LAB_ARGS, assertNoForceClose } from './support/books.mjs'
import { noPgBouncer, pgbouncer } from './support/pg/pgbouncer.mjs'
import { Pooler } from './support/pg/pooler.mjs'
import { newDatabase } from './support/pg/server.mjs'
import { openShop } from './support/shop.mjs'
import { until } from './support/until.mjs'

const AMOUNT_MSAT = 3_000_000
const WALLETS = 4
const ROLE = { user: `single_${process.pid}`, password: 'single' }

let shop, database
before(async () => {
  ;[shop, database] = await Promise.all([openShop(LAB_ARGS), newDatabase()])
})
after(async () => {
  await shop?.close()
})

/** Wallets side by side receive, cold and warm; and then all agree. */
async function serves(store) {
  await Promise.all(Array.from({ length: WALLETS }, async () => {
    const books = new Books(await shop.wallet({ options: { store } }))
    for (const amountMsat of [300_000_000, AMOUNT_MSAT, AMOUNT_MSAT]) {
      await books.payToLsp(amountMsat)
      const handler = books.wallet.start('receive')
      await handler.done()
      assert.deepEqual(handler.all('failed'), [])
      books.hear(handler)
    }
    await books.settle()
    assert.deepEqual(await books.audit(), { paid: 3, refused: 0, channels: 1 })
  }))
}

test('wallets behind a pooler that gives each transaction another connection receive all that was paid', async (t) => {
  const pooler = await Pooler.before(t, database.port)
  await serves(database.url({ port: pooler.port }))
  assert.ok(pooler.switches > 10, `${pooler.switches} switches`)
  t.diagnostic(`${pooler.switches} times another connection than for the transaction before`)
})

test('wallets behind PgBouncer in transaction mode receive all that was paid', { skip: noPgBouncer }, async (t) => {
  await serves(database.url({ port: await pgbouncer(t, database.url()) }))
})

test('a node whose role may have one connection receives with it, and another is told why it has none', async (t) => {
  const own = await newDatabase()
  await own.sql(`CREATE ROLE ${ROLE.user} LOGIN PASSWORD '${ROLE.password}' CONNECTION LIMIT 1`)
  await own.sql(`GRANT CREATE ON DATABASE ${own.name} TO ${ROLE.user}`)
  t.after(async () => {
    await own.sql(`DROP OWNED BY ${ROLE.user}`)
    await own.sql(`DROP ROLE ${ROLE.user}`)
  })
  const store = own.url(ROLE)
  // A connection that was closed counts until its server process is gone.
  const isFree = () => until('the role to have no connection', async () => (await own.sql('SELECT 1 FROM pg_stat_activity WHERE usename = $1', [ROLE.user])).length === 0)
  const books = new Books(await shop.wallet({ options: { store } }))
  const { wallet } = books
  await isFree()
  await books.payToLsp(300_000_000)
  const node = wallet.node()
  t.after(() => node.destroy())
  await node.startReceiving()
  const event = await node.nextEvent(30_000)
  await node.ackEvent(event.id)
  assert.equal((await node.getBalance()).lightningMsat, 300_000_000)
  // Another process has no connection left for it, and says so; nothing of ours ends.
  const other = wallet.start('receive', {}, { lease: { attempts: 1 } })
  await other.done()
  assert.deepEqual(other.all('failed').map(({ code, retryable }) => ({ code, retryable })), [{ code: 'STORE_UNAVAILABLE', retryable: true }])
  assert.match(other.all('failed')[0].message, /connection/)
  assert.equal(node.state, 'running')
  await node.stop()
  await isFree()
  assert.equal((await node.listPayments()).length, 1)
  node.destroy()
  books.hear({ all: () => [{ payment: event }] })
  await isFree()
  await books.settle()
  await isFree()
  assert.equal((await books.paid()).length, 1)
})

test('nobody closed a channel', () => assertNoForceClose(shop.lab))
