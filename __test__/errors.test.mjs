// MdkError: what it is, in this realm and others, and that nothing else comes out, not even of a panic.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import vm from 'node:vm'
import { MdkError, MdkNode, isMdkError } from '../index.mjs'
import { root, runInChild } from './support/child.mjs'
import { functions, membersOf, unionOf } from './support/declared.mjs'
import { names, table } from './support/error_docs.mjs'
import { options } from './support/options.mjs'
import { rejects, throws } from './support/refused.mjs'

const require = createRequire(import.meta.url)
const { fromNative } = require('../wrapper/errors.js')

test('an MdkError of another realm or another installed copy is one', () => {
  const copy = withoutCache(() => require('../wrapper/errors.js'))
  assert.notEqual(copy.MdkError, MdkError)
  const foreign = new copy.MdkError('TIMEOUT', 'late')
  assert.ok(!(foreign instanceof MdkError))
  assert.ok(isMdkError(foreign))
  const otherRealm = vm.runInNewContext("Object.assign(new Error('x'), { [Symbol.for('mayfly.MdkError')]: true, code: 'TIMEOUT' })")
  assert.ok(isMdkError(otherRealm))
})

test('what is no MdkError is none, however odd', () => {
  const trap = new Proxy({}, { get: () => assert.fail('thrown in a trap') })
  const lookalike = Object.assign(new Error('x'), { code: 'TIMEOUT', retryable: true })
  for (const value of [undefined, null, 5, 'TIMEOUT', {}, new Error('x'), lookalike, trap, () => {}]) assert.equal(isMdkError(value), false)
})

test('the details of a native error arrive whole', () => {
  const holder = { pid: 7, host: 'a', since: 1, epoch: 2 }
  const native = Object.assign(new Error('held'), { code: 'WALLET_LOCKED', retryable: true, retryAfterMs: 250, holder })
  const error = fromNative(native)
  assert.deepEqual({ ...error }, { code: 'WALLET_LOCKED', retryable: true, retryAfterMs: 250, holder })
  assert.equal(error.message, 'held')
  assert.equal(fromNative(error), error)
})

test('a value that no native error looks like is INTERNAL with its cause', () => {
  for (const value of [new Error('x'), 'text', undefined]) {
    const error = fromNative(value)
    assert.equal(error.code, 'INTERNAL')
    assert.equal(error.cause, value)
  }
})

test("the stack of an error shows the caller's code", async () => {
  async function sells() {
    await new MdkNode(options()).getInvoice(-1, 'x', 900)
  }
  const error = await rejects(sells, 'INVALID_ARGUMENT', 'amountMsat')
  assert.match(error.stack, /at async sells|at sells/)
  assert.match(throws(() => new MdkNode({}), 'INVALID_OPTION', 'network').stack, /errors\.test\.mjs/)
})

test('a panic is INTERNAL with its location, prints nothing, and the process lives', () => {
  const child = runInChild(`
    const native = require(${JSON.stringify(`${root}native.js`)})
    try { native.selftestPanic() } catch (e) { console.log(e.code, e.retryable, e.message) }
    console.log(new mayfly.MdkNode(OPTIONS).state)`)
  assert.equal(child.status, 0, child.stderr)
  assert.match(child.stdout, /^INTERNAL false .*panic at src\/selftest\.rs:\d+, in the binding: as asked.*\nidle\n$/)
  assert.equal(child.stderr, '')
})

test('a call that is refused at the end of the stack is a RangeError like any other, and the process lives', () => {
  const endless = {
    'a constructor tried again at once': 'try { return new mayfly.MdkNode({}) } catch { return again() }',
    'a function tried again at once': "try { return mayfly.deriveNodeId('', '') } catch { return again() }",
    'a method called again at once': "node.getInvoice(-1, 'x', 900).catch(() => {}); return again()",
    'a getter that constructs': "return new mayfly.MdkNode({ ...OPTIONS, get lease() { return again() } })",
    'a getter that calls': "node.getInvoice(1, 'x', 900, { get timeoutMs() { again(); return 5 } }).catch(() => {})",
  }
  for (const [what, body] of Object.entries(endless)) {
    const child = runInChild(`
      // A promise that is made at the very end gets no handler.
      process.on('unhandledRejection', () => {})
      const node = new mayfly.MdkNode(OPTIONS)
      function again() { ${body} }
      try { again() } catch (e) { if (!(e instanceof RangeError || mayfly.isMdkError(e))) throw e }
      node.getInvoice(1, 'x', 900).then(({ amountMsat }) => console.log('minted', amountMsat))`)
    assert.equal(child.signal, null, `${what}: ${child.signal}`)
    assert.equal(child.stdout, 'minted 1\n', `${what}: ${child.stderr}`)
  }
})

test('a platform without a binary is told what exists', () => {
  const child = runInChild('', { before: "Object.defineProperty(process, 'platform', { value: 'sunos' })" })
  assert.equal(child.status, 1)
  assert.match(child.stderr, /UNSUPPORTED_PLATFORM/)
  assert.match(child.stderr, /no binary that loads on sunos .* It exists for: linux x64/)
})

test('the codes of Rust, of the declarations and of docs/errors.md are the same, and so is what is retryable', () => {
  const rust = require('../native.js').selftestCodes()
  // Said where no Rust was loaded.
  const all = { ...rust, UNSUPPORTED_PLATFORM: false }
  assert.deepEqual(unionOf('MdkErrorCode').toSorted(), Object.keys(all).toSorted())
  const documented = [...table('The codes')].map(([code, { retryable }]) => [code, { yes: true, no: false }[retryable]])
  assert.deepEqual(Object.fromEntries(documented), all)
})

test('docs/errors.md has a row for every method and function that is declared, with codes that exist', () => {
  const methods = table('What each method')
  assert.deepEqual([...methods.keys()].toSorted(), ['new MdkNode', ...membersOf('MdkNode')].toSorted())
  const free = table('What each method', 1)
  assert.deepEqual([...free.keys()].toSorted(), ["require('mayfly')", ...functions()].toSorted())
  const codes = unionOf('MdkErrorCode')
  for (const { besides } of [...methods.values(), ...free.values()]) {
    for (const code of names(besides)) assert.ok(codes.includes(code), code)
  }
})

/** Loads the wrapper a second time, as a second installed copy would. */
function withoutCache(load) {
  const path = require.resolve('../wrapper/errors.js')
  const cached = require.cache[path]
  delete require.cache[path]
  try {
    return load()
  } finally {
    require.cache[path] = cached
  }
}
