// A wallet that another process holds: said with its holder, waited for within the budget, and every wait can be ended.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { startLab } from '../scripts/support/lab.mjs'
import { MdkNode, generateMnemonic, isMdkError } from '../index.mjs'
import { folder, rejection, until, within } from './support/life.mjs'
import { Child } from './support/life-process.mjs'

/** The pauses are 50 and 100 ms; whoever takes so long has not kept to the budget, which would be 10 s without. */
const BUDGET_MS = 5_000
/** Below the first pause of those who wait: whoever is back by then did not wait for it. */
const AT_ONCE_MS = 1_500
/** Waits of seconds, so that an early end is not luck. */
const PATIENT = { attempts: 8, baseDelayMs: 2_000, maxWaitMs: 60_000 }

let lab
before(async () => (lab = await startLab()))
after(() => lab.stop())

const wallet = (t, more = {}) => lab.options({ mnemonic: generateMnemonic(), store: `file:${folder(t)}`, ...more })

async function held(t) {
  const options = wallet(t)
  const before = Date.now()
  const holder = new Child(t, 'hold', { options })
  await holder.said('holding')
  return { options, holder, before }
}

function nodeOf(t, options) {
  const node = new MdkNode(options)
  t.after(() => node.destroy())
  return node
}

async function timed(call) {
  const began = performance.now()
  const error = await rejection(call)
  return { error, ms: performance.now() - began }
}

test('a held wallet is WALLET_LOCKED within the budget, with its holder and when to retry', async (t) => {
  const { options, holder, before } = await held(t)
  const node = nodeOf(t, { ...options, lease: { attempts: 3, baseDelayMs: 50 } })
  const { error, ms } = await timed(() => node.start())
  assert.ok(isMdkError(error), String(error))
  assert.equal(error.code, 'WALLET_LOCKED')
  assert.equal(error.retryable, true)
  assert.ok(Number.isSafeInteger(error.retryAfterMs) && error.retryAfterMs > 0, `retryAfterMs is ${error.retryAfterMs}`)
  assert.equal(error.holder.pid, holder.pid)
  assert.equal(error.holder.host, hostname())
  assert.equal(error.holder.epoch, 1)
  assert.ok(error.holder.since >= before && error.holder.since <= Date.now(), `since is ${error.holder.since}`)
  const since = new Date(error.holder.since).toISOString()
  assert.ok(error.message.startsWith(`the wallet is locked by pid ${holder.pid} since ${since}`), error.message)
  assert.ok(ms >= 150, `two pauses are 150 ms, it took ${ms}`)
  assert.ok(ms < BUDGET_MS, `it took ${ms} ms`)
  await holder.endsWell()
})

test('one attempt does not wait', async (t) => {
  const { options, holder } = await held(t)
  for (const lease of [{ attempts: 1 }, { maxWaitMs: 0 }]) {
    const node = nodeOf(t, { ...options, lease: { ...PATIENT, ...lease } })
    const { error, ms } = await timed(() => node.start())
    assert.equal(error.code, 'WALLET_LOCKED')
    assert.ok(ms < AT_ONCE_MS, `it took ${ms} ms`)
    node.destroy()
  }
  await holder.endsWell()
})

test('every call that needs the wallet says WALLET_LOCKED, and the holder is not disturbed', async (t) => {
  const { options, holder } = await held(t)
  const node = nodeOf(t, { ...options, lease: { attempts: 1 } })
  const calls = {
    startReceiving: () => node.startReceiving(),
    getJitRoute: () => node.getJitRoute(),
    getInvoice: () => node.getInvoice(1_000, 'a', 900),
    ackEvent: () => node.ackEvent('a'),
    receivePayment: () => node.receivePayment(() => {}),
  }
  for (const [name, call] of Object.entries(calls)) {
    assert.equal((await rejection(call, name)).code, 'WALLET_LOCKED', name)
  }
  await node.getBalance()
  await node.listChannels()
  await holder.endsWell()
})

test('an AbortSignal ends the wait at once with ABORTED and its reason', async (t) => {
  const { options, holder } = await held(t)
  const node = nodeOf(t, { ...options, lease: PATIENT })
  const controller = new AbortController()
  const started = node.start({ signal: controller.signal })
  started.catch(() => {}) // looked at below
  await until(() => node.state === 'starting', 'the start')
  const reason = new Error('the request was cancelled')
  controller.abort(reason)
  const { error, ms } = await timed(started)
  assert.equal(error.code, 'ABORTED')
  assert.equal(error.cause, reason)
  assert.ok(ms < AT_ONCE_MS, `it took ${ms} ms`)
  await until(() => node.state === 'idle', 'the node to be idle again', AT_ONCE_MS * 4)
  await holder.endsWell()
})

