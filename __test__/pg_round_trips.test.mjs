// What a wallet in a PostgreSQL far away costs: how often something waits for it, counted between the two. A count does not depend on the
// machine; with some milliseconds on the way, what leaves together also arrives together.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Postgres } from '../scripts/support/postgres.mjs'
import { openShop } from './support/shop.mjs'
import { secure } from './support/pg/certificate.mjs'
import { Proxy } from './support/pg/proxy.mjs'
import { Database, newDatabase } from './support/pg/server.mjs'
import { kindOf } from './support/pg/turns.mjs'
import { until, within } from './support/until.mjs'

/** Of a round trip: more than a client takes between two writes that belong together. */
const FAR_MS = 20
const AMOUNT_MSAT = 3_000_000

/** Longer than any look of a node that waits, and than any test. */
const LONG_MS = 60_000

let shop, database
before(async () => {
  ;[shop, database] = await Promise.all([openShop(), newDatabase()])
})
after(() => shop?.close())

/** A wallet of this process, and a way of its own to the server. */
async function remote(t) {
  const proxy = await Proxy.to(t, database.port)
  const wallet = await shop.wallet({ options: { store: database.url({ port: proxy.port }) } })
  await until('its connections to go', () => proxy.open === 0)
  return { proxy, wallet }
}

/** Without the checks of the lease, which also come with time. */
const kindsOf = (turns) => turns.map(kindOf).filter((kind) => kind !== 'check')

/** TCP's handshake, which no proxy sees. */
const TCP = 1

describe('over an existing wallet', () => {
  test('a handler asks for the lease and the rows in one, for each commit once, and gives the lease back in one', async (t) => {
    const { proxy, wallet } = await remote(t)
    await wallet.sell(AMOUNT_MSAT)
    const { paying } = await wallet.payUnattended(AMOUNT_MSAT)
    await until('its connections to go', () => proxy.open === 0)
    proxy.roundTrip(FAR_MS)
    const { connections } = proxy
    const turns = proxy.keepTurns()
    const node = wallet.node()
    t.after(() => node.destroy())
    let told
    await node.receivePayment(() => void (told ??= { turns: kindsOf(turns.filter(({ answeredAt }) => answeredAt)), commits: node.stats().commits }))
    assert.ok((await paying).preimage)
    const { commits, storeRoundTrips } = node.stats()
    // The HTLC, whether it was paid before, the claim. The handler is told when that is committed, and the fulfilment on its way.
    const before = ['login', 'login', 'login', 'claim', 'commit', 'read', 'commit']
    assert.deepEqual(told, { turns: before, commits: 2 })
    assert.deepEqual(kindsOf(turns), [...before, ...Array(commits - 2).fill('commit'), 'release'])
    assert.equal(turns.length - 3, storeRoundTrips, 'each operation is one turn, checks included')
    assert.equal(proxy.connections - connections, 1)
  })

  test('from nothing to the rows it is seven round trips at most, with TLS and without', async (t) => {
    const server = await Postgres.start()
    t.after(() => server.stop())
    const sslrootcert = await secure(server)
    const secured = await Database.create(server.url(), 'wallets')
    const proxy = await Proxy.to(t, secured.port)
    const wallet = await shop.wallet({ options: { store: secured.url() } })
    proxy.roundTrip(FAR_MS)
    const ways = [
      [{ sslmode: 'disable' }, 5],
      [{ sslmode: 'verify-full', sslrootcert }, 7],
      [{ sslmode: 'verify-full', sslrootcert, sslnegotiation: 'direct' }, 6],
    ]
    for (const [parameters, expected] of ways) {
      const { turns } = proxy
      const node = wallet.node({ store: secured.url({ port: proxy.port, parameters }) })
      try {
        await node.start()
        await node.stop()
      } finally {
        node.destroy()
      }
      // All that the node asked but the claim came after it.
      const after = node.stats().storeRoundTrips - 1
      assert.equal(TCP + proxy.turns - turns - after, expected, JSON.stringify(Object.keys(parameters)))
    }
  })
})

const READ = 'SELECT m.version, pg_is_in_recovery(), i.key'

describe('a node that waits for what another process may bring', () => {
  /** It has looked so often. */
  async function waiting(t, node, proxy, looks) {
    t.after(() => node.destroy())
    const { connections } = proxy
    const waiting = node.nextEvent(LONG_MS)
    waiting.catch(() => {})
    for (let look = 0; look < looks; look++) await within('a look', proxy.sees(READ))
    return { waiting, connections: () => proxy.connections - connections }
  }

  test('logs in once, however often it looks, and destroy() leaves no connection', async (t) => {
    const { proxy, wallet } = await remote(t)
    const node = wallet.node()
    const { waiting: call, connections } = await waiting(t, node, proxy, 5)
    assert.equal(connections(), 1)
    node.destroy()
    await assert.rejects(call, { code: 'NODE_DESTROYED' })
    await until('its connection to go', () => proxy.open === 0)
  })

  test('has no connection any more when the wait has ended', async (t) => {
    const { proxy, wallet } = await remote(t)
    const node = wallet.node()
    t.after(() => node.destroy())
    assert.equal(await node.nextEvent(700), null)
    await until('its connection to go', () => proxy.open === 0)
  })

  test('has one connection when a session begins meanwhile, and none when that ends', async (t) => {
    const { proxy, wallet } = await remote(t)
    const [node, other] = [wallet.node(), wallet.node()]
    t.after(() => other.destroy())
    await waiting(t, node, proxy, 2)
    await other.start()
    await until('the connection of the looks to go', () => proxy.open === 1)
    await other.stop()
    await within('a look', proxy.sees(READ))
    assert.equal(proxy.open, 1)
    node.destroy()
    other.destroy()
    await until('its connection to go', () => proxy.open === 0)
  })

  test('looks on a new connection when the one that it kept is lost, and tells nobody', async (t) => {
    const { proxy, wallet } = await remote(t)
    const node = wallet.node()
    const { waiting: call, connections } = await waiting(t, node, proxy, 2)
    proxy.reset()
    for (let look = 0; look < 3; look++) await within('a look', proxy.sees(READ))
    assert.equal(connections(), 2)
    node.destroy()
    await assert.rejects(call, { code: 'NODE_DESTROYED' })
  })

  test('looks on a new connection when the one that it kept says nothing any more, and tells nobody', async (t) => {
    const { proxy, wallet } = await remote(t)
    const node = wallet.node({ timeouts: { storeMs: 1_000 } })
    const { waiting: call, connections } = await waiting(t, node, proxy, 2)
    await proxy.next(READ, { lose: 'request', then: 'silence' })
    for (let look = 0; look < 2; look++) await within('a look', proxy.sees(READ))
    assert.equal(connections(), 2)
    node.destroy()
    await assert.rejects(call, { code: 'NODE_DESTROYED' })
  })
})
