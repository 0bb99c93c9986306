// Arguments of methods and functions: every wrong one is INVALID_ARGUMENT with its name, and nothing has happened.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import bolt11 from 'light-bolt11-decoder'
import {
  MdkNode,
  deriveNodeId,
  generateMnemonic,
  installShutdownHooks,
  setLogListener,
  shutdownWorker,
  withNode,
} from '../index.mjs'
import { JIT_ROUTE, MNEMONIC, hostile, options, throwing } from './support/options.mjs'
import { rejects, throws } from './support/refused.mjs'

const WRONG_NUMBERS = [NaN, Infinity, -Infinity, -1, 0.5, Number.MAX_SAFE_INTEGER + 1, '5', null, 5n, true, {}, [], () => 5, Symbol('5')]
const WRONG_TEXTS = [undefined, null, 5, 5n, true, {}, [], Symbol('x'), new String('x'), '\ud800', 'a\udc00b', 'x'.repeat(1 << 25)]
const WRONG_OPTIONS = [null, 5, 'x', true, [], () => {}, hostile()]

/** Of regtest, as the options are. */
const ADDRESS = 'bcrt1q6rz28mcfaxtmd6v789l9rrlrusdprr9pz3cppk'
const OF_MAINNET = 'bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu'

const node = new MdkNode(options())

/** Each method with one argument left open; the others are valid. */
const METHODS = {
  getInvoice: { amountMsat: 1000, description: 'x', expirySecs: 900 },
  getVariableAmountJitInvoice: { description: 'x', expirySecs: 900 },
  getInvoiceWithScid: { scid: '1x2x3', amountMsat: 1000, description: 'x', expirySecs: 900 },
  getVariableAmountJitInvoiceWithScid: { scid: '1x2x3', description: 'x', expirySecs: 900 },
  ackEvent: { eventId: 'x' },
  nextEvent: { timeoutMs: 0 },
  start: {},
  startReceiving: {},
  stop: {},
  stopReceiving: {},
  getJitRoute: {},
  getBalance: {},
  listChannels: {},
  getPayment: { paymentHash: '00'.repeat(32) },
  listPayments: {},
  watch: {},
  closeChannel: { channelId: '00'.repeat(32) },
  getOnchainAddress: {},
  sendAllOnchain: { address: ADDRESS, feeRate: 2.5 },
}
const WRONG = {
  amountMsat: [undefined, ...WRONG_NUMBERS, 0],
  expirySecs: [undefined, ...WRONG_NUMBERS, 0, 2 ** 32],
  timeoutMs: WRONG_NUMBERS,
  description: [...WRONG_TEXTS, 'x'.repeat(640)],
  scid: [...WRONG_TEXTS, '', '1x2', '1x2x3x4', '1x2x65536', '-1x2x3'],
  eventId: WRONG_TEXTS,
  paymentHash: [...WRONG_TEXTS, '', 'zz'.repeat(32), '00'.repeat(31), '00'.repeat(33), ` ${'0'.repeat(63)}`],
  channelId: [...WRONG_TEXTS, '', '00'.repeat(31), 'zz'.repeat(32), '00'.repeat(33)],
  address: [...WRONG_TEXTS, '', ADDRESS.slice(0, -1), OF_MAINNET],
  feeRate: [NaN, Infinity, -1, 0, 0.99, 1000.1, '5', null, 5n, true, {}],
}

for (const [method, valid] of Object.entries(METHODS)) {
  const call = (changed, callOptions) => () => node[method](...Object.values({ ...valid, ...changed }), ...callOptions)

  test(`${method} refuses every wrong argument by its name`, async () => {
    for (const name of Object.keys(valid)) {
      for (const wrong of WRONG[name]) await rejects(call({ [name]: wrong }, []), 'INVALID_ARGUMENT', name)
    }
  })

  test(`${method} refuses wrong call options by their name`, async () => {
    for (const wrong of WRONG_OPTIONS) {
      const error = await rejects(call({}, [wrong]), 'INVALID_ARGUMENT', isHostile(wrong) ? 'signal' : 'options')
      assert.match(error.message, /options|signal/)
    }
    await rejects(call({}, [{ timeoutMS: 5 }]), 'INVALID_ARGUMENT', 'timeoutMS')
    await rejects(call({}, [throwing('timeoutMs')]), 'INVALID_ARGUMENT', 'timeoutMs')
    for (const wrong of WRONG_NUMBERS) await rejects(call({}, [{ timeoutMs: wrong }]), 'INVALID_ARGUMENT', 'timeoutMs')
    for (const wrong of [null, 5, 'x', {}, hostile()]) await rejects(call({}, [{ signal: wrong }]), 'INVALID_ARGUMENT', 'signal')
    await rejects(call({}, [throwing('signal')]), 'INVALID_ARGUMENT', 'signal')
  })

  test(`${method} with a signal that has fired starts nothing and says why`, async () => {
    const reason = new Error('too late')
    const error = await rejects(call({}, [{ signal: AbortSignal.abort(reason) }]), 'ABORTED')
    assert.equal(error.cause, reason)
    assert.equal(node.state, 'idle')
  })
}

