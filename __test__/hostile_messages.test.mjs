// An LSP that sends what no honest one would, over a real Noise session: channels that do not exist, floods, unknown and malformed
// messages, connections that end as soon as they stand. The process lives, every call ends with a code in its time, nothing that is
// committed changes, and the next honest payment arrives.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startLab } from '../scripts/support/lab.mjs'
import { PATIENCE_MS, receiveOne, until, within } from './support/life.mjs'
import { IMPATIENT, besieged, isRefused } from './support/siege.mjs'
import { descriptors } from './support/threads.mjs'

let lab
before(async () => (lab = await startLab()))
after(() => lab.stop())

const u16 = (value) => value.toString(16).padStart(4, '0')
const u64 = (value) => value.toString(16).padStart(16, '0')
const NOBODYS = 'ab'.repeat(32)
const ALL = '00'.repeat(32)
/** A point on the curve: what messages want where a key is. */
const POINT = '0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798'
const TYPES = {
  warning: 1, stfu: 2, init: 16, error: 17, ping: 18, pong: 19, open_channel: 32, accept_channel: 33, funding_created: 34,
  funding_signed: 35, channel_ready: 36, shutdown: 38, closing_signed: 39, tx_abort: 74, splice: 80, update_add_htlc: 128,
  update_fulfill_htlc: 130, update_fail_htlc: 131, commitment_signed: 132, revoke_and_ack: 133, update_fee: 134,
  update_fail_malformed_htlc: 135, channel_reestablish: 136, channel_announcement: 256, node_announcement: 257, channel_update: 258,
  announcement_signatures: 259, onion_message: 513,
}
const reestablish = (channel) => ({ type: TYPES.channel_reestablish, hex: channel + u64(1) + u64(0) + ALL + POINT })
const error = (channel, text) => ({ type: TYPES.error, hex: channel + u16(text.length), text })
const warning = (channel, text) => ({ type: TYPES.warning, hex: channel + u16(text.length), text })
const shutdown = (channel) => ({ type: TYPES.shutdown, hex: `${channel}0016${'0014'}${'11'.repeat(20)}` })

/** What the LSP heard of the wallet. */
async function heardAll(wallet, since) {
  const messages = await lab.get(`/messages?since=${since}`)
  return messages.filter(({ direction, peer }) => direction === 'got' && peer === wallet.nodeId)
}

/** Its types. */
async function heard(wallet, since) {
  return (await heardAll(wallet, since)).map(({ type }) => type)
}

/** No answer to a message about a channel; a `channel_update` is of the good one, and may still be on its way. */
const SILENT = new Set(['init', 'ping', 'pong', 'channel_update'])

/** What the LSP heard that answers a message about nobody's channel. The good channel's own reestablish may still be on its way. */
async function answers(wallet, since) {
  return (await heardAll(wallet, since)).filter(({ type, channelId }) =>
    !SILENT.has(type) && !(type === 'channel_reestablish' && channelId !== NOBODYS))
}

test('a channel_reestablish for a channel that the store does not have is STATE_CORRUPT and never answered', async (t) => {
  const wallet = await besieged(t, lab)
  await wallet.withstands(async (node) => {
    // As soon as the connection stands, behind the one of the channel that both know.
    await wallet.hostile({ greeting: [reestablish(NOBODYS)] })
    const since = process.hrtime.bigint()
    await isRefused(within(node.receivePayment(() => assert.fail('no payment')), 'the end'), 'STATE_CORRUPT', new RegExp(NOBODYS))
    assert.deepEqual(await answers(wallet, since), [], 'what it was answered')
  })
})

test('a channel_reestablish for an unknown channel in the middle of the work is STATE_CORRUPT and never answered', async (t) => {
  const wallet = await besieged(t, lab)
  await wallet.withstands(async (node) => {
    await node.startReceiving()
    const since = process.hrtime.bigint()
    const waiting = isRefused(within(node.nextEvent(PATIENCE_MS), 'the end'), 'STATE_CORRUPT', new RegExp(NOBODYS))
    await wallet.say(reestablish(NOBODYS))
    await waiting
    assert.deepEqual(await answers(wallet, since), [], 'what it was answered')
  })
})

test('an LSP that never sends its channel_reestablish is waited for no longer than lspMs and lspRequestMs, and hears none', async (t) => {
  const wallet = await besieged(t, lab)
  await wallet.hostile({ mute: ['channel_reestablish'] })
  await wallet.withstands(async (node) => {
    const since = process.hrtime.bigint()
    await within(node.startReceiving(), 'an end of startReceiving')
    assert.deepEqual((await node.listChannels()).map(({ isUsable }) => isUsable), [false], 'what the caller can see')
    await within(node.stop(), 'an end of stop')
    assert.deepEqual((await heard(wallet, since)).filter((type) => !SILENT.has(type)), [], 'our state was said to nobody')
  }, { timeouts: IMPATIENT })
})

