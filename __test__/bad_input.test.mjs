// Bad input, exhaustively: each option and each argument with every value of `support/bad_input/values.mjs`, all in one process.
// A value is either refused (typed, by the right name, with a message that helps and shows no secret) or taken, and then what it
// does is looked at: nothing is in between. At the end the process is as it was: nothing written, nobody called, and it mints.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import * as mayfly from '../index.mjs'
import { MdkNode, deriveNodeId, generateMnemonic, isMdkError, setLogListener, withNode } from '../index.mjs'
import { footprint, locksHeld } from '../scripts/support/footprint.mjs'
import { isSignedBy, readInvoice } from './support/bolt11.mjs'
import { APART, ARGUMENTS, FUNCTIONS, METHODS, MINTS, argumentsOf, saysWhatWasAsked } from './support/bad_input/calls.mjs'
import { accepts, all, counted, refusesLater, refusesNow } from './support/bad_input/cases.mjs'
import { functions, getters, methods, properties } from './support/bad_input/declared.mjs'
import { FORGIVES, FORMS, GOOD, SCIDS, STRAY } from './support/bad_input/forms.mjs'
import { GROUPS, OPTIONS, verdict, withOption } from './support/bad_input/options.mjs'
import { hostileCalls, hostileNodes, hostileOptions } from './support/bad_input/hostile.mjs'
import { VALUES } from './support/bad_input/values.mjs'
import { MNEMONIC, options as someOptions } from './support/options.mjs'

const OTHERS = generateMnemonic()

let folder, store, server, connections, options, node, atRest
const unhandled = []

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'mayfly-bad-input-'))
  store = join(folder, 'not-there')
  mkdirSync(join(folder, 'cwd'))
  process.chdir(join(folder, 'cwd'))
  process.on('unhandledRejection', (reason) => unhandled.push(reason))
  // LSP and Esplora in one: whoever comes is seen.
  connections = 0
  server = createServer((socket) => {
    connections += 1
    socket.destroy()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const address = `127.0.0.1:${server.address().port}`
  options = someOptions({ store: `file:${store}`, esploraUrl: `http://${address}`, lspAddress: address })
  node = new MdkNode(options)
  // What Node and the addon load lazily for the first call of all.
  await node.getInvoice(1, '', 1)
  await node.getInvoice(-1, '', 1).catch(() => {})
  atRest = footprint()
})

after(() => {
  server.close()
  process.chdir(tmpdir())
  rmSync(folder, { recursive: true, force: true })
})

/**
 * Makes a node with that option, lets `look` see it, and destroys it: of a wallet of its own, since nodes of one wallet must agree
 * about their options.
 */
async function made(path, value, look = (node) => assert.equal(node.state, 'idle')) {
  const other = new MdkNode(withOption({ ...options, mnemonic: OTHERS }, path, value))
  try {
    return await look(other)
  } finally {
    other.destroy()
  }
}

const aborted = AbortSignal.abort(new Error('as asked'))
const tried = (row) => [...VALUES, ...row.edges.map((edge, i) => [`edge ${i} (${typeof edge} ${String(edge).slice(0, 20)})`, edge])]

test('the tables have every option, method, function and argument that index.d.ts declares', () => {
  const declared = properties('MdkNodeOptions').flatMap((name) =>
    name in GROUPS ? [name, ...properties(GROUPS[name]).map((inner) => `${name}.${inner}`)] : [name],
  )
  assert.deepEqual(Object.keys(OPTIONS).toSorted(), declared.toSorted())
  const callable = Object.entries(METHODS).map(([name, names]) => [name, [...names, 'options']])
  assert.deepEqual({ ...Object.fromEntries(callable), ...APART }, methods())
  assert.deepEqual(FUNCTIONS, functions())
  assert.deepEqual(properties('CallOptions'), ['signal', 'timeoutMs'])
  assert.deepEqual(properties('ReceiveOptions'), ['minMs', 'quietMs', 'deadlineMs', 'signal'])
  // MdkError is made by us; a user who makes one has a plain JavaScript class.
  assert.deepEqual(Object.keys(mayfly).toSorted(), [...Object.keys(FUNCTIONS), 'MdkNode', 'MdkError'].toSorted())
})

for (const [path, row] of Object.entries(OPTIONS)) {
  test(`option ${path}: every value is refused by name or taken`, () =>
    all(
      tried(row).map(([name, value]) => [
        name,
        async () => {
          const refusedAs = verdict(path, value)
          if (refusedAs === undefined) await made(path, value)
          else refusesNow(() => new MdkNode(withOption(options, path, value)), 'INVALID_OPTION', refusedAs)
        },
      ]),
    ))
}

