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
    receiveBegin: () => step('begin'),
    async receiveNext() {
      await step('next')
      const id = queue.shift()
      return id === undefined ? null : { id, eventType: 'Received', amountMsat: 1 }
    },
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
    assert.deepEqual(node.log, ['begin', 'next', 'stop'])
  }
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
