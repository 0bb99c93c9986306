// An LSP that opens channels nobody asked for. A 0-conf channel with nothing in it costs the wallet little, and no money: what is
// refused is what would hurt later, or what grows without end.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startLab } from '../scripts/support/lab.mjs'
import { setLogListener } from '../index.mjs'
import { PATIENCE_MS, receiveOne, until } from './support/life.mjs'
import { besieged } from './support/siege.mjs'

let lab
before(async () => (lab = await startLab()))
after(() => lab.stop())

/** The LSP opens; resolves when each is refused or usable: with how many were refused, and the channels that came of the rest. */
async function opened(wallet, more = {}, openChannel = {}) {
  const [before, since] = [await wallet.channels(), process.hrtime.bigint()]
  await wallet.hostile({ openChannel })
  await wallet.open(more)
  const outcome = await until(async () => {
    const messages = await lab.get(`/messages?since=${since}`)
    const refused = messages.filter(({ direction, peer, type }) => direction === 'got' && peer === wallet.nodeId && type === 'error').length
    const channels = (await wallet.channels()).filter(({ channelId }) => !before.some((known) => known.channelId === channelId))
    const open = channels.filter(({ usable }) => usable).length
    return refused + open >= (more.count ?? 1) && { refused, channels }
  }, 'the answers to open_channel')
  await wallet.hostile({})
  return outcome
}

/** What each would cost is in core/src/node/channel_policy.rs; the last ones are LDK's own limits. */
const REFUSED = {
  'money pushed into it': [{ pushMsat: 5_000_000 }, {}],
  'one millisatoshi pushed into it': [{ pushMsat: 1 }, {}],
  'a channel to be announced': [{ announced: true }, {}],
  'a reserve of nearly all of it': [{}, { channelReserveSat: 90_000 }],
  'a reserve of a bit over a twentieth': [{}, { channelReserveSat: 5_001 }],
  'no payment out below half of it': [{}, { htlcMinimumMsat: 50_000_000 }],
  'no payment out at all': [{}, { htlcMinimumMsat: 99_999_999_999 }],
  'no HTLC out at all': [{}, { maxAcceptedHtlcs: 0 }],
  'more HTLCs than a commitment can hold': [{}, { maxAcceptedHtlcs: 484 }],
  'our own money locked for 65,535 blocks after a close': [{}, { toSelfDelay: 65_535 }],
  'a dust limit of the whole channel': [{}, { dustLimitSat: 100_000 }],
  'a dust limit below what is relayed': [{}, { dustLimitSat: 1 }],
  'a fee rate that eats the channel': [{}, { feeratePerKw: 4_000_000_000 }],
  'a fee rate that is never mined': [{}, { feeratePerKw: 1 }],
  'all bitcoin there are': [{}, { fundingSat: 2_100_000_000_000_000 }],
  'a channel too small for its own reserve': [{ sats: 1_000 }, {}],
}

test('a channel that would cost the wallet is refused with a reason, in the log and to the LSP; nothing is stored', async (t) => {
  const wallet = await besieged(t, lab)
  const log = []
  setLogListener(({ level, message, fields }) => log.push(`${level} ${message} ${fields?.reason ?? ''}`), 'warn')
  t.after(() => setLogListener(null))
  await wallet.withstands(async (node) => {
    await node.startReceiving()
    for (const [what, [more, fields]] of Object.entries(REFUSED)) {
      assert.deepEqual(await opened(wallet, more, fields), { refused: 1, channels: [] }, what)
    }
    assert.equal(node.state, 'running')
    await node.stop()
  })
  for (const reason of [/push_msat is 1:/, /not announced/, /channel_reserve_satoshis is 5001: at most 5000/, /htlc_minimum_msat is 50000000/]) {
    assert.ok(log.some((line) => reason.test(line)), `${reason} in ${log.join('\n')}`)
  }
})

test('a channel with nothing behind it is taken, and is used by the next payment', async (t) => {
  const wallet = await besieged(t, lab, { warm: false })
  await wallet.live(async (node) => {
    await node.startReceiving()
    const { channels } = await opened(wallet, { sats: 200_000 })
    assert.equal(channels.length, 1)
    await receiveOne(lab, node, 150_000_000)
    assert.deepEqual((await wallet.channels()).map(({ channelId }) => channelId), [channels[0].channelId])
    await node.stop()
  })
})

test('a flood of channels ends at eight that nothing was received through, and a payment still arrives', async (t) => {
  const wallet = await besieged(t, lab, { warm: false })
  await wallet.live(async (node) => {
    await node.startReceiving()
    let refused = 0
    for (let wave = 0; wave < 5; wave++) {
      refused += (await opened(wallet, { count: 20 })).refused
    }
    assert.ok(refused > 0)
    assert.equal((await wallet.channels()).length, 8)
    assert.equal((await node.listChannels()).length, 8)
    await receiveOne(lab, node, 21_000)
    // One of them is in use now: there is room for one more, and no second.
    await node.startReceiving()
    const { refused: second, channels } = await opened(wallet, { count: 2 })
    assert.deepEqual([second, channels.length], [1, 1])
    await node.stop()
  })
  await wallet.isPayable()
})

test('a payment that needs a channel on terms that are refused fails at the payer in the hold time, and the next honest one arrives', async (t) => {
  const wallet = await besieged(t, lab, { warm: false })
  await lab.post('/lsp/options', { holdMs: 1_500 })
  t.after(() => lab.post('/lsp/options', { holdMs: 45_000 }))
  await wallet.withstands(async (node) => {
    await node.startReceiving()
    await wallet.hostile({ openChannel: { channelReserveSat: 60_000 } })
    const { bolt11 } = await node.getInvoice(21_000, 'x', 900)
    const paid = await lab.pay(bolt11, PATIENCE_MS)
    assert.equal(paid.preimage, undefined)
    assert.equal(await node.nextEvent(), null)
    await node.stop()
  })
})
