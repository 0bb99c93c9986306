// A store that can't be used is STORE_UNAVAILABLE, within its bounds, and nothing is lost: a payment that was promised is received when
// it can be used again. A store that does not load is STATE_CORRUPT, refused and not touched.

import assert from 'node:assert/strict'
import { execFileSync, fork, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { startLab } from '../scripts/support/lab.mjs'
import { root as checkout } from './support/child.mjs'
import { folder, until, within } from './support/life.mjs'
import { failsWith, nodeOf, promised, wallet } from './support/services.mjs'

let lab
// Payments are held as long as the tests may take.
before(async () => (lab = await startLab({ args: ['--hold-ms', '600000'] })))
after(() => lab.stop())

describe('a store', () => {
  test('below a regular file is STORE_UNAVAILABLE, on every call that needs it', async (t) => {
    const file = join(folder(t), 'file')
    writeFileSync(file, 'not a folder')
    const node = nodeOf(t, wallet(lab, t, { store: `file:${join(file, 'store')}` }))
    await failsWith(node.start(), 'STORE_UNAVAILABLE')
    await failsWith(node.getBalance(), 'STORE_UNAVAILABLE')
    await failsWith(node.ackEvent('a'), 'STORE_UNAVAILABLE')
    assert.equal(readFileSync(file, 'utf8'), 'not a folder')
  })

  test('whose folder disappears under a running node is STORE_UNAVAILABLE or FENCED, never a promise', async (t) => {
    const options = wallet(lab, t)
    const node = nodeOf(t, options)
    const { bolt11 } = await node.getInvoice(21_000, 'One report', 900)
    await node.startReceiving()
    rmSync(options.store.slice('file:'.length), { recursive: true })
    const paying = lab.pay(bolt11, 5_000)
    // What ends the session is told to whoever waits.
    const error = await within(node.nextEvent(20_000).then(() => assert.fail('an event of a store that is gone'), (e) => e), 'the end')
    assert.match(error.code, /^(STORE_UNAVAILABLE|FENCED)$/, error.message)
    assert.equal((await paying).preimage, undefined, 'the payer was told of a payment that no store holds')
  })

  /** The wallet's database, made by a first life. */
  async function lived(t) {
    const path = folder(t)
    const options = wallet(lab, t, { store: `file:${path}` })
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
      await failsWith(node.start(), 'STATE_CORRUPT')
      await failsWith(node.receivePayment(() => {}), 'STATE_CORRUPT')
      await failsWith(node.getBalance(), 'STATE_CORRUPT')
      node.destroy()
      unchanged(path, before)
    })
  }

  test("that holds another wallet's database under this wallet's name is STATE_CORRUPT", async (t) => {
    const [mine, theirs] = [await lived(t), await lived(t)]
    for (const suffix of ['', '-wal']) writeFileSync(mine.database + suffix, readFileSync(theirs.database + suffix))
    rmSync(`${mine.database}-shm`, { force: true })
    await failsWith(nodeOf(t, mine.options).start(), 'STATE_CORRUPT')
  })
})

/** A process of another kind than this one, which does a job of handler_process.mjs. */
function elsewhere(t, job, options, how) {
  const process_ = fileURLToPath(new URL('./support/handler_process.mjs', import.meta.url))
  const child = fork(process_, [JSON.stringify({ job, options, args: { receive: { minMs: 15_000 } } })], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    ...how,
  })
  t.after(() => child.kill('SIGKILL'))
  const said = []
  child.on('message', (message) => said.push(message))
  const gone = once(child, 'exit')
  return {
    gone: () => within(gone, 'the process to end'),
    /** The first message of that type; one that tells of a failure instead ends the wait. */
    said: (type) =>
      until(() => {
        const failure = said.find((message) => message.type === 'failed')
        if (failure && type !== 'failed') assert.fail(JSON.stringify(failure))
        return said.find((message) => message.type === type)
      }, `the process to say ${type}; it said ${JSON.stringify(said)}`, 30_000),
  }
}

function assertUnavailable(failure) {
  assert.equal(failure.code, 'STORE_UNAVAILABLE', failure.message)
  assert.equal(failure.retryable, true)
  assert.match(failure.message, /\.sqlite|\.lock|store/)
}

