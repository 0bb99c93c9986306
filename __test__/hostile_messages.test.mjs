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

/** Types of what the LSP heard of the wallet. */
async function heard(wallet, since) {
  const messages = await lab.get(`/messages?since=${since}`)
  return messages.filter(({ direction, peer }) => direction === 'got' && peer === wallet.nodeId).map(({ type }) => type)
}

test('a channel_reestablish for a channel that the store does not have is STATE_CORRUPT and never answered', async (t) => {
  const wallet = await besieged(t, lab)
  let since
  await wallet.withstands(async (node) => {
    // At once behind init, before the LSP speaks of the channel that both know.
    await wallet.hostile({ greeting: [reestablish(NOBODYS)] })
    since = process.hrtime.bigint()
    await isRefused(within(node.receivePayment(() => assert.fail('no payment')), 'the end'), 'STATE_CORRUPT', new RegExp(NOBODYS))
    assert.deepEqual((await heard(wallet, since)).filter((type) => !['init', 'ping', 'pong'].includes(type)), [], 'what it was answered')
  })
  await wallet.withstands(async (node) => {
    // And in a node that is at work.
    await node.startReceiving()
    since = process.hrtime.bigint()
    await wallet.say(reestablish(NOBODYS))
    await isRefused(within(node.nextEvent(PATIENCE_MS), 'the end'), 'STATE_CORRUPT', new RegExp(NOBODYS))
    assert.deepEqual((await heard(wallet, since)).filter((type) => !['ping', 'pong'].includes(type)), [], 'what it was answered')
  })
})

test('explore: an LSP that never sends its channel_reestablish', async (t) => {
  const wallet = await besieged(t, lab)
  await wallet.hostile({ mute: ['channel_reestablish'] })
  await wallet.withstands(async (node) => {
    const began = performance.now()
    await within(node.startReceiving(), 'an end').then((x) => console.error('resolved', x), (e) => console.error('rejected', e.code, e.message))
    console.error(performance.now() - began, (await node.listChannels()).map(({ isUsable }) => isUsable))
    await node.stop()
    console.error(performance.now() - began)
  }, { timeouts: IMPATIENT })
})

test('an LSP that ends each connection as soon as it stands is LSP_UNAVAILABLE in time', async (t) => {
  const wallet = await besieged(t, lab)
  await wallet.withstands(async (node) => {
    const before = descriptors()
    await wallet.hostile({ dropPeers: true })
    await within(node.startReceiving(), 'an end').then((x) => console.error('resolved', x), (e) => console.error('rejected', e.code, e.message))
    await within(node.nextEvent(3_000), 'an end').then((x) => console.error('resolved', x), (e) => console.error('rejected', e.code, e.message))
    await within(node.receivePayment(() => {}, { minMs: 2_000 }), 'an end').then((x) => console.error('resolved', x), (e) => console.error('rejected', e.code, e.message))
    console.error(before, descriptors())
  }, { timeouts: IMPATIENT })
})

test('an init that asks for what no wallet can, or offers nothing that a channel needs', async (t) => {
  const wallet = await besieged(t, lab)
  for (const rules of [{ noFeatures: true }, { feature: 1_000 }, { feature: 60_000 }, { feature: 1_001 }, { greeting: [{ type: 16, hex: '00000000' }] }, { greeting: [{ type: 16, hex: 'ffff00' }] }]) {
    await wallet.withstands(async (node) => {
      await wallet.hostile(rules)
      await within(node.startReceiving(), 'an end').then((x) => console.error(rules, 'resolved', x), (e) => console.error(rules, 'rejected', e.code, e.message))
      console.error(node.state)
      await within(node.nextEvent(1_000), 'an end').then((x) => console.error(rules, 'resolved', x), (e) => console.error(rules, 'rejected', e.code, e.message))
    }, { timeouts: IMPATIENT })
  }
})

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

test('chatter and malformed messages disturb nothing: explore', async (t) => {
  const wallet = await besieged(t, lab)
  for (const [what, messages] of Object.entries(CHATTER)) {
    await wallet.live(async (node) => {
      await node.startReceiving()
      const { bolt11 } = await node.getInvoice(21_000, 'x', 900)
      const since = process.hrtime.bigint()
      await wallet.say(...messages)
      const [paid, event] = await Promise.all([lab.pay(bolt11), node.nextEvent(PATIENCE_MS).catch((e) => e)])
      const kinds = {}
      for (const type of await heard(wallet, since)) kinds[type] = (kinds[type] ?? 0) + 1
      console.error(what, paid.preimage ? 'paid' : paid.error, event?.eventType ?? event?.message, node.state, JSON.stringify(kinds))
      if (event?.id) await node.ackEvent(event.id)
    })
  }
  await wallet.isPayable()
})
