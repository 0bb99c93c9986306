// The log listener: records of a shape, no secret among them at any level, and no power over the process.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startLab } from '../scripts/support/lab.mjs'
import { MdkNode, generateMnemonic, setLogListener } from '../index.mjs'
import { folder, receiveOne, until } from './support/life.mjs'

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error']

let lab
before(async () => (lab = await startLab()))
after(async () => {
  setLogListener(null)
  await lab.stop()
})

const wallet = (t, more = {}) => lab.options({ mnemonic: generateMnemonic(), store: `file:${folder(t)}`, ...more })

async function life(options) {
  const node = new MdkNode(options)
  await node.start()
  await node.stop()
  node.destroy()
}

/** Records come through the event loop: all that were made before this are here after it. */
async function drained(records) {
  let seen
  do {
    seen = records.length
    for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate)
  } while (records.length > seen)
}

/** One payment, with everything that is logged meanwhile. */
async function logged(t) {
  const options = wallet(t)
  const records = []
  setLogListener((record) => records.push(record), 'trace')
  const node = new MdkNode(options)
  const { bolt11 } = await node.getInvoice(21_000, 'One report', 900)
  const paying = lab.pay(bolt11)
  await node.receivePayment(() => {}, { minMs: 15_000 })
  const { preimage } = await paying
  node.destroy()
  await drained(records)
  setLogListener(null)
  return { options, records, preimage, lines: records.map((record) => JSON.stringify(record)) }
}

test('a payment at trace level: every record has its shape, and none says two words of the mnemonic', async (t) => {
  const began = Date.now()
  const { options, records, lines } = await logged(t)
  assert.ok(records.length > 10, `${records.length} records`)
  for (const record of records) {
    assert.deepEqual(Object.keys(record).sort(), ['fields', 'level', 'message', 'target', 'timestampMs'])
    assert.ok(LEVELS.includes(record.level), record.level)
    assert.equal(typeof record.target, 'string')
    assert.equal(typeof record.message, 'string')
    assert.ok(record.timestampMs >= began - 1 && record.timestampMs <= Date.now(), String(record.timestampMs))
    for (const value of Object.values(record.fields)) assert.match(typeof value, /^(string|number|boolean)$/)
  }
  assert.ok(records.some(({ target }) => target.startsWith('mayfly')), "some are the node's own")
  const words = options.mnemonic.split(' ')
  for (let i = 0; i + 1 < words.length; i++) {
    // Single words are English ("open", "channel"); two in their order are not said by chance.
    assert.ok(!lines.some((line) => line.includes(`${words[i]} ${words[i + 1]}`)), 'two words of the mnemonic in a record')
  }
})

test('a payment at trace level: no record says its preimage, which is money until the payer has it', async (t) => {
  const { lines, preimage } = await logged(t)
  assert.match(preimage, /^[0-9a-f]{64}$/)
  const telling = lines.filter((line) => line.includes(preimage))
  assert.deepEqual(telling.map((line) => `${line.slice(0, 90)}…`), [])
})

test('minLevel keeps lower levels away, and info is the default', async (t) => {
  for (const minLevel of ['warn', undefined, 'debug']) {
    const records = []
    setLogListener((record) => records.push(record), minLevel)
    await life(wallet(t))
    await drained(records)
    setLogListener(null)
    const least = LEVELS.indexOf(minLevel ?? 'info')
    assert.deepEqual(records.filter(({ level }) => LEVELS.indexOf(level) < least), [])
    if (minLevel === 'debug') assert.ok(records.some(({ level }) => level === 'debug'))
  }
})

test('a listener that throws, or rejects, is ignored and called again', async (t) => {
  const failing = [
    () => { throw new Error('mine') },
    () => { throw undefined },
    async () => Promise.reject(new Error('mine')),
    () => Promise.reject(),
    () => ({ then() { throw new Error('mine') } }),
    () => ({ get then() { throw new Error('mine') } }),
    () => new Proxy({}, { get() { throw new Error('mine') } }),
    (record) => Object.keys(record).forEach((key) => delete record[key]),
  ]
  for (const fails of failing) {
    let calls = 0
    setLogListener((record) => {
      calls += 1
      return fails(record)
    }, 'debug')
    await life(wallet(t))
    await until(() => calls >= 2, 'a second record for a listener that failed')
    setLogListener(null)
  }
})

test('null ends it, and a second listener replaces the first', async (t) => {
  const [first, second] = [[], []]
  setLogListener((record) => first.push(record), 'trace')
  setLogListener((record) => second.push(record), 'trace')
  await life(wallet(t))
  await drained(second)
  assert.ok(second.length > 0)
  assert.deepEqual(first, [])
  setLogListener(null)
  await drained(second)
  const before = second.length
  await life(wallet(t))
  await drained(second)
  assert.equal(second.length, before)
})

test('a callback that is no function, or a level that is none, is INVALID_ARGUMENT', () => {
  for (const callback of [undefined, 'console.log', {}]) {
    assert.throws(() => setLogListener(callback), { name: 'MdkError', code: 'INVALID_ARGUMENT' })
  }
  for (const level of ['verbose', 3, null, '']) {
    assert.throws(() => setLogListener(() => {}, level), { name: 'MdkError', code: 'INVALID_ARGUMENT' }, String(level))
  }
})