test('receivePayment refuses every wrong argument by its name and calls nobody', async () => {
  const never = () => assert.fail('called')
  for (const wrong of [undefined, null, 5, 'x', {}]) await rejects(() => node.receivePayment(wrong), 'INVALID_ARGUMENT', 'onPayment')
  for (const wrong of WRONG_OPTIONS.filter((value) => !isHostile(value))) {
    await rejects(() => node.receivePayment(never, wrong), 'INVALID_ARGUMENT', 'options')
  }
  for (const name of ['minMs', 'quietMs', 'deadlineMs']) {
    for (const wrong of WRONG_NUMBERS) await rejects(() => node.receivePayment(never, { [name]: wrong }), 'INVALID_ARGUMENT', name)
  }
  await rejects(() => node.receivePayment(never, { timeoutMs: 1 }), 'INVALID_ARGUMENT', 'timeoutMs')
  await rejects(() => node.receivePayment(never, { signal: 5 }), 'INVALID_ARGUMENT', 'signal')
  await rejects(() => node.receivePayment(never, { signal: AbortSignal.abort() }), 'ABORTED')
  assert.equal(node.state, 'idle')
})

test('listPayments refuses a wrong page by its name', async () => {
  for (const wrong of [...WRONG_NUMBERS, 0, 1001]) await rejects(() => node.listPayments({ limit: wrong }), 'INVALID_ARGUMENT', 'limit')
  for (const wrong of WRONG.paymentHash.slice(1)) await rejects(() => node.listPayments({ before: wrong }), 'INVALID_ARGUMENT', 'before')
  await rejects(() => node.listPayments(throwing('limit')), 'INVALID_ARGUMENT', 'limit')
  const error = await rejects(() => node.listPayments({ before: '00'.repeat(32) }), 'INVALID_ARGUMENT', 'before')
  assert.match(error.message, /no payment that was received/)
  assert.deepEqual(await node.listPayments({ limit: 1, before: undefined }), [])
})

test('events refuses wrong options by their name', () => {
  for (const wrong of WRONG_OPTIONS.filter((value) => !Array.isArray(value))) throws(() => node.events(wrong), 'INVALID_ARGUMENT', 'options')
  throws(() => node.events({ timeoutMs: 1 }), 'INVALID_ARGUMENT', 'timeoutMs')
  throws(() => node.events({ signal: 5 }), 'INVALID_ARGUMENT', 'signal')
})

test('a detached method and a foreign this are refused, not crashed on', async () => {
  for (const self of [undefined, null, 5, {}, Object.create(MdkNode.prototype), new Proxy(node, {})]) {
    for (const method of Object.keys(METHODS)) await rejects(() => node[method].call(self), 'INVALID_ARGUMENT', 'this')
    await rejects(() => node.receivePayment.call(self, () => {}), 'INVALID_ARGUMENT', 'this')
    for (const method of ['getNodeId', 'destroy', 'events']) throws(() => node[method].call(self), 'INVALID_ARGUMENT', 'this')
    for (const getter of ['state', 'wakeBy', 'lastDestroy']) {
      const { get } = Object.getOwnPropertyDescriptor(MdkNode.prototype, getter)
      throws(() => get.call(self), 'INVALID_ARGUMENT', 'this')
    }
  }
})

test('the free functions refuse every wrong argument by its name', async () => {
  for (const wrong of [...WRONG_NUMBERS, 0, 13]) throws(() => generateMnemonic(wrong), 'INVALID_ARGUMENT', 'words')
  for (const wrong of [...WRONG_TEXTS, 'abandon']) throws(() => deriveNodeId(wrong, 'regtest'), 'INVALID_ARGUMENT', 'mnemonic')
  for (const wrong of [...WRONG_TEXTS, 'Mainnet']) throws(() => deriveNodeId(MNEMONIC, wrong), 'INVALID_ARGUMENT', 'network')
  for (const wrong of [undefined, 5, 'x', {}]) throws(() => setLogListener(wrong), 'INVALID_ARGUMENT', 'callback')
  for (const wrong of [null, 5, 'loud', ['info'], { 'mayfly::stores': 'info' }]) {
    throws(() => setLogListener(() => {}, wrong), 'INVALID_ARGUMENT', 'minLevel')
  }
  for (const wrong of ['loud', null, 5]) throws(() => setLogListener(() => {}, { ldk: wrong }), 'INVALID_ARGUMENT', 'minLevel.ldk')
  for (const wrong of [undefined, null, 5]) await rejects(() => withNode(options(), wrong), 'INVALID_ARGUMENT', 'body')
  await rejects(() => withNode({}, () => assert.fail('called')), 'INVALID_OPTION', 'network')
})