for (const [path, good] of Object.entries(GOOD)) {
  const make = (value) => new MdkNode(withOption(options, path, value))

  test(`option ${path}: what env files and copying add is refused with what to remove`, () =>
    all([
      ['as it should be', () => made(path, good)],
      ...STRAY.map(([name, add, pattern]) => [
        name,
        async () => {
          const forgiven = FORGIVES[path] === pattern
          const id = (node) => node.getNodeId()
          if (forgiven) assert.equal(await made(path, add(good, path), id), await made(path, good, id))
          else assert.match(refusesNow(() => make(add(good, path)), 'INVALID_OPTION', path).message, pattern)
        },
      ]),
    ]))

  test(`option ${path}: a text that is nearly right says what is wrong, or means what it seems to mean`, () =>
    all(
      FORMS[path].map(([value, pattern, canonical]) => [
        JSON.stringify(value).slice(0, 60),
        async () => {
          if (pattern !== undefined) return assert.match(refusesNow(() => make(value), 'INVALID_OPTION', path).message, pattern)
          assert.deepEqual(await made(path, value, fingerprint), await made(path, canonical ?? value, fingerprint))
        },
      ]),
    ))
}

test('a scid that is nearly right is refused the same as an argument', () =>
  all(
    SCIDS.flatMap(([value, pattern, canonical = value]) =>
      ['getInvoiceWithScid', 'getVariableAmountJitInvoiceWithScid'].map((method) => [
        `${method} ${value}`,
        async () => {
          const call = () => node[method](...argumentsOf(method, { scid: value }))
          if (pattern !== undefined) assert.match((await refusesLater(call, 'INVALID_ARGUMENT', 'scid')).message, pattern)
          else assert.equal((await call()).scid, canonical)
        },
      ]),
    ),
  ))

test('on mainnet a store that does not last is refused, and nothing else of the same options', () =>
  all(
    ['memory:', 'file:/tmp/wallet', `file:${tmpdir()}/wallet`, 'file:/dev/shm/wallet', 'file:/var/lib/../../tmp/wallet'].map((value) => [
      value,
      async () => {
        refusesNow(() => new MdkNode({ ...options, network: 'mainnet', store: value }), 'INVALID_OPTION', 'store')
        await made('store', value)
      },
    ]),
  ))

for (const [method, names] of Object.entries(METHODS)) {
  for (const argument of names) {
    test(`${method}: every value of ${argument} is refused by name or taken`, () =>
      all(
        tried(ARGUMENTS[argument]).map(([name, value]) => [
          name,
          async () => {
            const given = argumentsOf(method, { [argument]: value })
            if (!ARGUMENTS[argument].takes(value)) {
              await refusesLater(() => node[method](...given), 'INVALID_ARGUMENT', argument)
            } else if (MINTS.includes(method)) {
              const minted = await accepts(() => node[method](...given))
              assert.deepEqual(...saysWhatWasAsked(minted, method, { [argument]: value }))
            } else {
              await takenAndStartsNothing(() => node[method](...given, { signal: aborted }))
            }
          },
        ]),
      ))
  }

  test(`${method}: every value of its options is refused by name or taken`, () =>
    all([
      ...VALUES.map(([name, value]) => [name, () => optionsCase(method, value)]),
      ...insideOptions('timeoutMs', method, (given) => node[method](...argumentsOf(method), given)),
      ...insideOptions('signal', method, (given) => node[method](...argumentsOf(method), given)),
    ]))

  test(`${method}: every value as this is refused`, () =>
    all(VALUES.map(([name, value]) => [name, () => refusesLater(() => node[method].call(value), 'INVALID_ARGUMENT', 'this')])))
}

test('closeChannel: every value of force is refused by name or taken', () =>
  all(insideOptions('force', 'closeChannel', (given) => node.closeChannel(...argumentsOf('closeChannel'), given))))