describe('a full disk', () => {
  /** What makes the store's folder full for a process, and a switch. */
  function fullDisk(t, { store }) {
    const path = folder(t)
    const shim = join(path, 'no_space.so')
    execFileSync('cc', ['-shared', '-fPIC', '-o', shim, fileURLToPath(new URL('./support/no_space.c', import.meta.url)), '-ldl'])
    const full = join(path, 'full')
    return {
      env: { ...process.env, LD_PRELOAD: shim, NO_SPACE_IN: store.slice('file:'.length), NO_SPACE_WHILE: full },
      fill: () => writeFileSync(full, ''),
      free: () => rmSync(full),
    }
  }

  const timeouts = { commitMs: 1_000, storeMs: 500 }

  test('at the start is STORE_UNAVAILABLE, and the payment is received when there is room', async (t) => {
    const { options, payerPaid } = await promised(lab, t, { timeouts })
    const disk = fullDisk(t, options)
    disk.fill()
    const failure = await elsewhere(t, 'receive', options, { env: disk.env }).said('failed')
    assertUnavailable(failure)
    assert.match(failure.message, /full|room/)
    // The same process of its own kind works once there is room: it was the disk.
    disk.free()
    const child = elsewhere(t, 'receive', options, { env: disk.env })
    assert.equal((await child.said('payments')).payments.length, 1)
    await child.gone()
    assert.deepEqual(await nodeOf(t, options).receivePayment(() => {}, { minMs: 500 }), [])
    await payerPaid()
  })

  test('when the payment comes is STORE_UNAVAILABLE, the payer is told nothing, and it is received when there is room', async (t) => {
    const options = wallet(lab, t, { timeouts })
    const disk = fullDisk(t, options)
    const minter = nodeOf(t, options)
    const { bolt11, paymentHash } = await minter.getInvoice(21_000, 'One report', 900)
    await minter.stop()
    const child = elsewhere(t, 'listen', options, { env: disk.env })
    await child.said('running')
    disk.fill()
    let paid = false
    const paying = lab.pay(bolt11, 60_000).then((answer) => ((paid = true), answer))
    assertUnavailable(await child.said('failed'))
    assert.ok(!paid, 'the payer has its preimage, but nothing of the payment is in the store')
    await child.gone()
    disk.free()
    const payments = await minter.receivePayment(() => {}, { minMs: 20_000 })
    assert.deepEqual(payments.map((payment) => payment.paymentHash), [paymentHash])
    assert.ok((await paying).preimage)
  })
})

describe('a store that this user may not write', () => {
  const isRoot = process.getuid?.() === 0
  /** Root may write anywhere: then a process of somebody else's is the one that may not. */
  const NOBODY = { uid: 65_534, gid: 65_534 }

  /** Runs the wallet's handler as a user without rights, or says why not. */
  async function refusedBy(t, options, lock, unlock) {
    if (isRoot) {
      const probe = spawnSync(process.execPath, ['-e', `require(${JSON.stringify(checkout)})`], NOBODY)
      if (probe.status !== 0) {
        t.skip('NOT TESTED: we are root, and nobody else may read this checkout')
        return false
      }
    }
    lock()
    try {
      assertUnavailable(await elsewhere(t, 'receive', options, isRoot ? NOBODY : {}).said('failed'))
    } finally {
      unlock()
    }
    return true
  }

  test('because its folder is read-only, is STORE_UNAVAILABLE, and works when it is not', async (t) => {
    const parent = folder(t)
    const path = join(parent, 'store')
    mkdirSync(path)
    chmodSync(parent, 0o755)
    const options = wallet(lab, t, { store: `file:${path}` })
    if (await refusedBy(t, options, () => chmodSync(path, 0o555), () => chmodSync(path, 0o700))) await nodeOf(t, options).start()
  })

  test('because its database is not, is STORE_UNAVAILABLE, and the payment is received when it is', async (t) => {
    const { options, received } = await promised(lab, t)
    const path = options.store.slice('file:'.length)
    const database = join(path, readdirSync(path).find((name) => name.endsWith('.sqlite')))
    const lock = () => (chmodSync(path, 0o777), chmodSync(database, 0o400))
    if (await refusedBy(t, options, lock, () => chmodSync(database, 0o600))) await received(nodeOf(t, options))
  })
})