test('timeoutMs ends the wait with TIMEOUT', async (t) => {
  const { options, holder } = await held(t)
  const { error, ms } = await timed(() => nodeOf(t, { ...options, lease: PATIENT }).start({ timeoutMs: 100 }))
  assert.equal(error.code, 'TIMEOUT')
  assert.ok(ms >= 99 && ms < 100 + AT_ONCE_MS, `it took ${ms} ms`)
  await holder.endsWell()
})

test('one of two callers may give up without ending the wait of the other', async (t) => {
  const { options, holder } = await held(t)
  const node = nodeOf(t, { ...options, lease: { attempts: 200, baseDelayMs: 50, maxWaitMs: 60_000 } })
  const [impatient, patient] = [node.start({ timeoutMs: 50 }), node.start()]
  assert.equal((await rejection(impatient)).code, 'TIMEOUT')
  assert.equal(node.state, 'starting')
  await holder.endsWell()
  await within(patient, 'the patient start')
  assert.equal(node.state, 'running')
})

test('the wait succeeds when the holder lets go meanwhile', async (t) => {
  const { options, holder } = await held(t)
  const refused = nodeOf(t, { ...options, lease: { attempts: 1 } })
  const locked = await rejection(refused.start())
  assert.equal(locked.code, 'WALLET_LOCKED')
  refused.destroy()
  const node = nodeOf(t, { ...options, lease: { attempts: 200, baseDelayMs: 50, maxWaitMs: 60_000 } })
  const started = node.start()
  await until(() => node.state === 'starting', 'the start')
  await holder.endsWell()
  await within(started, 'the wallet that its holder let go')
})

test('SIGKILL of the holder frees the wallet at once', async (t) => {
  const { options, holder } = await held(t)
  assert.deepEqual(await holder.kill(), { code: null, signal: 'SIGKILL' })
  const node = nodeOf(t, { ...options, lease: { attempts: 1 } })
  await within(node.start(), 'the wallet of a killed holder')
})
const untraced = spawnSync('strace', ['-V']).status !== 0 && 'strace not installed'

/** The calls for a lock in what strace saw. */
const lockCalls = (trace) => trace.split('\n').filter((line) => /\b(flock\(|fcntl\(.*SETLK)/.test(line))

/** Those of them that wait in the kernel, where no signal handler and no `process.exit` gets through. */
const blocking = (calls) => calls.filter((call) => (/\bflock\(/.test(call) ? !/LOCK_NB|LOCK_UN/.test(call) : /SETLKW/.test(call)))

test('no call for a lock ever waits in the kernel, while the wallet is held and when it is let go', { skip: untraced }, async (t) => {
  const { options, holder } = await held(t)
  // A file per thread: calls at the same time would tear each other's lines.
  const traces = folder(t)
  const calls = () => readdirSync(traces).flatMap((file) => lockCalls(readFileSync(join(traces, file), 'utf8')))
  const contended = () => calls().filter((call) => /flock\(.*LOCK_EX\|LOCK_NB\) = -1 EAGAIN/.test(call)).length
  const waiting = new Child(t, 'hold', { options, under: ['strace', '-ff', '-y', '-o', join(traces, 'thread'), '-e', 'trace=flock,fcntl'] })
  await until(() => contended() >= 2, 'a second attempt')
  await holder.endsWell()
  await waiting.said('holding')
  await waiting.endsWell()
  const seen = calls()
  const taken = seen.filter((call) => /flock\(.*\.lock>, LOCK_EX\|LOCK_NB\) = 0/.test(call))
  assert.equal(taken.length, 1, seen.join('\n'))
  assert.ok(seen.some((call) => /fcntl\(.*\.sqlite.*F_SETLK,/.test(call)), "SQLite's own locks are looked at, too")
  assert.deepEqual(blocking(seen), [])
  t.diagnostic(`${contended()} contended tries, ${seen.length} calls for a lock`)

  // The same trace of a lock that is waited for must not pass.
  assert.equal(blocking(seen.map((call) => call.replace('LOCK_EX|LOCK_NB', 'LOCK_EX'))).length, taken.length + contended())
  assert.ok(blocking(seen.map((call) => call.replace('F_SETLK,', 'F_SETLKW,'))).length > 0)
})

test('what looks for a call that waits finds one', { skip: untraced || (spawnSync('flock', ['-V']).status !== 0 && 'flock(1) not installed') }, (t) => {
  const file = join(folder(t), 'lock')
  const traced = (...args) => spawnSync('strace', ['-f', '-e', 'trace=flock', 'flock', ...args, file, 'true'], { encoding: 'utf8' }).stderr
  assert.equal(blocking(lockCalls(traced())).length, 1)
  assert.equal(blocking(lockCalls(traced('--nonblock'))).length, 0)
})
