// The events iterator, over a native half made of plain JavaScript: order of acks, and every way to end.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { rejects } from './support/refused.mjs'

const require = createRequire(import.meta.url)
const { events } = require('../wrapper/events.js')

/** Hands out `ids`, then waits until cancelled. */
function fakeNode(ids, { ack = async () => {} } = {}) {
  const log = []
  const queue = [...ids]
  return {
    log,
    async awaitEvent(token) {
      const id = queue.shift()
      log.push(id === undefined ? 'wait' : `give ${id}`)
      if (id !== undefined) return { id, eventType: 'Received' }
      return new Promise((_, reject) => {
        token.cancel = () => reject(Object.assign(new Error('aborted'), { code: 'ABORTED', retryable: false }))
      })
    },
    async ackEvent(id) {
      log.push(`ack ${id}`)
      await ack(id)
    },
  }
}

test('an event is acked when the next one is asked for', async () => {
  const node = fakeNode(['a', 'b', 'c'])
  for await (const { id } of events(node)) {
    node.log.push(`handle ${id}`)
    if (id === 'c') break
  }
  assert.deepEqual(node.log, ['give a', 'handle a', 'ack a', 'give b', 'handle b', 'ack b', 'give c', 'handle c'])
})

test('return() ends a pending wait at once and cleanly', async () => {
  const node = fakeNode([])
  const iterator = events(node)
  const pending = iterator.next()
  assert.deepEqual(await iterator.return('over'), { done: true, value: 'over' })
  assert.deepEqual(await pending, { done: true, value: undefined })
  assert.deepEqual(await iterator.next(), { done: true, value: undefined })
})

test('throw() ends a pending wait, and the error is neither swallowed nor changed', async () => {
  for (const thrown of [new Error('mine'), undefined, Object.assign(new Error('x'), { code: 'ABORTED', retryable: false })]) {
    const node = fakeNode([])
    const iterator = events(node)
    const pending = iterator.next()
    const outcome = await iterator.throw(thrown).then(() => 'resolved', (error) => [error])
    assert.ok(Array.isArray(outcome) && outcome[0] === thrown)
    assert.deepEqual(await pending, { done: true, value: undefined })
    assert.deepEqual(await iterator.next(), { done: true, value: undefined })
  }
})

test('an error that a delegating generator is given at an event comes out of it, and the event is not acked', async () => {
  const node = fakeNode(['a'])
  const outer = (async function* () {
    yield* events(node)
  })()
  assert.equal((await outer.next()).value.id, 'a')
  const mine = new Error('mine')
  await assert.rejects(outer.throw(mine), (error) => error === mine)
  assert.deepEqual(node.log, ['give a'])
})

test('a handler that changes its event acks the one that came', async () => {
  const node = fakeNode(['a', 'b'])
  for await (const event of events(node)) {
    if (event.id === 'b') break
    event.id = 'another'
  }
  assert.deepEqual(node.log, ['give a', 'ack a', 'give b'])
})

test('return() before the first next() leaves no listener and asks for nothing', async () => {
  const { signal } = countingSignal()
  const node = fakeNode(['a'])
  const iterator = events(node, signal)
  await iterator.return()
  assert.deepEqual(await iterator.next(), { done: true, value: undefined })
  assert.deepEqual(node.log, [])
  assert.equal(signal.listeners, 0)
})

test('a fired signal rejects the wait with ABORTED and its reason, and no listener stays', async () => {
  const { signal, abort } = countingSignal()
  const iterator = events(fakeNode([]), signal)
  const pending = iterator.next()
  assert.equal(signal.listeners, 1)
  abort('enough')
  const error = await rejects(() => pending, 'ABORTED')
  assert.equal(error.cause, 'enough')
  assert.equal(signal.listeners, 0)
  assert.deepEqual(await iterator.next(), { done: true, value: undefined })
})

test('an ack that fails is the error of the next step, and the event is not given up as handled', async () => {
  const ack = async () => {
    throw Object.assign(new Error('down'), { code: 'STORE_UNAVAILABLE', retryable: true })
  }
  const iterator = events(fakeNode(['a', 'b'], { ack }))
  await iterator.next()
  const error = await rejects(() => iterator.next(), 'STORE_UNAVAILABLE')
  assert.equal(error.retryable, true)
})

test('steps asked for at once come one after the other', async () => {
  const node = fakeNode(['a', 'b'])
  const iterator = events(node)
  const steps = await Promise.all([iterator.next(), iterator.next()])
  assert.deepEqual(steps.map((step) => step.value.id), ['a', 'b'])
  assert.deepEqual(node.log, ['give a', 'ack a', 'give b'])
})

function countingSignal() {
  const listeners = new Set()
  const signal = {
    aborted: false,
    reason: undefined,
    addEventListener: (_type, listener) => listeners.add(listener),
    removeEventListener: (_type, listener) => listeners.delete(listener),
    get listeners() {
      return listeners.size
    },
  }
  const abort = (reason) => {
    Object.assign(signal, { aborted: true, reason })
    for (const listener of listeners) listener()
  }
  return { signal, abort }
}