test('an LSP that ends each connection as soon as it stands is called again at a bounded rate, until the call\'s own deadline', async (t) => {
  const wallet = await besieged(t, lab)
  await wallet.withstands(async (node) => {
    const before = descriptors()
    await wallet.hostile({ dropPeers: true })
    await lab.post('/stats/reset')
    const began = performance.now()
    assert.deepEqual(await within(node.receivePayment(() => assert.fail('no payment'), { minMs: 1_000, deadlineMs: 3_000 }), 'an end'), [])
    const [took, calls] = [performance.now() - began, (await lab.get('/stats')).lsp.connections.length]
    assert.ok(calls > 2, `${calls} calls`)
    // Two in 300 ms, and those at either end.
    assert.ok(calls <= (took / 300) * 2 + 4, `${calls} calls in ${took} ms`)
    await until(() => descriptors() <= before, `${before} descriptors`)
  })
})

const INITS = {
  'has no feature that a channel needs': { noFeatures: true },
  'asks for an unknown feature': { feature: 1_000 },
  'asks for an unknown feature far away': { feature: 60_000 },
}

test('an LSP whose init asks for what no wallet has, or lacks what a channel needs, is LSP_UNAVAILABLE and named', async (t) => {
  const wallet = await besieged(t, lab)
  for (const [what, rules] of Object.entries(INITS)) {
    await wallet.withstands(async (node) => {
      await wallet.hostile(rules)
      await isRefused(within(node.startReceiving(), `an end, when its init ${what}`), 'LSP_UNAVAILABLE', /features/)
      await isRefused(within(node.receivePayment(() => assert.fail('no payment')), `an end, when its init ${what}`), 'LSP_UNAVAILABLE')
    }, { timeouts: { ...IMPATIENT, lspMs: 1_500 } })
  }
})

test('an unknown optional feature is none of our business', async (t) => {
  const wallet = await besieged(t, lab)
  await wallet.hostile({ feature: 1_001 })
  await wallet.live(async (node) => assert.ok(await receiveOne(lab, node)))
})

/** Said while a payment is under way; the lower half ends the connection. */
const CHATTER = {
  'unknown odd types': [{ type: 9_999, hex: 'ff'.repeat(100) }, { type: 65_535 }, { type: 32_769, hex: '00' }],
  'warnings': [warning(ALL, 'look out'), warning(NOBODYS, 'x'.repeat(60_000))],
  'messages of no channel': [shutdown(NOBODYS), { type: TYPES.stfu, hex: `${NOBODYS}01` }, { type: TYPES.tx_abort, hex: `${NOBODYS}0000` },
    { type: TYPES.update_fee, hex: `${NOBODYS}00000fff` }, { type: TYPES.revoke_and_ack, hex: `${NOBODYS}${'11'.repeat(32)}${POINT}` },
    { type: TYPES.channel_ready, hex: NOBODYS + POINT }, error(NOBODYS, 'gone')],
  'pongs to no ping': [{ type: TYPES.pong, hex: '0000', times: 1_000 }],
  'big pings': [{ type: TYPES.ping, hex: `${u16(65_531)}${u16(0)}`, times: 200 }],
  'pings to be ignored': [{ type: TYPES.ping, hex: `${u16(65_535)}${u16(0)}`, times: 1_000 }],
  'onion messages of nonsense': [{ type: TYPES.onion_message, hex: `${POINT}${u16(1_366)}00${POINT}${'00'.repeat(1_300)}${'11'.repeat(32)}`, times: 1_000 }],
  'channel announcements of nonsense': [{ type: TYPES.channel_update, hex: 'ff'.repeat(136), times: 1_000 }],
  'an unknown even type': [{ type: 9_998, hex: 'ff' }],
  'a second init': [{ type: TYPES.init, hex: '00000000' }],
  'a message that ends too soon': [{ type: TYPES.update_add_htlc, hex: NOBODYS }],
  'a key that is none': [{ type: TYPES.channel_ready, hex: `${NOBODYS}${'00'.repeat(33)}` }],
  'an open_channel of zeros': [{ type: TYPES.open_channel, hex: '00'.repeat(319) }],
  'an empty message of each type': Object.values(TYPES).map((type) => ({ type })),
}

for (const [what, messages] of Object.entries(CHATTER)) {
  test(`a payment is received among ${what}`, async (t) => {
    const wallet = await besieged(t, lab)
    await wallet.live(async (node) => {
      await node.startReceiving()
      const before = process.memoryUsage().rss
      for (let round = 0; round < 3; round++) {
        const { bolt11, paymentHash } = await node.getInvoice(21_000, 'x', 900)
        await wallet.say(...messages)
        const [paid, event] = await Promise.all([lab.pay(bolt11), node.nextEvent(2 * PATIENCE_MS)])
        assert.ok(paid.preimage, paid.error)
        assert.deepEqual([event?.eventType, event?.paymentHash], ['Received', paymentHash])
        await node.ackEvent(event.id)
        // What ended the connection ended that, and no more.
        await node.startReceiving()
      }
      assert.ok(process.memoryUsage().rss - before < 30e6, `${(process.memoryUsage().rss - before) / 1e6} MB more`)
      await node.stop()
    })
    assert.equal((await wallet.channels()).length, 1)
    assert.equal((await wallet.committed()).balance.lightningMsat, 563_000)
    await wallet.isPayable()
  })
}
