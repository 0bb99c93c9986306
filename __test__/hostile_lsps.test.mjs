// An LSP that speaks garbage where LSPS0 wants JSON-RPC: every wait for an answer ends with a code, in time; what nobody asked for is
// ignored without an answer (an LDK LSP ignores whoever answers it an error); and money is not disturbed by any of it.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startLab } from '../scripts/support/lab.mjs'
import { PATIENCE_MS, within } from './support/life.mjs'
import { IMPATIENT, besieged, isRefused } from './support/siege.mjs'

const LSPS = 37913
const PARSE_ERROR = '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error","data":null}}'
const result = (value, id = '$id') => `{"jsonrpc":"2.0","id":"${id}","result":${value}}`
const LISTED = result('{"protocols":[4]}')

let lab
before(async () => (lab = await startLab()))
after(() => lab.stop())

/** LSPS messages that the LSP heard of the wallet since `since`. */
async function heard(wallet, since) {
  const messages = await lab.get(`/messages?since=${since}`)
  return messages.filter(({ direction, peer, type }) => direction === 'got' && peer === wallet.nodeId && type === 'lsps')
}

/** A wallet that has to ask for its route. */
async function unrouted(t) {
  const wallet = await besieged(t, lab, { warm: false })
  delete wallet.options.jitRoute
  // What it learnt is in its store: a new one knows nothing.
  wallet.options.store += '-unrouted'
  return wallet
}

const ANSWERS = {
  'says nothing': [[], 'LSP_UNAVAILABLE', /list_protocols within 700 ms/],
  'answers no JSON': [['this is { no JSON'], 'LSP_UNAVAILABLE', /list_protocols/],
  'answers nothing at all': [[''], 'LSP_UNAVAILABLE', /list_protocols/],
  'answers another id': [[result('{"protocols":[4]}', 'ffffffffffffffffffffffffffffffff')], 'LSP_UNAVAILABLE', /list_protocols/],
  'answers with its id as a number': [['{"jsonrpc":"2.0","id":1,"result":{"protocols":[4]}}'], 'LSP_UNAVAILABLE', /list_protocols/],
  'answers an array of answers': [[`[${LISTED}]`], 'LSP_UNAVAILABLE', /list_protocols/],
  'answers with a request': [['{"jsonrpc":"2.0","id":"$id","method":"lsps0.list_protocols","params":{}}'], 'LSP_UNAVAILABLE', /list_protocols/],
  'answers the right id and the wrong shape': [[result('{"protocols":"all"}')], 'LSP_REJECTED', /makes no sense/],
  'answers null': [[result('null')], 'LSP_REJECTED', /makes no sense/],
  'answers neither a result nor an error': [['{"jsonrpc":"2.0","id":"$id"}'], 'LSP_REJECTED', /refused/],
  'answers an error': [['{"jsonrpc":"2.0","id":"$id","error":{"code":-32601,"message":"no such method"}}'], 'LSP_REJECTED', /-32601: no such method/],
  'answers an error whose data is an object': [['{"jsonrpc":"2.0","id":"$id","error":{"code":1,"message":"go","data":{"a":[1]}}}'], 'LSP_REJECTED', /code 1: go/],
  'answers an error that is none': [['{"jsonrpc":"2.0","id":"$id","error":"no"}'], 'LSP_REJECTED', /refused/],
  'ignores us from now on': [[PARSE_ERROR], 'LSP_REJECTED', /-32700/],
  'answers 60 kB that say nothing': [[result(`{"protocols":"${'x'.repeat(60_000)}"}`)], 'LSP_REJECTED', /makes no sense/],
  'answers JSON that is 20,000 arrays deep': [[`{"id":"$id","result":${'['.repeat(20_000)}${']'.repeat(20_000)}}`], 'LSP_UNAVAILABLE', /list_protocols/],
}

test('getJitRoute ends with a code in its time, whatever the LSP answers, and works on the next honest day', async (t) => {
  for (const [what, [answers, code, says]] of Object.entries(ANSWERS)) {
    const wallet = await unrouted(t)
    await wallet.live(async (node) => {
      await wallet.hostile({ lsps: answers })
      const error = await isRefused(within(node.getJitRoute(), `an end, when the LSP ${what}`), code, says)
      assert.ok(error.message.length < 1_000, `the LSP's text fills the message when it ${what}`)
      assert.equal(error.retryable, code === 'LSP_UNAVAILABLE', what)
      // An invoice needs the route just as much.
      await isRefused(within(node.getInvoice(1_000, 'x', 60), `an end of getInvoice, when the LSP ${what}`), code)
      await wallet.hostile({})
      assert.match((await within(node.getJitRoute(), `the route after the LSP ${what}`)).scid, /^\d+x\d+x\d+$/)
    }, { timeouts: IMPATIENT })
  }
})

