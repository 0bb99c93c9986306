// What goes wrong between a node and its PostgreSQL, in the middle of each thing that a node asks of it: no payment is lost, nobody is
// told FENCED who is not, what is told has a code that says "try again", and the same process goes on.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Postgres } from '../scripts/support/postgres.mjs'
import { Books, LAB_ARGS, assertNoForceClose } from './support/books.mjs'
import { Proxy } from './support/pg/proxy.mjs'
import { Database } from './support/pg/server.mjs'
import { openShop } from './support/shop.mjs'
import { until, within } from './support/until.mjs'

const AMOUNT_MSAT = 3_000_000
/** How often a handler may be told to try again until it has received what waits. */
const TRIES = 8
/** What a store that is away may be called. */
const AWAY = ['STORE_UNAVAILABLE', 'TIMEOUT']

/** Words of what a node asks: the claim's load, a commit. */
const ASKED = { load: 'LEFT JOIN LATERAL', commit: 'seq = seq + 1' }

let shop, server, database
before(async () => {
  ;[shop, server] = await Promise.all([openShop(LAB_ARGS), Postgres.start()])
  database = await Database.create(server.url(), 'wallets')
})
after(() => Promise.all([shop?.close(), server?.stop()]))

/** A wallet of this process, and a way of its own to the server. */
class Customer {
  /** What its calls were told instead of an answer. */
  codes = []
  received = []

  static async come(t, { warm = true } = {}) {
    const proxy = await Proxy.to(t, database.port)
    const books = new Books(await shop.wallet({ options: { store: database.url({ port: proxy.port }) } }))
    const customer = new Customer(t, books, proxy)
    if (warm) {
      await books.payToLsp(300_000_000)
      await customer.receives()
      assert.deepEqual(customer.codes, [])
    }
    return customer
  }

  constructor(t, books, proxy) {
    Object.assign(this, { t, books, proxy })
  }

  /** One webhook: until all is received that waits. */
  async receives() {
    for (let tries = 0; this.books.open().length > 0; tries++) {
      assert.ok(tries < TRIES, `${this.books.open().length} payment(s) not received after ${TRIES} tries: ${this.codes}`)
      const node = this.books.wallet.node()
      try {
        const received = await node.receivePayment((payment) => void this.received.push({ payment }))
        // The payer hears of it when the LSP does. Who came for nothing, since a channel's opening was held up for longer than it waits
        // for a first payment, is called again.
        if (received.length > 0) await until('the payers', () => this.books.open().length === 0)
      } catch (error) {
        if (error.code === undefined) throw error
        this.codes.push(error.code)
        // A handler that is called again is called later.
        await until('the server', () => server.sql('SELECT 1').catch(() => undefined))
      } finally {
        node.destroy()
      }
    }
    this.books.hear({ all: () => this.received })
  }

  /** Nothing is lost, and nothing else was said than "try again". */
  async isContent(allowed = AWAY) {
    this.proxy.roundTrip(0)
    await this.books.settle()
    assert.equal((await this.books.audit()).refused, 0)
    assert.deepEqual(this.codes.filter((code) => !allowed.includes(code)), [], `${this.codes}`)
  }
}

/** What can happen to a request that carries `words`; resolves when it has happened. */
const FAULTS = {
  'the connection is reset when it is sent': async ({ proxy }, words) => {
    await proxy.sees(words)
    proxy.reset()
  },
  'it is lost, and the connection is reset': ({ proxy }, words) => proxy.next(words, { lose: 'request' }),
  'it is lost in silence': ({ proxy }, words) => proxy.next(words, { lose: 'request', then: 'silence' }),
  'it is carried out, and the connection is reset before its reply': ({ proxy }, words) => proxy.next(words, { lose: 'reply' }),
  'it is carried out, and its reply is lost in silence': ({ proxy }, words) => proxy.next(words, { lose: 'reply', then: 'silence' }),
}

describe('a handler receives its payment, although', { concurrency: 8 }, () => {
  for (const [what, words] of Object.entries(ASKED)) {
    for (const [fault, happens] of Object.entries(FAULTS)) {
      test(`of its ${what} this becomes: ${fault}`, async (t) => {
        const customer = await Customer.come(t, { warm: false })
        await customer.books.payToLsp(AMOUNT_MSAT)
        const happened = happens(customer, words)
        await Promise.all([customer.receives(), within('the fault', happened)])
        await customer.isContent()
        t.diagnostic(`told ${JSON.stringify(customer.codes)}`)
      })
    }
  }

  test('every round trip to its store takes 200 ms', async (t) => {
    const customer = await Customer.come(t)
    customer.proxy.roundTrip(200)
    await customer.books.payToLsp(AMOUNT_MSAT)
    await customer.receives()
    await customer.isContent([])
  })
})

describe('a node that runs goes on as it is, although', () => {
  const running = async (t, happens) => {
    const customer = await Customer.come(t)
    const { wallet } = customer.books
    const node = wallet.node()
    t.after(() => node.destroy())
    await node.startReceiving()
    const { epoch } = node.stats()
    await happens(customer)
    const payment = await customer.books.pay(AMOUNT_MSAT)
    const event = await within('the payment', node.nextEvent(60_000))
    assert.equal(event?.paymentHash, payment.paymentHash)
    await node.ackEvent(event.id)
    assert.equal(node.stats().epoch, epoch, 'nobody else had it, and it was never in doubt')
    await within('the payer', payment.paying)
    await node.stop()
    customer.received.push({ payment: event })
    customer.books.hear({ all: () => customer.received })
    await customer.isContent([])
  }

  test('its connection is reset', (t) => running(t, ({ proxy }) => proxy.reset()))
  test('its server is killed and started again', (t) => running(t, () => server.restart()))
  test('its server stood still for a second', (t) => running(t, async () => {
    server.hang()
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    server.thaw()
  }))
})

for (const [what, words] of Object.entries(ASKED)) {
  test(`a server that is killed in the middle of a ${what} and started again loses no payment`, async (t) => {
    const customer = await Customer.come(t)
    // It is on its way when the server dies, or the answer is.
    customer.proxy.roundTrip(20)
    for (let i = 0; i < 2; i++) {
      await customer.books.payToLsp(AMOUNT_MSAT)
      const dying = customer.proxy.sees(words).then(() => server.restart())
      await Promise.all([customer.receives(), within('its death', dying)])
    }
    await customer.isContent()
    t.diagnostic(`told ${JSON.stringify(customer.codes)}`)
  })
}

test('a server that stays away is STORE_UNAVAILABLE, and the same process receives when it is back', async (t) => {
  const customer = await Customer.come(t)
  await customer.books.payToLsp(AMOUNT_MSAT)
  await server.kill9()
  const node = customer.books.wallet.node()
  try {
    await assert.rejects(node.receivePayment(() => {}), { code: 'STORE_UNAVAILABLE' })
  } finally {
    node.destroy()
    await server.restart()
  }
  await customer.receives()
  await customer.isContent()
})

test('nobody closed a channel', () => assertNoForceClose(shop.lab))