test('receivePayment: every value of its arguments is refused by name or taken, and nobody is called', () => {
  const never = () => assert.fail('called')
  return all([
    ...VALUES.map(([name, value]) => [
      `onPayment ${name}`,
      async () => {
        if (typeof value === 'function') await takenAndStartsNothing(() => node.receivePayment(value, { signal: aborted }))
        else await refusesLater(() => node.receivePayment(value), 'INVALID_ARGUMENT', 'onPayment')
      },
    ]),
    ...VALUES.filter(([, value]) => optionsVerdict(value) !== undefined).map(([name, value]) => [
      `options ${name}`,
      () => refusesLater(() => node.receivePayment(never, value), 'INVALID_ARGUMENT', optionsVerdict(value)),
    ]),
    ...['minMs', 'quietMs', 'deadlineMs', 'signal'].flatMap((key) =>
      insideOptions(key, 'receivePayment', (given) => node.receivePayment(never, given)),
    ),
    ...VALUES.map(([name, value]) => [`this ${name}`, () => refusesLater(() => node.receivePayment.call(value, never), 'INVALID_ARGUMENT', 'this')]),
  ])
})

test('events: every value of its options is refused by name, at once, or taken', () =>
  all([
    ...VALUES.map(([name, value]) => [
      `options ${name}`,
      () => {
        const refusedAs = optionsVerdict(value, 'options')
        if (refusedAs === undefined) assert.equal(typeof node.events(value).next, 'function')
        else refusesNow(() => node.events(value), 'INVALID_ARGUMENT', refusedAs)
      },
    ]),
    ...VALUES.filter(([, value]) => !ARGUMENTS.signal.takes(value)).map(([name, value]) => [
      `signal ${name}`,
      () => refusesNow(() => node.events({ signal: value }), 'INVALID_ARGUMENT', 'signal'),
    ]),
    ...VALUES.map(([name, value]) => [`this ${name}`, () => refusesNow(() => node.events.call(value), 'INVALID_ARGUMENT', 'this')]),
  ]))

test('what is synchronous refuses every this, and an MdkNode is made with new only', () => {
  const accessors = getters().map((name) => [name, Object.getOwnPropertyDescriptor(MdkNode.prototype, name).get])
  const callables = [...accessors, ['getNodeId', node.getNodeId], ['stats', node.stats], ['destroy', node.destroy]]
  return all([
    ...callables.flatMap(([what, call]) =>
      VALUES.map(([name, value]) => [`${what} ${name}`, () => refusesNow(() => call.call(value), 'INVALID_ARGUMENT', 'this')]),
    ),
    // The language's own error: there is no object yet that could refuse.
    ...VALUES.map(([name, value]) => [`MdkNode ${name}`, () => assert.throws(() => MdkNode.call(value, options), { name: 'TypeError', message: /'new'/ })]),
  ])
})

/** An object that names no target, whatever else it is. */
function isEmptyRecord(value) {
  try {
    return typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length === 0
  } catch {
    return false
  }
}

test('the free functions: every value of every argument is refused by name or taken', () => {
  const levels = ['trace', 'debug', 'info', 'warn', 'error']
  const minLevel = {
    takes: (value) => value === undefined || levels.includes(value) || isEmptyRecord(value),
    edges: [...levels, 'INFO', 'warning', 'off'],
  }
  const now = (what, row, call) =>
    tried(row).map(([name, value]) => [
      `${what} ${name}`,
      () => {
        if (row.takes(value)) call(value)
        else refusesNow(() => call(value), 'INVALID_ARGUMENT', what)
      },
    ])
  const isCallback = { takes: (value) => value === null || typeof value === 'function', edges: [] }
  return all([
    ...now('words', ARGUMENTS.words, (value) => assert.equal(generateMnemonic(value).split(' ').length, value ?? 12)),
    ...now('mnemonic', ARGUMENTS.mnemonic, (value) => assert.equal(deriveNodeId(value, 'regtest'), node.getNodeId())),
    ...now('network', ARGUMENTS.network, (value) => assert.equal(deriveNodeId(MNEMONIC, value), node.getNodeId())),
    ...now('callback', isCallback, (value) => setLogListener(value)),
    ...now('minLevel', minLevel, (value) => setLogListener(() => {}, value)),
    // As the level of a target: the same, without objects, and with a word for silence.
    ...['default', 'mayfly::lsp'].flatMap((key) =>
      tried({ edges: [...levels, 'off', 'OFF'] }).map(([name, value]) => [
        `minLevel.${key} ${name}`,
        () => {
          const call = () => setLogListener(() => {}, { [key]: value })
          if (value === undefined || levels.includes(value) || value === 'off') call()
          else refusesNow(call, 'INVALID_ARGUMENT', `minLevel.${key}`)
        },
      ]),
    ),
    ...VALUES.filter(([, value]) => typeof value === 'string').map(([name, value]) => [
      `minLevel with the key ${name}`,
      () => refusesNow(() => setLogListener(() => {}, { [value]: 'info' }), 'INVALID_ARGUMENT', 'minLevel'),
    ]),
    ['no listener stays', () => setLogListener(null)],
    ...VALUES.map(([name, value]) => [`isMdkError ${name}`, () => assert.equal(isMdkError(value), false)]),
    ...VALUES.filter(([, value]) => typeof value !== 'function').map(([name, value]) => [
      `withNode body ${name}`,
      () => refusesLater(() => withNode(options, value), 'INVALID_ARGUMENT', 'body'),
    ]),
    ...VALUES.map(([name, value]) => [
      `withNode options ${name}`,
      () => refusesLater(() => withNode(value, () => assert.fail('called')), 'INVALID_OPTION', constructorVerdict(value)),
    ]),
    ...VALUES.map(([name, value]) => [`new MdkNode ${name}`, () => refusesNow(() => new MdkNode(value), 'INVALID_OPTION', constructorVerdict(value))]),
  ])
})