test('two answers to one request, and one to a request that timed out, are no more than the first and nothing', async (t) => {
  const wallet = await unrouted(t)
  await wallet.live(async (node) => {
    // Both requests are answered with both answers, each twice.
    const route = result('{"protocols":[4],"jit_channel_scid":"1x2x3","lsp_cltv_expiry_delta":72}')
    await wallet.hostile({ lsps: [route, result('{"protocols":[]}'), route] })
    assert.deepEqual(await node.getJitRoute(), { scid: '1x2x3', cltvExpiryDelta: 72 })
    await node.stop()
  }, { timeouts: IMPATIENT })
})

test('a route with impossible numbers is refused and not stored', async (t) => {
  const routes = ['{"jit_channel_scid":"1x2x3","lsp_cltv_expiry_delta":0}', '{"jit_channel_scid":"1x2x3","lsp_cltv_expiry_delta":70000}',
    '{"jit_channel_scid":"16777216x2x3","lsp_cltv_expiry_delta":72}', '{"jit_channel_scid":"<script>","lsp_cltv_expiry_delta":72}']
  const wallet = await unrouted(t)
  await wallet.live(async (node) => {
    for (const route of routes) {
      await wallet.hostile({ lsps: [result(`{"protocols":[4],${route.slice(1)}`)] })
      await isRefused(node.getJitRoute(), 'LSP_REJECTED', /makes no sense/)
    }
    await wallet.hostile({})
    assert.notEqual((await node.getJitRoute()).scid, '1x2x3')
  }, { timeouts: IMPATIENT })
})

test('garbage that nobody asked for gets no answer, and a payment among it is received', async (t) => {
  const wallet = await besieged(t, lab)
  const garbage = [
    'no JSON', '', '\u0000', '[]', 'null', '{}', '"', `"${'x'.repeat(60_000)}"`, PARSE_ERROR,
    '{"jsonrpc":"2.0","id":"1","method":"lsps2.get_info","params":{}}',
    '{"jsonrpc":"2.0","id":"1","method":"lsps0.list_protocols","params":{}}',
    '{"jsonrpc":"2.0","method":"lsps5.payment_incoming","params":{}}',
    '{"jsonrpc":"2.0","id":"1","result":{"protocols":[4]}}',
    '{"jsonrpc":"2.0","id":null,"result":{}}',
    '{"jsonrpc":"2.0","id":{"a":1},"error":{"code":1,"message":"x"}}',
    `{"id":"1","result":${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}}`,
  ].map((text) => ({ type: LSPS, text }))
  const notUtf8 = { type: LSPS, hex: 'ff00fe80' }
  await wallet.live(async (node) => {
    const since = process.hrtime.bigint()
    await wallet.hostile({ greeting: [...garbage, notUtf8] })
    await node.startReceiving()
    const { bolt11 } = await node.getInvoice(21_000, 'x', 900)
    await wallet.say(...garbage, notUtf8, ...garbage)
    const [paid, event] = await Promise.all([lab.pay(bolt11), node.nextEvent(PATIENCE_MS)])
    assert.ok(paid.preimage, paid.error)
    assert.equal(event.eventType, 'Received')
    await node.ackEvent(event.id)
    assert.deepEqual(await heard(wallet, since), [], 'the wallet answered garbage')
    await node.stop()
  })
  await wallet.isPayable()
})

test('a thousand messages of 60 kB neither fill the memory nor stop a payment', async (t) => {
  const wallet = await besieged(t, lab)
  await wallet.live(async (node) => {
    await node.startReceiving()
    const { bolt11 } = await node.getInvoice(21_000, 'x', 900)
    const before = process.memoryUsage().rss
    await wallet.say({ type: LSPS, text: result(`"${'x'.repeat(60_000)}"`, 'ffff'), times: 1_000 })
    const [paid, event] = await Promise.all([lab.pay(bolt11), node.nextEvent(4 * PATIENCE_MS)])
    assert.ok(paid.preimage, paid.error)
    assert.equal(event?.eventType, 'Received')
    // 60 MB came in; what is kept of it is nothing. Half of it leaves room for what Node itself does meanwhile.
    assert.ok(process.memoryUsage().rss - before < 30e6, `${(process.memoryUsage().rss - before) / 1e6} MB more`)
    await node.stop()
  })
})