test('shutdownWorker and installShutdownHooks refuse every wrong option by its name, and do nothing', async () => {
  const listeners = () => ['SIGTERM', 'SIGINT', 'disconnect'].map((name) => process.listenerCount(name))
  const before = listeners()
  const refuse = async (options, name) => {
    await rejects(() => shutdownWorker(options), 'INVALID_ARGUMENT', name)
    throws(() => installShutdownHooks(options), 'INVALID_ARGUMENT', name)
  }
  for (const wrong of WRONG_OPTIONS) await refuse(wrong, 'options')
  await refuse({ exitcode: 1 }, 'exitcode')
  await refuse({ ['x'.repeat(40)]: 1 }, 'options')
  for (const name of ['exitCode', 'killAfterMs', 'destroyTimeoutMs']) {
    for (const wrong of WRONG_NUMBERS) await refuse({ [name]: wrong }, name)
    await refuse(throwing(name), name)
  }
  for (const [name, wrong] of [['exitCode', 256], ['killAfterMs', 0], ['killAfterMs', 3_600_001]]) await refuse({ [name]: wrong }, name)
  // The nodes' part is within the whole.
  for (const options of [{ destroyTimeoutMs: 3000 }, { destroyTimeoutMs: 500, killAfterMs: 500 }]) await refuse(options, 'destroyTimeoutMs')
  for (const wrong of [null, 0, 'true', {}]) {
    await rejects(() => shutdownWorker({ exit: wrong }), 'INVALID_ARGUMENT', 'exit')
    throws(() => installShutdownHooks({ ipcDisconnect: wrong }), 'INVALID_ARGUMENT', 'ipcDisconnect')
  }
  for (const wrong of [null, 'SIGTERM', 15, {}, [undefined], [15], ['TERM'], ['SIGKILL'], ['SIGSTOP'], ['SIGSEGV'], ['toString'], hostile()]) {
    throws(() => installShutdownHooks({ signals: wrong }), 'INVALID_ARGUMENT', 'signals')
  }
  throws(() => installShutdownHooks({ exit: true }), 'INVALID_ARGUMENT', 'exit')
  await rejects(() => shutdownWorker({ signals: [] }), 'INVALID_ARGUMENT', 'signals')
  assert.deepEqual(listeners(), before)
  installShutdownHooks({ signals: [], exitCode: 255, killAfterMs: 1, destroyTimeoutMs: 0 })()
})

test('the whole range of valid arguments mints', async () => {
  for (const amountMsat of [1, 21_000, 2 ** 40]) {
    const minted = await node.getInvoice(amountMsat, 'One report ✓ 🦋', 900)
    assert.equal(minted.amountMsat, amountMsat)
    assert.equal(minted.scid, JIT_ROUTE.scid)
    assert.equal(section(minted.bolt11, 'payment_hash'), minted.paymentHash)
    assert.equal(section(minted.bolt11, 'amount'), String(amountMsat))
    assert.equal(section(minted.bolt11, 'description'), 'One report ✓ 🦋')
    assert.equal(section(minted.bolt11, 'expiry'), 900)
    const timestamp = section(minted.bolt11, 'timestamp')
    assert.equal(minted.expiresAt, (timestamp + 900) * 1000)
  }
  for (const description of ['', 'x'.repeat(639)]) {
    const minted = await node.getVariableAmountJitInvoice(description, 1)
    assert.ok(!('amountMsat' in minted))
    assert.equal(section(minted.bolt11, 'description'), description)
  }
})

test("an invoice through the caller's scid keeps the known route's delta, and takes 72 where none is known", async () => {
  const through = async (used) => {
    const minted = await used.getInvoiceWithScid('700000x1x0', 1000, 'x', 900)
    assert.equal(minted.scid, '700000x1x0')
    const [hop] = section(minted.bolt11, 'route_hint')
    assert.equal(hop.short_channel_id, (700000n * 2n ** 40n + 2n ** 16n).toString(16).padStart(16, '0'))
    return hop.cltv_expiry_delta
  }
  const { jitRoute, ...unrouted } = options()
  assert.equal(await through(node), jitRoute.cltvExpiryDelta)
  assert.equal(await through(new MdkNode(unrouted)), 72)
  assert.equal((await node.getVariableAmountJitInvoiceWithScid('700000x1x0', 'x', 900)).scid, '700000x1x0')
})

test('a generated mnemonic has as many words as asked for, and its node is the one that deriveNodeId names', () => {
  assert.equal(generateMnemonic().split(' ').length, 12)
  assert.equal(generateMnemonic(24).split(' ').length, 24)
  const mnemonic = generateMnemonic(12)
  assert.equal(new MdkNode(options({ mnemonic })).getNodeId(), deriveNodeId(mnemonic, 'regtest'))
})

function isHostile(value) {
  try {
    return typeof value === 'object' && value !== null && value.signal === value
  } catch {
    return true
  }
}

function section(invoice, name) {
  return bolt11.decode(invoice).sections.find((part) => part.name === name)?.value
}
