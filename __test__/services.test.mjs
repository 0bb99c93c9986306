// A service that is down is an error with its own code, within its bound, and nothing is lost: the same object starts when the
// service is back. A store that does not load is refused and not touched.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { chmodSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { startLab } from '../scripts/support/lab.mjs'
import { MdkNode, generateMnemonic, isMdkError } from '../index.mjs'
import { folder, rejection, until } from './support/life.mjs'

const TIMEOUTS = { chainMs: 500, lspMs: 1_000, connectMs: 500, lspRequestMs: 500 }
/** A busy machine's scheduling. */
const MARGIN_MS = 1_500

let lab
before(async () => (lab = await startLab()))
after(() => lab.stop())

const wallet = (t, more = {}) =>
  lab.options({ mnemonic: generateMnemonic(), store: `file:${folder(t)}`, timeouts: TIMEOUTS, ...more })

function nodeOf(t, options) {
  const node = new MdkNode(options)
  t.after(() => node.destroy())
  return node
}

async function failsWith(call, code, boundMs) {
  const began = performance.now()
  const error = await rejection(call)
  const ms = performance.now() - began
  assert.ok(isMdkError(error), String(error))
  assert.equal(error.code, code, error.message)
  assert.equal(error.retryable, code !== 'STATE_CORRUPT')
  assert.ok(ms <= boundMs + MARGIN_MS, `${code} came after ${ms} ms, its bound is ${boundMs}`)
  return error
}

async function faulty(fault, body) {
  await lab.post('/faults', { link: fault.link, [fault.kind]: true })
  try {
    await body()
  } finally {
    await lab.post('/faults', { link: fault.link, [fault.kind]: false })
  }
}

describe('a service that is down', () => {
  const cases = [
    { link: 'esplora', kind: 'reset', code: 'CHAIN_UNAVAILABLE', boundMs: 3 * TIMEOUTS.chainMs },
    { link: 'esplora', kind: 'blackhole', code: 'CHAIN_UNAVAILABLE', boundMs: 3 * TIMEOUTS.chainMs },
    { link: 'lsp', kind: 'reset', code: 'LSP_UNAVAILABLE', boundMs: TIMEOUTS.lspMs },
    { link: 'lsp', kind: 'blackhole', code: 'LSP_UNAVAILABLE', boundMs: TIMEOUTS.lspMs },
  ]
  for (const { code, boundMs, ...fault } of cases) {
    test(`${fault.link}, ${fault.kind}: ${code} in time, and the same object starts when it is back`, async (t) => {
      const node = nodeOf(t, wallet(t))
      await faulty(fault, async () => {
        await failsWith(node.start(), code, boundMs)
        await failsWith(node.getJitRoute(), code, boundMs)
        await until(() => node.state === 'idle', 'an idle node after a failed start')
      })
      await node.startReceiving()
      assert.equal(node.state, 'running')
      assert.match((await node.getJitRoute()).scid, /^\d+x\d+x\d+$/)
    })
  }

  test('an LSP port where nobody listens is LSP_UNAVAILABLE, and the message names it', async (t) => {
    // Port 1 of loopback: refused at once.
    const error = await failsWith(nodeOf(t, wallet(t, { lspAddress: '127.0.0.1:1' })).start(), 'LSP_UNAVAILABLE', TIMEOUTS.lspMs)
    assert.match(error.message, /127\.0\.0\.1(:| port )1\b/)
  })

  test("another node's id at the LSP's address is LSP_UNAVAILABLE", async (t) => {
    const { lspNodeId } = wallet(t)
    // The generator point: a public key that is surely not the LSP's.
    const other = '0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798'
    assert.notEqual(other, lspNodeId)
    await failsWith(nodeOf(t, wallet(t, { lspNodeId: other })).start(), 'LSP_UNAVAILABLE', TIMEOUTS.lspMs)
  })

  test('an Esplora port where nobody listens is CHAIN_UNAVAILABLE', async (t) => {
    await failsWith(nodeOf(t, wallet(t, { esploraUrl: 'http://127.0.0.1:1' })).start(), 'CHAIN_UNAVAILABLE', 3 * TIMEOUTS.chainMs)
  })

  test('a wallet that could not start is free for another node', async (t) => {
    const options = wallet(t)
    const node = nodeOf(t, options)
    await faulty({ link: 'lsp', kind: 'reset' }, () => failsWith(node.start(), 'LSP_UNAVAILABLE', TIMEOUTS.lspMs))
    await nodeOf(t, { ...options, lease: { attempts: 1 } }).start()
  })

  test('an LSP that goes for good while onPayment works is LSP_UNAVAILABLE, not a payment that is all done', async (t) => {
    const node = nodeOf(t, wallet(t))
    const { bolt11 } = await node.getInvoice(21_000, 'One report', 900)
    const paying = lab.pay(bolt11)
    try {
      const receiving = node.receivePayment(async () => {
        await lab.post('/faults', { link: 'lsp', reset: true })
        await until(() => node.state === 'idle', 'the session to end without its LSP')
      }, { minMs: 15_000 })
      assert.equal((await rejection(receiving, 'receivePayment')).code, 'LSP_UNAVAILABLE')
    } finally {
      await lab.post('/faults', { link: 'lsp', reset: false })
    }
    // Whatever was not fulfilled is now; what was acked does not come again.
    await node.startReceiving()
    assert.ok((await paying).preimage)
  })
})

