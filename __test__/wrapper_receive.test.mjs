// receivePayment, over a native half made of plain JavaScript: what is acked, what is stopped, whose error comes first.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { rejects } from './support/refused.mjs'

const require = createRequire(import.meta.url)
const { receivePayment } = require('../wrapper/receive.js')

function failure(code) {
  return Object.assign(new Error(code), { code, retryable: false })
}

function fakeNode(ids, failing = {}) {
  const log = []
  const queue = [...ids]
  const step = async (name, shown = name) => {
    log.push(shown)
    if (failing[name]) throw failure(failing[name])
  }
  return {
    log,
    async receiveBegin() {
      await step('begin')
      return true
    },
    async receiveNext() {
      await step('next')
      const id = queue.shift()
      return id === undefined ? null : { id, eventType: 'Received', amountMsat: 1 }
    },
    giveBack: (id) => log.push(`give back ${id}`),
    ackEvent: (id) => step('ack', `ack ${id}`),
    stop: () => step('stop'),
  }
}

test('each payment is acked after its callback resolved, and the node is stopped at the end', async () => {
  const node = fakeNode(['a', 'b'])
  const received = await receivePayment(node, async ({ id }) => {
    await undefined
    node.log.push(`paid ${id}`)
  })
  assert.deepEqual(received.map(({ id }) => id), ['a', 'b'])
  assert.deepEqual(node.log, ['begin', 'next', 'paid a', 'ack a', 'next', 'paid b', 'ack b', 'next', 'stop'])
})

test("the callback's own error comes first, its payment is not acked, and the node is stopped", async () => {
  for (const failing of [{}, { stop: 'STORE_UNAVAILABLE' }]) {
    const node = fakeNode(['a', 'b'], failing)
    const mine = new Error('mine')
    await assert.rejects(receivePayment(node, () => { throw mine }), (error) => error === mine)
    assert.deepEqual(node.log, ['begin', 'next', 'give back a', 'stop'])
  }
})

test('whatever a callback fails with is what the caller sees, untouched, and its payment is not acked', async () => {
  const hostile = new Proxy({}, { get: () => assert.fail('touched'), getPrototypeOf: () => assert.fail('touched') })
  for (const thrown of [undefined, null, 0, 'text', Symbol('x'), hostile, Object.create(null), failure('WALLET_LOCKED')]) {
    const fails = {
      throws: () => {
        throw thrown
      },
      rejects: () => Promise.reject(thrown),
      'returns a thenable that throws': () => ({
        then() {
          throw thrown
        },
      }),
      'returns a thenable whose then throws': () => ({
        get then() {
          throw thrown
        },
      }),
      'returns a thenable that rejects': () => ({ then: (_resolve, reject) => reject(thrown) }),
    }
    for (const [how, onPayment] of Object.entries(fails)) {
      const node = fakeNode(['a', 'b'])
      const outcome = await receivePayment(node, onPayment).then(() => 'resolved', (error) => [error])
      assert.ok(Array.isArray(outcome) && outcome[0] === thrown, how)
      assert.deepEqual(node.log, ['begin', 'next', 'give back a', 'stop'], how)
    }
  }
})

test('whatever a callback resolves with is no matter, and its payment is acked once', async () => {
  const twice = {
    then(resolve, reject) {
      resolve()
      reject(new Error('too late'))
      throw new Error('too late')
    },
  }
  for (const value of [undefined, null, false, new Error('returned'), { then: 5 }, () => {}, Promise.resolve(false), twice]) {
    const node = fakeNode(['a'])
    assert.equal((await receivePayment(node, () => value)).length, 1)
    assert.deepEqual(node.log, ['begin', 'next', 'ack a', 'next', 'stop'])
  }
})

test('a callback that changes its payment acks the one that came', async () => {
  const node = fakeNode(['a'])
  await receivePayment(node, (payment) => {
    payment.id = 'another'
  })
  assert.deepEqual(node.log, ['begin', 'next', 'ack a', 'next', 'stop'])
})

test('a start that failed is not stopped again', async () => {
  const node = fakeNode(['a'], { begin: 'WALLET_LOCKED' })
  await rejects(() => receivePayment(node, () => assert.fail('called')), 'WALLET_LOCKED')
  assert.deepEqual(node.log, ['begin'])
})

test('a failing ack and a failing stop are told', async () => {
  await rejects(() => receivePayment(fakeNode(['a'], { ack: 'STORE_UNAVAILABLE' }), () => {}), 'STORE_UNAVAILABLE')
  await rejects(() => receivePayment(fakeNode([], { stop: 'STORE_UNAVAILABLE' }), () => {}), 'STORE_UNAVAILABLE')
})
