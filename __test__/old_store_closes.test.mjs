// A store rolled back by hand, and a chain that makes LDK close the channel before the LSP has said a word: the commitment of the old
// state is revoked, and publishing it would cost the whole channel.

import assert from 'node:assert/strict'
import { cpSync, rmSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { onlyChannel } from './support/chain.mjs'
import { CLOSES, HTLC, SATS, claimed, mineTo, told, watch } from './support/claimed.mjs'
import { rejection } from './support/life.mjs'
import { assertSettled, openShop } from './support/shop.mjs'
import { until } from './support/until.mjs'

/** What tells the LSP nothing of the wallet's state. */
const SILENT = new Set(['init', 'ping', 'pong', 'warning'])

let shop, lab
before(async () => {
  shop = await openShop()
  lab = shop.lab
})
after(() => shop?.close())

const CALLS = {
  watch: (node) => node.watch(),
  start: async (node) => {
    await node.start()
    // The LSP may speak of the channel a moment after it is connected.
    await node.startReceiving()
  },
  startReceiving: (node) => node.startReceiving(),
  // What it was told before the store was copied, it is told again.
  receivePayment: (node) => node.receivePayment(() => {}),
}

test('an old store that has to close its channel is STATE_CORRUPT: nothing goes out, and the newest store goes on', async () => {
  const { wallet, expiry } = await claimed(shop)
  const path = wallet.options.store.slice('file:'.length)
  const copy = (from, to) => {
    rmSync(to, { recursive: true, force: true })
    cpSync(from, to, { recursive: true })
  }
  copy(path, `${path}.old`)
  assert.equal((await watch(wallet)).lsp, 'reached')
  assert.equal((await told(wallet)).length, 1)
  await wallet.sell(1_000_000)
  await wallet.sell(2_000_000)
  copy(path, `${path}.newest`)
  await mineTo(lab, expiry - CLOSES)
  const [channel, { mempool }] = [await onlyChannel(wallet), await lab.get('/chain')]

  for (const [name, call] of Object.entries(CALLS)) {
    copy(`${path}.old`, path)
    // The close is committed by the first and found by the second.
    for (const time of ['first', 'second']) {
      const what = `${name}, ${time} time`
      const since = process.hrtime.bigint()
      const node = wallet.node()
      try {
        const error = await rejection(() => call(node), what)
        assert.equal(error.code, 'STATE_CORRUPT', `${what}: ${error.message}`)
        assert.match(error.message, /older than.*bring the newest store back/)
      } finally {
        node.destroy()
      }
      await until('the LSP to see it leave', async () => !(await lab.get('/lsp/peers')).includes(wallet.nodeId))
      const heard = (await lab.get(`/messages?since=${since}`)).filter((m) => m.direction === 'got' && m.peer === wallet.nodeId)
      assert.deepEqual(heard.map(({ type }) => type).filter((type) => !SILENT.has(type)), [], what)
      assert.deepEqual((await lab.get('/chain')).mempool, mempool, what)
    }
  }

  copy(`${path}.newest`, path)
  await wallet.sell(1_000_000)
  await assertSettled(wallet, { msat: (SATS + HTLC) * 1000 + 4_000_000, channelId: channel.channelId })
})