describe('a store', () => {
  test('below a regular file is STORE_UNAVAILABLE, on every call that needs it', async (t) => {
    const file = join(folder(t), 'file')
    writeFileSync(file, 'not a folder')
    const node = nodeOf(t, wallet(t, { store: `file:${join(file, 'store')}` }))
    await failsWith(node.start(), 'STORE_UNAVAILABLE', 0)
    await failsWith(node.getBalance(), 'STORE_UNAVAILABLE', 0)
    await failsWith(node.ackEvent('a'), 'STORE_UNAVAILABLE', 0)
    assert.equal(readFileSync(file, 'utf8'), 'not a folder')
  })

  const root = process.getuid?.() === 0
  test('in a folder without write permission is STORE_UNAVAILABLE', { skip: root && 'root may write anywhere' }, async (t) => {
    const path = join(folder(t), 'store')
    mkdirSync(path, { mode: 0o500 })
    t.after(() => chmodSync(path, 0o700))
    const node = nodeOf(t, wallet(t, { store: `file:${path}` }))
    await failsWith(node.start(), 'STORE_UNAVAILABLE', 0)
    chmodSync(path, 0o700)
    await node.start()
  })

  /** The wallet's database, made by a first life. */
  async function lived(t) {
    const path = folder(t)
    const options = wallet(t, { store: `file:${path}` })
    const node = nodeOf(t, options)
    await node.getJitRoute()
    await node.stop()
    node.destroy()
    const database = readdirSync(path).find((name) => name.endsWith('.sqlite'))
    return { path, options, database: join(path, database) }
  }

  const hash = (bytes) => createHash('sha256').update(bytes).digest('hex')
  const contentsOf = (path) => Object.fromEntries(readdirSync(path).map((name) => [name, hash(readFileSync(join(path, name)))]))

  /** What was there is there, byte by byte. SQLite's index of the log and an empty log may come beside it: nothing is in them. */
  function unchanged(path, before) {
    const now = contentsOf(path)
    for (const name of Object.keys(now).filter((name) => !(name in before))) {
      assert.ok(name.endsWith('-shm') || (name.endsWith('-wal') && now[name] === hash('')), `${name} is new`)
      delete now[name]
    }
    assert.deepEqual(now, before)
  }

  const damages = {
    'garbage for a database': () => Buffer.alloc(8_192, 'not a database '),
    'a database whose first page is damaged': (bytes) => Buffer.concat([bytes.subarray(0, 100), Buffer.alloc(3_000, 0xff), bytes.subarray(3_100)]),
    'a database cut short': (bytes) => bytes.subarray(0, 50),
  }
  for (const [what, damage] of Object.entries(damages)) {
    test(`with ${what} is STATE_CORRUPT, and not a byte of it changes`, async (t) => {
      const { path, options, database } = await lived(t)
      const good = readFileSync(database)
      for (const name of readdirSync(path).filter((name) => /-(wal|shm)$/.test(name))) rmSync(join(path, name))
      writeFileSync(database, damage(good))
      const before = contentsOf(path)
      const node = nodeOf(t, options)
      await failsWith(node.start(), 'STATE_CORRUPT', 0)
      await failsWith(node.receivePayment(() => {}), 'STATE_CORRUPT', 0)
      await failsWith(node.getBalance(), 'STATE_CORRUPT', 0)
      node.destroy()
      unchanged(path, before)
    })
  }

  test("that holds another wallet's database under this wallet's name is STATE_CORRUPT", async (t) => {
    const [mine, theirs] = [await lived(t), await lived(t)]
    for (const suffix of ['', '-wal']) writeFileSync(mine.database + suffix, readFileSync(theirs.database + suffix))
    rmSync(`${mine.database}-shm`, { force: true })
    await failsWith(nodeOf(t, mine.options).start(), 'STATE_CORRUPT', 0)
  })
})
