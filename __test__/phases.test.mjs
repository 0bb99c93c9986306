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
