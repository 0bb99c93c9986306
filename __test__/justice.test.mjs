// The LSP publishes a state that it has revoked, from before the wallet was paid. Whenever the wallet starts within the delay, it
// takes everything: its own money and the thief's. After the delay the thief keeps what it took.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { FINAL, glance, mine, onlyChannel, spendOf } from './support/chain.mjs'
import { DELAY, confirmed, dieOnTheWay, mineTo, outputOf, publish, rate, remember, replaced, stateThat } from './support/cheat.mjs'
import { sweepOf, sweptHome } from './support/onchain.mjs'
import { openShop } from './support/shop.mjs'
import { until } from './support/until.mjs'

/** Esplora's estimates when `soon` sat/vB are paid for the next blocks. */
const prices = (soon) => ({ 1: soon, 6: soon, 12: soon, 144: 2, 1008: 1 })

/** What the wallet had in the state that is published, and what it was paid after that. */
const EARLIER = 20_000
const LATER = 30_000

let shop, lab

before(async () => {
  shop = await openShop()
  lab = shop.lab
})
after(() => shop?.close())

/** A wallet with a confirmed channel that was paid twice, while the LSP kept its old states. */
async function paidWallet() {
  const wallet = await shop.wallet()
  await wallet.sell(EARLIER * 1000)
  await remember(wallet)
  await wallet.sell(LATER * 1000)
  await mine(wallet, 1)
  return { wallet, channel: await onlyChannel(wallet) }
}

/** The state from before the second payment, published and in a block. */
async function robbed() {
  const { wallet, channel } = await paidWallet()
  const old = await stateThat(wallet, ({ clientSat }) => clientSat === EARLIER)
  const commitment = await publish(wallet, old)
  const at = await confirmed(lab, commitment.txid)
  return { wallet, channel, commitment, at, loot: outputOf(wallet, commitment, old.ownSat) }
}

/** Everything that was in the channel is the wallet's, but for what its commitment, `justice` and the sweep paid to miners. */
async function assertAllOurs({ wallet, channel, commitment }, justice) {
  await mine(wallet, FINAL)
  const swept = await sweptHome(wallet, commitment, EARLIER)
  const { channels, ...money } = await glance(wallet)
  assert.deepEqual(channels, [])
  const spent = justice.reduce((sum, { fee }) => sum + fee, commitment.fee + swept)
  assert.deepEqual(money, { lightningMsat: 0, pendingCloseSats: 0, onchainSats: channel.sats - spent })
  assert.ok(money.onchainSats > EARLIER + LATER, 'more than it ever owned: the thief is punished')
}

for (const [when, blocks] of [['in the next block', 0], ['in the last block of the delay in which the thief has no say', DELAY - 2]]) {
  test(`a theft is punished by a wallet that starts ${when}`, async () => {
    const theft = await robbed()
    await mineTo(lab, theft.at + blocks)
    const seen = await glance(theft.wallet)
    assert.deepEqual([seen.lightningMsat, seen.channels], [0, []])
    const justice = await theft.loot.spend()
    const swept = blocks >= FINAL ? (await sweepOf(lab, theft.commitment, EARLIER)).sweep.fee : 0
    assert.equal(seen.pendingCloseSats + seen.onchainSats, theft.channel.sats - theft.commitment.fee - swept, 'all of it is on its way')
    assert.ok((await confirmed(lab, justice.txid)) < theft.at + DELAY)
    await assertAllOurs(theft, [justice])
    await theft.wallet.sell(31_000_000)
  })
}

test('when the thief may spend, too, the wallet outbids it at the price of the day: the last chance, and no promise', async () => {
  const theft = await robbed()
  await mineTo(lab, theft.at + DELAY - 1)
  const sweep = await theft.loot.spend()
  try {
    await lab.post('/fees', prices(10))
    await glance(theft.wallet)
    const justice = await replaced(lab, theft.commitment, theft.loot.vout, sweep.txid)
    await confirmed(lab, justice.txid)
    await assertAllOurs(theft, [justice])
  } finally {
    await lab.post('/fees', {})
  }
})

test('a theft that is found after the delay is lost: the wallet has what the old state left it, and no more', async () => {
  const { wallet, commitment, at, loot } = await robbed()
  await mineTo(lab, at + DELAY - 1)
  const sweep = await loot.spend()
  assert.equal(await confirmed(lab, sweep.txid), at + DELAY)
  await mine(wallet, FINAL)
  const swept = await sweptHome(wallet, commitment, EARLIER)
  const { channels, ...money } = await glance(wallet)
  assert.deepEqual(channels, [])
  assert.deepEqual(money, { lightningMsat: 0, pendingCloseSats: 0, onchainSats: EARLIER - swept })
  await wallet.sell(31_000_000)
})