test('options that are foreign code are read once and can do no harm', () => all(hostileOptions({ ...options, mnemonic: OTHERS })))

test("a call's options and signals that are foreign code are read once and can do no harm", () => all(hostileCalls(options, node)))

test('what is not quite a node is refused, and what is one works', () => all(hostileNodes(options, node)))

test('after all of it nothing is written, nobody was called, nothing stays, and the same node mints', async (t) => {
  assert.equal(existsSync(store), false)
  assert.deepEqual(readdirSync(folder), ['cwd'])
  assert.deepEqual(readdirSync(join(folder, 'cwd')), [])
  assert.equal(connections, 0)
  assert.equal(node.state, 'idle')
  const { bolt11, amountMsat } = await node.getInvoice(21_000, 'One report', 900)
  assert.equal(amountMsat, 21_000)
  assert.ok(isSignedBy(bolt11, node.getNodeId()))
  await new Promise(setImmediate)
  assert.deepEqual(unhandled, [])
  if (atRest !== null) {
    const { threads, fds, sockets } = footprint()
    assert.deepEqual({ threads, fds, sockets }, atRest)
    assert.equal(locksHeld(), 0)
  }
  assert.ok(counted() > 5_000, `only ${counted()} cases`)
  t.diagnostic(`${counted()} cases`)
})

/** Arguments are looked at before the signal: ABORTED says that all were taken, and that nothing has started. */
async function takenAndStartsNothing(call) {
  await refusesLater(call, 'ABORTED')
  assert.equal(node.state, 'idle')
}

/** What can be seen of a node's options without running it. */
async function fingerprint(made) {
  const { bolt11, scid } = await made.getInvoice(1, 'x', 60)
  const [[hop]] = readInvoice(bolt11).routeHints
  return { nodeId: made.getNodeId(), lspNodeId: hop.pubkey, hint: hop.short_channel_id, prefix: bolt11.split('1')[0], scid }
}

/** One key of the last argument with every value. */
function insideOptions(key, method, call) {
  return tried(ARGUMENTS[key]).map(([name, value]) => [
    `${key} ${name}`,
    async () => {
      if (!ARGUMENTS[key].takes(value)) await refusesLater(() => call({ [key]: value }), 'INVALID_ARGUMENT', key)
      else if (key !== 'signal') await takenAndStartsNothing(() => call({ [key]: value, signal: aborted }))
      else if (MINTS.includes(method)) await accepts(() => call({ signal: value }))
    },
  ])
}

/** The name under which the last argument itself is refused; undefined when it is taken. Its signal is read first, then its keys. */
function optionsVerdict(value, unreadable = 'signal') {
  if (value === undefined) return undefined
  let keys
  try {
    keys = typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.keys(value) : null
  } catch {
    return unreadable
  }
  if (keys === null) return 'options'
  return keys.find((key) => key !== 'signal' && key !== 'timeoutMs')
}

/** The name under which it is refused as the options of a node: nothing here has all that is required. */
function constructorVerdict(value) {
  let keys
  try {
    keys = typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.keys(value) : null
  } catch {
    return 'options'
  }
  return keys === null ? 'options' : (keys[0] ?? 'network')
}

async function optionsCase(method, value) {
  const call = () => node[method](...argumentsOf(method), value)
  const refusedAs = optionsVerdict(value)
  if (refusedAs !== undefined) await refusesLater(call, 'INVALID_ARGUMENT', refusedAs)
  // The others would begin to work.
  else if (MINTS.includes(method)) await accepts(call)
}
