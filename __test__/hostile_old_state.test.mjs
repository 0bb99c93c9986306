// The worst thing an LSP can do to a wallet whose store went back in time: get it to publish a commitment that it has revoked, and take
// all of it as the penalty. So nothing that an LSP says makes the wallet close a channel before the LSP has shown, on this connection,
// that the wallet's state is the newest.

import assert from 'node:assert/strict'
import { cpSync, rmSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { startLab } from '../scripts/support/lab.mjs'
import { receiveOne, until, within } from './support/life.mjs'
import { IMPATIENT, besieged, isRefused } from './support/siege.mjs'

let lab
before(async () => (lab = await startLab()))
after(() => lab.stop())

const u16 = (value) => value.toString(16).padStart(4, '0')
const u64 = (value) => value.toString(16).padStart(16, '0')
const POINT = '0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798'
const ALL = '00'.repeat(32)
const error = (channel, text = 'give up') => ({ type: 17, hex: channel + u16(text.length), text })
const reestablish = (channel, next, revoked, secret) => ({ type: 136, hex: channel + u64(next) + u64(revoked) + secret + POINT })

const LIES = {
  'an error for the channel': (channel) => error(channel),
  'an error for all channels': () => error(ALL),
  'a reestablish with a secret that is none': (channel) => reestablish(channel, 9, 8, '11'.repeat(32)),
  'a reestablish with no secret at all': (channel) => reestablish(channel, 9, 8, ALL),
  'a reestablish of a channel that was never used': (channel) => reestablish(channel, 1, 0, ALL),
  'a reestablish from before any commitment': (channel) => reestablish(channel, 0, 0, ALL),
  'a reestablish from the end of time': (channel) => reestablish(channel, 2 ** 47, 2 ** 47, '11'.repeat(32)),
  'a shutdown': (channel) => ({ type: 38, hex: `${channel}${u16(22)}0014${'11'.repeat(20)}` }),
  'a fee rate that nobody pays': (channel) => ({ type: 134, hex: `${channel}ffffffff` }),
  'a channel_ready': (channel) => ({ type: 36, hex: channel + POINT }),
  'a revocation': (channel) => ({ type: 133, hex: `${channel}${'11'.repeat(32)}${POINT}` }),
}

/** What tells the LSP nothing of the wallet's state. */
const SILENT = new Set(['init', 'ping', 'pong', 'warning'])

/** A wallet with two states of its store: an old one, two payments back, and the newest. */
async function withHistory(t) {
  const wallet = await besieged(t, lab)
  const path = wallet.options.store.slice('file:'.length)
  const save = (name) => cpSync(path, `${path}.${name}`, { recursive: true })
  save('old')
  for (let i = 0; i < 2; i++) await wallet.live((node) => receiveOne(lab, node))
  save('newest')
  const restore = (name) => {
    rmSync(path, { recursive: true })
    cpSync(`${path}.${name}`, path, { recursive: true })
  }
  const [{ channelId }] = await wallet.channels()
  return { wallet, restore, channelId }
}

async function mempool() {
  return (await lab.get('/chain')).mempool
}

for (const [what, lie] of Object.entries(LIES)) {
  test(`in place of its own channel_reestablish, ${what} makes no wallet close a channel, be its store old or new`, async (t) => {
    const { wallet, restore, channelId } = await withHistory(t)
    const before = await mempool()
    for (const state of ['old', 'newest']) {
      restore(state)
      const committed = await wallet.committed()
      await wallet.hostile({ mute: ['channel_reestablish'], greeting: [lie(channelId)] })
      const since = process.hrtime.bigint()
      await wallet.live(async (node) => {
        const end = node.startReceiving().then(() => node.nextEvent(300)).catch((error) => error.code)
        // Silence, a lost connection, or the word that the two states do not fit together.
        assert.ok([null, 'LSP_UNAVAILABLE', 'STATE_CORRUPT'].includes(await within(end, `an end with the ${state} store`)), state)
      }, { timeouts: { ...IMPATIENT, lspMs: 1_500 } })
      await wallet.gone()
      const heard = (await lab.get(`/messages?since=${since}`)).filter(({ direction, peer }) => direction === 'got' && peer === wallet.nodeId)
      assert.deepEqual(heard.map(({ type }) => type).filter((type) => !SILENT.has(type)), [], `what the LSP heard of the ${state} state`)
      assert.deepEqual(await mempool(), before, 'nothing was broadcast')
      assert.deepEqual(await wallet.committed(), committed, 'nothing was committed')
    }
    await wallet.isPayable()
    assert.deepEqual((await wallet.channels()).map((channel) => channel.channelId), [channelId])
  })
}

test('a reestablish that is old or garbage is STATE_CORRUPT, and says that the store may be old', async (t) => {
  const { wallet, channelId } = await withHistory(t)
  await wallet.hostile({ mute: ['channel_reestablish'], greeting: [reestablish(channelId, 9, 8, '11'.repeat(32))] })
  await wallet.live((node) =>
    isRefused(within(node.receivePayment(() => assert.fail('no payment')), 'the end'), 'STATE_CORRUPT', new RegExp(`${channelId}.*store is old`)))
  await wallet.isPayable()
})

test('an error after the channel_reestablish closes the channel, as BOLT 1 asks, and the money is counted on its way out', async (t) => {
  for (const channel of [undefined, ALL]) {
    const { wallet, channelId } = await withHistory(t)
    const before = await mempool()
    const { lightningMsat } = (await wallet.committed()).balance
    await wallet.live(async (node) => {
      await node.startReceiving()
      await wallet.say(error(channel ?? channelId))
      // An error for all channels ends the connection, too, and with it perhaps the node: a later start goes on from there.
      await until(async () => {
        if (node.state === 'idle') await node.start()
        return (await mempool()).length > before.length
      }, 'our commitment in the mempool')
      assert.deepEqual(await node.listChannels(), [])
      await node.stop()
    })
    await lab.post('/mine', { blocks: 1 })
    await wallet.live(async (node) => {
      await node.start()
      const balance = await node.getBalance()
      // The commitment's fee is the LSP's, who opened the channel.
      assert.deepEqual([balance.lightningMsat, balance.pendingCloseSats + balance.onchainSats], [0, Math.floor(lightningMsat / 1_000)])
      await node.stop()
    })
    await wallet.isPayable()
  }
})
