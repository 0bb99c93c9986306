// The statistics that the benchmark's table rests on.

import assert from 'node:assert/strict'
import test from 'node:test'
import { toTable } from '../bench/support/report.mjs'
import { derived, median, percentile, samples, summary } from '../bench/support/samples.mjs'
import { roundTripsToFulfilled } from '../bench/support/wire.mjs'

const MACHINE = { cpu: 'c', cores: 2, memoryGb: 4, system: 's', node: 'v20', load: 0, addon: { profile: 'dev', bytes: 1e6 } }

test('the median of an even number of samples is the middle of the two in the middle, and numbers are not sorted as text', () => {
  assert.equal(median([10, 9, 100]), 10)
  assert.equal(median([4, 1, 3, 2]), 2.5)
})

test('the 99th percentile is a sample that 99 % of them do not exceed', () => {
  const hundred = Array.from({ length: 100 }, (_, i) => 100 - i)
  assert.equal(percentile(hundred, 0.99), 99)
  assert.equal(percentile([7], 0.99), 7)
})

test('a row meets its target by its median', () => {
  assert.deepEqual(summary(samples('a', 'ms', [1, 2, 9], { target: 2 })), { median: 2, min: 1, max: 9, n: 3, target: 2, met: true })
  assert.equal(summary(derived('b', 'ms', 3, 10, { target: 2 })).met, false)
})

test('a target can be for the 99th percentile, and one of too few samples is their maximum', () => {
  const hundred = Array.from({ length: 100 }, (_, i) => i + 1)
  const { p99, met } = summary(samples('a', 'ms', hundred, { target: 99, at: 'p99' }))
  assert.deepEqual({ p99, met }, { p99: 99, met: true })
  assert.equal(summary(samples('a', 'ms', hundred, { target: 98, at: 'p99' })).met, false)
  const few = summary(samples('a', 'ms', [1, 1, 9], { target: 8, at: 'p99' }))
  assert.deepEqual({ p99: few.p99, met: few.met }, { p99: undefined, met: false })
})

test('round trips until the fulfilment are those of its longest chain of messages, whatever crossed on the way', () => {
  const messages = (...lines) =>
    lines.map((line) => {
      const [at, direction, type] = line.split(' ')
      return { at: Number(at), direction, type }
    })
  const cold = messages(
    '0 sent init', '1 sent open_channel', '52 got accept_channel', '53 sent funding_created',
    // Both travel together, however late the second is read.
    '105 got funding_signed', '106 sent channel_update', '107 got channel_ready', '108 sent update_add_htlc',
    '160 got revoke_and_ack', '161 sent revoke_and_ack', '215 got update_fulfill_htlc', '216 got commitment_signed',
  )
  assert.equal(roundTripsToFulfilled(cold, 50), 6.5)
  const warm = messages(
    '0 sent init', '1 sent channel_reestablish', '52 got channel_reestablish', '52 sent channel_update',
    '53 got channel_update', '54 sent update_add_htlc', '110 got revoke_and_ack', '111 sent revoke_and_ack',
    '170 got update_fulfill_htlc',
  )
  assert.equal(roundTripsToFulfilled(warm, 50), 5.5)
  assert.throws(() => roundTripsToFulfilled(warm.slice(0, -1), 50), /no update_fulfill_htlc/)
})

test('a sample that is missing is an error that names its row', () => {
  assert.throws(() => samples('told', 'ms', [1, NaN]), /told/)
  assert.throws(() => samples('told', 'ms', []), /told/)
})

test('the table shows rows, missed targets and measurements that failed, and that the dev addon is not what ships', () => {
  const groups = [
    { title: 'One', rows: [samples('first', 'ms', [1.23456, 3], { target: 1 }), derived('ratio', '×', 2, 5)] },
    { title: 'Two', rows: [], failed: 'no lab' },
  ]
  const table = toTable({ groups, machine: MACHINE, quick: true })
  assert.match(table, /first +2\.12 ms +1\.23 +3 +2 +≤ 1 ✗/)
  assert.match(table, /ratio +2 × +5\n/)
  assert.match(table, /Two\n\n {2}failed: no lab/)
  assert.match(table, /dev addon is not what ships/)
})
