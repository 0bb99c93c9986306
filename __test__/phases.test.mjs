// The ends of a session's phases as records: which, in which order, with what in them, and whose they are.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { setLogListener } from '../index.mjs'
import { root } from './support/child.mjs'
import { rejection } from './support/life.mjs'
import { openShop } from './support/shop.mjs'
import { until } from './support/until.mjs'

const DOCS = readFileSync(`${root}docs/logging.md`, 'utf8')

let shop, lab

before(async () => {
  shop = await openShop()
  lab = shop.lab
})
after(async () => {
  setLogListener(null)
  await shop?.close()
})

/** The first column of the docs' table under that heading. */
function documented(heading) {
  const [, section] = DOCS.split(`\n## ${heading}\n`)
  return [...section.split('\n## ')[0].matchAll(/^\| `([^`]+)` \|/gm)].map((match) => match[1])
}

/** Listens while `body` runs, and until `last` has come. */
async function told(levels, body, last) {
  const records = []
  setLogListener((record) => records.push(record), levels)
  try {
    await body()
    await until(`the record of ${last}`, () => records.some(({ message }) => message === last))
  } finally {
    setLogListener(null)
  }
  return records
}

const isPhase = ({ fields }) => 'durationMs' in fields && 'outcome' in fields
const names = (records) => records.map(({ message }) => message)

test('the targets of the types, the docs and the errors are the same', () => {
  const [, union] = readFileSync(`${root}index.d.ts`, 'utf8').match(/^export type LogTarget =\n((?: +\| '.*'\n)+)/m)
  const typed = [...union.matchAll(/'(.*)'/g)].map((match) => match[1])
  assert.deepEqual(documented('Targets'), typed)
  let error
  try {
    setLogListener(() => {}, { 'mayfly::nothing': 'info' })
  } catch (caught) {
    error = caught
  }
  const [, known] = error.message.match(/there are default, mayfly, (.*)$/)
  assert.deepEqual(known.split(', '), typed)
})

test('a received payment at debug: its phases in order, each with its duration and how it went, all of them documented', async () => {
  const wallet = await shop.wallet()
  const { bolt11 } = await wallet.invoice(21_000)
  const records = await told({ default: 'debug', ldk: 'off' }, async () => {
    const node = wallet.node()
    const paying = lab.pay(bolt11)
    await node.receivePayment(() => {}, { minMs: 15_000 })
    await paying
    node.destroy()
  }, 'release')
  const phases = records.filter(isPhase)
  for (const { message, fields } of phases) {
    assert.ok(Number.isFinite(fields.durationMs) && fields.durationMs >= 0, `${message}: ${fields.durationMs}`)
    assert.equal(fields.outcome, 'ok', message)
  }
  const seen = names(phases.filter(({ level }) => level === 'debug'))
  const order = ['claim', 'load', 'sync', 'connect', 'commit', 'goodbye', 'release']
  assert.deepEqual([...new Set(seen)].sort(), [...order].sort())
  assert.deepEqual([...order].sort((a, b) => seen.indexOf(a) - seen.indexOf(b)), order, 'in this order')
  const phasesInDocs = documented('Phases')
  for (const name of names(phases)) assert.ok(phasesInDocs.includes(name), `${name} is in docs/logging.md`)
})

test('a phase that fails says with which code', async () => {
  const wallet = await shop.wallet()
  const node = wallet.node({ lspAddress: '127.0.0.1:1', timeouts: { lspMs: 200 } })
  try {
    const records = await told('debug', async () => assert.equal((await rejection(node.start())).code, 'LSP_UNAVAILABLE'), 'connect')
    const outcomes = records.filter(isPhase).map(({ message, fields }) => [message, fields.outcome])
    assert.deepEqual(outcomes.filter(([name]) => name === 'connect'), [['connect', 'LSP_UNAVAILABLE']])
    assert.deepEqual(outcomes.filter(([name]) => name === 'sync'), [['sync', 'ok']])
  } finally {
    node.destroy()
  }
})

test('levels by target: a target is heard as its longest name says, and the others as the default', async () => {
  const wallet = await shop.wallet()
  const life = async () => {
    const node = wallet.node()
    await node.start()
    await node.stop()
    node.destroy()
  }
  const lsp = await told({ default: 'off', 'mayfly::lsp': 'debug' }, life, 'goodbye')
  assert.deepEqual([...new Set(lsp.map(({ target }) => target))], ['mayfly::lsp'])
  assert.deepEqual(names(lsp), ['connect', 'goodbye'])

  const own = await told({ mayfly: 'debug', 'mayfly::store': 'off', default: 'off' }, life, 'goodbye')
  const targets = new Set(own.map(({ target }) => target))
  assert.ok(targets.has('mayfly::chain') && targets.has('mayfly::lsp'))
  assert.deepEqual([...targets].filter((target) => target === 'mayfly::store' || !target.startsWith('mayfly::')), [])

  const ldk = await told({ default: 'off', ldk: 'trace', 'mayfly::lsp': 'debug' }, life, 'goodbye')
  assert.ok(ldk.some(({ target, level }) => target === 'ldk' && level === 'trace'))
})

test('info tells of a received payment in four lines, all of one session', async () => {
  const wallet = await shop.wallet()
  const { bolt11, paymentHash } = await wallet.invoice(21_000)
  let epoch
  const records = await told(undefined, async () => {
    const node = wallet.node()
    const paying = lab.pay(bolt11)
    await node.receivePayment(() => {}, { minMs: 15_000 })
    await paying
    epoch = node.stats().epoch
    node.destroy()
  }, 'session')
  assert.deepEqual(names(records), ['claimed', 'received a payment', 'receivePayment', 'session'])
  const [, received, whole, session] = records
  const labels = records.map(({ fields }) => [fields.session, fields.epoch])
  assert.deepEqual(new Set(labels.map(String)), new Set([`${session.fields.session},${epoch}`]))
  assert.deepEqual([received.fields.paymentHash, received.fields.amountMsat], [paymentHash, 21_000])
  assert.deepEqual([whole.fields.payments, whole.fields.amountMsat, whole.fields.outcome], [1, 21_000, 'ok'])
  assert.deepEqual([session.fields.nodeId, session.fields.outcome], [wallet.nodeId, 'ok'])
  assert.ok(session.fields.durationMs > 0)
})

test('the records of two sessions side by side tell which is whose, at whatever level they are heard', async () => {
  const wallets = [await shop.wallet(), await shop.wallet()]
  const records = await told('debug', async () => {
    await Promise.all(wallets.map(async (wallet) => {
      const node = wallet.node()
      await node.startReceiving()
      await node.stop()
      node.destroy()
    }))
  }, 'session')
  await until('both ends', () => names(records).filter((name) => name === 'session').length === 2)
  const sessions = records.filter(({ message }) => message === 'session')
  assert.deepEqual(new Set(sessions.map(({ fields }) => fields.nodeId)), new Set(wallets.map(({ nodeId }) => nodeId)))
  for (const { fields } of sessions) {
    const own = records.filter((record) => record.fields.session === fields.session)
    for (const phase of ['claim', 'load', 'sync', 'connect', 'goodbye', 'release', 'session']) {
      assert.equal(names(own).filter((name) => name === phase).length, 1, `one ${phase} in session ${fields.session}`)
    }
  }
  // Heard from `warn` up, the session's own end is not told, but what is told says whose it is.
  const node = wallets[0].node({ lspAddress: '127.0.0.1:1', timeouts: { lspMs: 200 } })
  try {
    const warned = await told('warn', () => rejection(node.start()), 'the session ended')
    const [{ fields }] = warned.filter(({ message }) => message === 'the session ended')
    assert.equal(fields.epoch, node.stats().epoch)
    assert.ok(fields.session > Math.max(...sessions.map((session) => session.fields.session)))
  } finally {
    node.destroy()
  }
})

test('destroy tells its stages: in the log, in lastDestroy and in the stats', async () => {
  const wallet = await shop.wallet()
  const node = wallet.node()
  const records = await told('debug', async () => {
    await node.startReceiving()
    node.destroy()
  }, 'destroy')
  const { stages, durationMs, unfinished } = node.lastDestroy
  assert.deepEqual(unfinished, [])
  assert.deepEqual(Object.keys(stages).sort(), ['commitMs', 'disconnectMs', 'joinMs', 'releaseMs', 'signalMs'])
  const spent = Object.values(stages).reduce((sum, one) => sum + one, 0)
  assert.ok(spent > 0 && spent <= durationMs + 0.01, `${spent} of ${durationMs} ms`)
  assert.deepEqual(node.stats().destroy, stages)
  const [{ level, fields }] = records.filter(({ message }) => message === 'destroy')
  assert.deepEqual([level, fields], ['info', { outcome: 'ok', durationMs, ...stages }])
  const [session] = records.filter(({ message }) => message === 'session')
  assert.equal(session.fields.outcome, 'NODE_DESTROYED')

  const idle = wallet.node()
  const [quiet] = await told('debug', () => idle.destroy(), 'destroy')
  assert.deepEqual([quiet.level, idle.lastDestroy.stages, idle.stats()], ['debug', {}, null])
})

test('what destroy cuts short was dropped', async () => {
  const wallet = await shop.wallet()
  const node = wallet.node()
  await lab.post('/faults', { link: 'lsp', blackhole: true })
  try {
    const records = await told('debug', async () => {
      const starting = rejection(node.start())
      await until('the wallet to be synced', () => node.stats()?.phases.syncedMs !== undefined)
      node.destroy()
      assert.equal((await starting).code, 'NODE_DESTROYED')
    }, 'session')
    const outcomes = new Map(records.filter(isPhase).map(({ message, fields }) => [message, fields.outcome]))
    assert.deepEqual([outcomes.get('claim'), outcomes.get('connect')], ['ok', 'dropped'])
    // Whether the worker sees first that it must end, or that nobody waits any more.
    assert.match(outcomes.get('session'), /^(NODE_DESTROYED|dropped)$/)
  } finally {
    await lab.post('/faults', { link: 'lsp', blackhole: false })
    node.destroy()
  }
})

test('a watch is one line', async () => {
  const wallet = await shop.wallet()
  const node = wallet.node()
  try {
    let report
    const records = await told('info', async () => (report = await node.watch()), 'session')
    assert.deepEqual(names(records), ['claimed', 'watch', 'session'])
    const { durationMs, session, ...fields } = records[1].fields
    assert.ok(durationMs > 0 && session > 0)
    const { height, lsp } = report
    assert.deepEqual(fields, { epoch: node.stats().epoch, outcome: 'ok', height, lsp, closedChannels: 0, sent: 0, unsent: 0 })
  } finally {
    node.destroy()
  }
})

test('a receivePayment whose own code throws says so', async () => {
  const wallet = await shop.wallet()
  const { bolt11 } = await wallet.invoice(21_000)
  const node = wallet.node()
  try {
    const records = await told('info', async () => {
      const paying = lab.pay(bolt11)
      await rejection(node.receivePayment(() => Promise.reject(new Error('mine')), { minMs: 15_000 }))
      await paying
    }, 'session')
    const [{ fields }] = records.filter(({ message }) => message === 'receivePayment')
    assert.deepEqual([fields.outcome, fields.payments], ['thrown', 1])
  } finally {
    node.destroy()
  }
})