test('an old HTLC of the thief is taken, too, before and after it has timed it out', async () => {
  for (const timedOut of [false, true]) {
    const { wallet, channel } = await paidWallet()
    const old = await stateThat(wallet, ({ htlcs }) => htlcs.length === 1)
    const [{ sat, expiry }] = old.htlcs
    assert.equal(sat, LATER)
    const commitment = await publish(wallet, old)
    await confirmed(lab, commitment.txid)
    const htlc = outputOf(wallet, commitment, LATER)
    const spent = []
    if (timedOut) {
      // The thief's own side is safe meanwhile: the delay is longer than an HTLC lives.
      await mineTo(lab, expiry)
      const second = await htlc.spend()
      await confirmed(lab, second.txid)
      await glance(wallet)
      const justice = await spendOf(lab, second.txid, 0)
      const rest = await outputOf(wallet, commitment, old.ownSat).spend()
      assert.notEqual(justice.txid, second.txid)
      spent.push(second, ...unique([justice, rest]))
    } else {
      await glance(wallet)
      spent.push(...unique([await htlc.spend(), await outputOf(wallet, commitment, old.ownSat).spend()]))
    }
    await mine(wallet, 1)
    await assertAllOurs({ wallet, channel, commitment }, spent)
  }
})

const unique = (transactions) => [...new Map(transactions.map((one) => [one.txid, one])).values()]

test('a punishment that stays unconfirmed is replaced by a dearer one at each start, as the price rises', async () => {
  const theft = await robbed()
  const { wallet, commitment, loot } = theft
  try {
    await lab.post('/fees', prices(5))
    await glance(wallet)
    let justice = await loot.spend()
    for (const price of [25, 60]) {
      await lab.post('/fees', prices(price))
      await glance(wallet)
      justice = await replaced(lab, commitment, loot.vout, justice.txid)
      // LDK counts the largest signatures.
      assert.ok(rate(justice) >= price && rate(justice) < price * 1.1, `${rate(justice)} sat/vB, not ${price}`)
    }
    await confirmed(lab, justice.txid)
    await assertAllOurs(theft, [justice])
  } finally {
    await lab.post('/fees', {})
  }
})

test('a wallet that is killed between the punishment and its block goes on at its next start, also when the mempool forgot', async () => {
  const theft = await robbed()
  const { wallet, loot } = theft
  const killed = wallet.start('listen')
  const first = await loot.spend()
  assert.equal((await killed.kill()).signal, 'SIGKILL')
  await lab.post('/mempool/evict', { txid: first.txid })
  await glance(wallet)
  const justice = await loot.spend()
  await confirmed(lab, justice.txid)
  await assertAllOurs(theft, [justice])
})

test('a wallet that is killed at each instant on the way to the punishment gets there at the start after', async () => {
  const theft = await robbed()
  await dieOnTheWay(theft.wallet)
  await glance(theft.wallet)
  const justice = await theft.loot.spend()
  await confirmed(lab, justice.txid)
  await assertAllOurs(theft, [justice])
})

test('a thief that answers nobody is punished all the same, although the wallet can\'t start', async () => {
  const theft = await robbed()
  const { wallet, loot } = theft
  await lab.post('/faults', { link: 'lsp', reset: true })
  const node = wallet.node({ timeouts: { lspMs: 3_001, connectMs: 1_000 } })
  try {
    await assert.rejects(node.startReceiving(), { code: 'LSP_UNAVAILABLE' })
    const justice = await loot.spend()
    assert.equal((await node.getBalance()).pendingCloseSats, theft.channel.sats - theft.commitment.fee)
    await confirmed(lab, justice.txid)
  } finally {
    node.destroy()
    await lab.post('/faults', { link: 'lsp', reset: false })
  }
  await assertAllOurs(theft, [await loot.spend()])
})

test('a running wallet sees the theft in a block and punishes it', async () => {
  const { wallet, channel } = await paidWallet()
  const old = await stateThat(wallet, ({ clientSat }) => clientSat === EARLIER)
  const node = wallet.node()
  try {
    await node.startReceiving()
    const commitment = await publish(wallet, old)
    await confirmed(lab, commitment.txid)
    const justice = await outputOf(wallet, commitment, old.ownSat).spend()
    await until('the wallet to see it closed', async () => (await node.listChannels()).length === 0)
    await node.stop()
    await confirmed(lab, justice.txid)
    await assertAllOurs({ wallet, channel, commitment }, [justice])
  } finally {
    node.destroy()
  }
})
