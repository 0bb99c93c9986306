// new MdkNode(options): every wrong option is INVALID_OPTION with its name, nothing is opened, and the process lives.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { MdkNode } from '../index.mjs'
import { JIT_ROUTE, MNEMONIC, hostile, options, throwing, unrouted } from './support/options.mjs'
import { throws } from './support/refused.mjs'

const REQUIRED = ['network', 'mnemonic', 'esploraUrl', 'lspNodeId', 'lspAddress', 'store']
const TEXTS = [...REQUIRED, 'lspProtocol']
const NUMBERS = ['destroyTimeoutMs', 'maxSkimPpm', 'maxSkimBaseMsat']
const GROUPS = { jitRoute: JIT_ROUTE, lease: {}, timeouts: {} }
const GROUP_NUMBERS = {
  lease: ['ttlMs', 'attempts', 'baseDelayMs', 'maxWaitMs'],
  timeouts: ['chainMs', 'syncMs', 'storeMs', 'connectMs', 'lspMs', 'lspRequestMs', 'stopMs', 'commitMs'],
}
const NO_NUMBERS = ['5', null, 5n, true, {}, [], () => 5, Symbol('5')]
const WRONG_NUMBERS = [NaN, Infinity, -Infinity, -1, 0.5, Number.MAX_SAFE_INTEGER + 1, 1e300]

const refuses = (wrong, name) => throws(() => new MdkNode(wrong), 'INVALID_OPTION', name)

test('valid options make an idle node', () => {
  assert.equal(new MdkNode(options()).state, 'idle')
  assert.equal(new MdkNode(unrouted()).state, 'idle')
})

test('options from a prototype and undefined ones count as JavaScript has them', () => {
  assert.equal(new MdkNode(Object.create(options())).state, 'idle')
  assert.equal(new MdkNode(options({ lease: undefined, timeouts: undefined, maxSkimPpm: undefined })).state, 'idle')
})

test('what is no object is refused as the options', () => {
  for (const wrong of [undefined, null, 5, 'options', true, 5n, Symbol('o'), [], () => {}]) refuses(wrong, 'options')
  refuses(hostile(), 'options')
})

test('an unknown key is refused by its name', () => {
  refuses(options({ netwrok: 'regtest' }), 'netwrok')
  refuses(options({ rgsUrl: 'https://example.com' }), 'rgsUrl')
  for (const [group, valid] of Object.entries(GROUPS)) refuses(options({ [group]: { ...valid, foo: 1 } }), `${group}.foo`)
})

test('a missing required option is refused by its name', () => {
  for (const name of REQUIRED) {
    const { [name]: _, ...rest } = options()
    refuses(rest, name)
    refuses(options({ [name]: undefined }), name)
  }
  refuses(options({ jitRoute: { cltvExpiryDelta: 80 } }), 'jitRoute.scid')
  refuses(options({ jitRoute: { scid: '1x2x3' } }), 'jitRoute.cltvExpiryDelta')
})

test('a wrong type is refused by its name', () => {
  for (const name of TEXTS) for (const wrong of [5, null, 5n, true, {}, [], Symbol('x'), new String('x')]) refuses(options({ [name]: wrong }), name)
  for (const name of NUMBERS) for (const wrong of NO_NUMBERS) refuses(options({ [name]: wrong }), name)
  for (const [group, names] of Object.entries(GROUP_NUMBERS)) {
    for (const name of names) for (const wrong of NO_NUMBERS) refuses(options({ [group]: { [name]: wrong } }), `${group}.${name}`)
  }
  for (const group of Object.keys(GROUPS)) for (const wrong of [5, 'x', null, true, [], () => {}]) refuses(options({ [group]: wrong }), group)
  refuses(options({ jitRoute: { scid: 5, cltvExpiryDelta: 80 } }), 'jitRoute.scid')
  refuses(options({ lease: { takeOver: 1 } }), 'lease.takeOver')
  refuses(options({ lease: { label: 1 } }), 'lease.label')
})

test('a wrong value is refused by its name', () => {
  for (const name of TEXTS) for (const wrong of ['', 'nonsense', '\ud800']) refuses(options({ [name]: wrong }), name)
  for (const name of NUMBERS) for (const wrong of WRONG_NUMBERS) refuses(options({ [name]: wrong }), name)
  for (const [group, names] of Object.entries(GROUP_NUMBERS)) {
    for (const name of names) for (const wrong of WRONG_NUMBERS) refuses(options({ [group]: { [name]: wrong } }), `${group}.${name}`)
  }
  refuses(options({ network: 'Mainnet' }), 'network')
  refuses(options({ mnemonic: MNEMONIC.replace('about', 'abandon') }), 'mnemonic')
  refuses(options({ esploraUrl: 'ftp://example.com' }), 'esploraUrl')
  refuses(options({ lspAddress: '127.0.0.1:70000' }), 'lspAddress')
  refuses(options({ jitRoute: { scid: '1x2', cltvExpiryDelta: 80 } }), 'jitRoute.scid')
  refuses(options({ jitRoute: { scid: '1x2x3', cltvExpiryDelta: 0 } }), 'jitRoute.cltvExpiryDelta')
  refuses(options({ lease: { takeOver: 'now' } }), 'lease.takeOver')
})

test('a throwing getter is refused by its name', () => {
  for (const name of Object.keys(options())) refuses(throwing(name, options()), name)
  refuses(options({ jitRoute: throwing('scid', JIT_ROUTE) }), 'jitRoute.scid')
  refuses(options({ lease: throwing('ttlMs') }), 'lease.ttlMs')
  refuses(options({ timeouts: hostile() }), 'timeouts')
})

test('a text too long to be an option is refused without being copied', () => {
  for (const name of REQUIRED) refuses(options({ [name]: 'a'.repeat(1 << 25) }), name)
})

test('no error and no inspection shows a mnemonic', () => {
  const secret = 'zoo '.repeat(11) + 'wrongly'
  const errors = [
    refuses(options({ mnemonic: secret }), 'mnemonic'),
    refuses(options({ mnemonic: `${MNEMONIC} zoo` }), 'mnemonic'),
    refuses(options({ mnemonic: [secret] }), 'mnemonic'),
    refuses(options({ network: MNEMONIC.replaceAll('abandon', 'zoo') }), 'network'),
  ]
  for (const error of errors) assert.doesNotMatch(inspect(error, { depth: 9, showHidden: true }), /zoo|wrongly/)
  const node = new MdkNode(options())
  assert.equal(inspect(node), "MdkNode { state: 'idle' }")
  const id = node.getNodeId()
  assert.equal(inspect(node, { depth: 9, showHidden: true, breakLength: Infinity }), `MdkNode { nodeId: '${id}', state: 'idle' }`)
  assert.equal(JSON.stringify(node), '{}')
})
