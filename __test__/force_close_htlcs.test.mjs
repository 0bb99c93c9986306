// The LSP force-closes while a payment is under way. What the wallet has claimed it takes from the chain, with the preimage, until
// the HTLC expires; what it has not claimed goes back to the payer. To the satoshi, on both sides.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, test } from 'node:test'
import { FINAL, glance, mine, onlyChannel } from './support/chain.mjs'
import { confirmed, dieOnTheWay, isSpent, mineTo, outputOf, publish, remember, stateThat, states, total } from './support/cheat.mjs'
import { sweepOf, sweptHome } from './support/onchain.mjs'
import { openShop } from './support/shop.mjs'
import { until, within } from './support/until.mjs'

/** What the wallet has in the channel, and what is under way when it is closed. */
const OWNED = 20_000
const HTLC = 30_000
/** The payer waits for as long as it takes to mine until the HTLC expires. */
const PATIENT = { timeoutMs: 300_000, strictCltv: true }

let shop, lab

before(async () => {
  shop = await openShop()
  lab = shop.lab
})
after(() => shop?.close())

const hostile = (rules) => lab.post('/lsp/hostile', rules)

async function paidWallet() {
  const wallet = await shop.wallet()
  await wallet.sell(OWNED * 1000)
  await remember(wallet)
  await mine(wallet, 1)
  return { wallet, channel: await onlyChannel(wallet) }
}

/** The wallet has claimed a payment, and was killed before the LSP heard of it. */
async function claimedUnheard() {
  const { wallet, channel } = await paidWallet()
  const { paying, paymentHash } = await wallet.payUnattended(HTLC * 1000, PATIENT)
  await hostile({ deaf: ['update_fulfill_htlc'] })
  const handler = wallet.start('receive', { hold: true })
  await handler.first('received')
  await handler.kill()
  await hostile({})
  const [{ sat, expiry }] = (await states(wallet)).at(-1).htlcs
  assert.equal(sat, HTLC)
  return { wallet, channel, paying, paymentHash, expiry }
}

/** What the LSP's commitment is, in a block, and its HTLC. */
async function forced(wallet, channel) {
  await lab.post('/lsp/close', { nodeId: wallet.nodeId, force: true })
  const commitment = await channel.spend()
  await confirmed(lab, commitment.txid)
  return { commitment, htlc: outputOf(wallet, commitment, HTLC) }
}

const shows = ({ vin }, paymentHash) =>
  vin.some(({ witness }) => witness.some((item) => createHash('sha256').update(Buffer.from(item, 'hex')).digest('hex') === paymentHash))

/** What the commitment left is swept, for a fee; the rest is there. */
async function assertOnChain(wallet, commitment, sats) {
  await mine(wallet, FINAL)
  const fee = await sweptHome(wallet, commitment, OWNED)
  const { channels, ...money } = await glance(wallet)
  assert.deepEqual({ channels, ...money }, { channels: [], lightningMsat: 0, pendingCloseSats: 0, onchainSats: sats - fee })
}

/** The payment that was claimed is told, once, wherever its money is. */
async function assertTold(wallet, paymentHash) {
  const listening = wallet.start('listen')
  const { event } = await listening.first('event')
  assert.deepEqual([event?.eventType, event?.paymentHash, event?.amountMsat], ['Received', paymentHash, HTLC * 1000])
  listening.go()
  await listening.done()
}

/** What the payer can send through its channels. */
const payerHas = async () => (await lab.get('/payer/channels')).reduce((sum, { outMsat }) => sum + outMsat, 0)

for (const [when, safe] of [['at once', () => 0], ['at the last block before the LSP may time it out', (expiry) => expiry - 1]]) {
  test(`an HTLC that was claimed, unheard, is taken from the LSP's commitment by a wallet that starts ${when}`, async () => {
    const { wallet, channel, paying, paymentHash, expiry } = await claimedUnheard()
    const { commitment, htlc } = await forced(wallet, channel)
    if (safe(expiry) > 0) await mineTo(lab, safe(expiry))
    assert.equal(await isSpent(lab, commitment.txid, htlc.vout), false)
    const seen = await glance(wallet)
    // The LSP's commitment is final by then, or not: what it left is swept.
    const swept = safe(expiry) > 0 ? (await sweepOf(lab, commitment, OWNED)).sweep.fee : 0
    assert.equal(seen.pendingCloseSats + seen.onchainSats, OWNED + HTLC - swept)
    const claim = await htlc.spend()
    assert.ok(shows(claim, paymentHash), 'with the preimage')
    assert.ok((await confirmed(lab, claim.txid)) <= expiry)
    const paid = await within('the payer, from the claim on chain', paying)
    assert.ok(paid.preimage, paid.error)
    await assertOnChain(wallet, commitment, OWNED + total(claim))
    assert.equal(HTLC - total(claim), claim.fee)
    await assertTold(wallet, paymentHash)
    await wallet.sell(31_000_000)
  })
}

test('an HTLC that was claimed, unheard, is lost to a wallet that starts after the LSP has timed it out', async () => {
  const { wallet, channel, paying, paymentHash, expiry } = await claimedUnheard()
  const { commitment, htlc } = await forced(wallet, channel)
  await mineTo(lab, expiry)
  const timeout = await htlc.spend()
  assert.equal(await confirmed(lab, timeout.txid), expiry + 1)
  await mine(wallet, FINAL)
  const failed = await within('the payer, from the time-out on chain', paying)
  assert.ok(failed.error, 'the payer has its money back')
  await assertOnChain(wallet, commitment, OWNED)
  // It was told when it was claimed, with `wakeBy`: that is the promise that was not kept.
  await assertTold(wallet, paymentHash)
})

test('a wallet that is killed at each instant on the way to its claim, and after it, goes on at the start after, also when the mempool forgot', async () => {
  const { wallet, channel, paying, paymentHash } = await claimedUnheard()
  const { commitment, htlc } = await forced(wallet, channel)
  await dieOnTheWay(wallet)
  const killed = wallet.start('listen')
  const first = await htlc.spend()
  assert.equal((await killed.kill()).signal, 'SIGKILL')
  await lab.post('/mempool/evict', { txid: first.txid })
  await glance(wallet)
  const claim = await htlc.spend()
  await confirmed(lab, claim.txid)
  const paid = await within('the payer, from the claim on chain', paying)
  assert.ok(paid.preimage, paid.error)
  await assertOnChain(wallet, commitment, OWNED + total(claim))
  await assertTold(wallet, paymentHash)
})

test('an old state instead of the one with the claimed HTLC costs the LSP the whole channel, and the payer nothing', async () => {
  const { wallet, channel, paying, paymentHash } = await claimedUnheard()
  const old = await stateThat(wallet, ({ clientSat, htlcs }) => clientSat === OWNED && htlcs.length === 0)
  const commitment = await publish(wallet, old)
  await confirmed(lab, commitment.txid)
  const loot = outputOf(wallet, commitment, old.ownSat)
  await glance(wallet)
  const justice = await loot.spend()
  await confirmed(lab, justice.txid)
  await assertOnChain(wallet, commitment, channel.sats - commitment.fee - justice.fee)
  await assertTold(wallet, paymentHash)
  const ended = await within('the payer', paying)
  assert.ok(ended.error ?? ended.preimage)
})

test('an HTLC that is not in the commitment yet that the LSP closes with goes back to the payer as soon as that is final', async () => {
  const { wallet, channel } = await paidWallet()
  const before = await payerHas()
  const { paying } = await wallet.payUnattended(HTLC * 1000, PATIENT)
  const since = process.hrtime.bigint()
  await hostile({ deaf: ['commitment_signed'] })
  const handler = wallet.start('listen')
  await wallet.said(since, 'got', 'commitment_signed')
  await handler.kill()
  await hostile({})
  await lab.post('/lsp/close', { nodeId: wallet.nodeId, force: true })
  const commitment = await channel.spend()
  assert.ok(commitment.vout.every(({ value }) => value !== HTLC))
  await confirmed(lab, commitment.txid)
  await mine(wallet, FINAL)
  const failed = await within('the payer', paying)
  assert.ok(failed.error, 'the payment failed')
  await until('the payer to have all of it again', async () => (await payerHas()) === before)
  await assertOnChain(wallet, commitment, OWNED)
})

test('an HTLC that the wallet never got to claim goes back to the payer when it expires, and nobody loses anything', async () => {
  const { wallet, channel } = await paidWallet()
  const before = await payerHas()
  const { paying } = await wallet.payUnattended(HTLC * 1000, PATIENT)
  await hostile({ mute: ['revoke_and_ack'] })
  const handler = wallet.start('listen')
  await until('the HTLC in the commitment of the LSP', async () => (await states(wallet)).at(-1).htlcs.length === 1)
  await handler.kill()
  await hostile({})
  const { commitment, htlc } = await forced(wallet, channel)
  const seen = await glance(wallet)
  assert.equal(seen.pendingCloseSats + seen.onchainSats, OWNED, 'what is not claimed is not counted')
  await mineTo(lab, (await states(wallet)).at(-1).htlcs[0].expiry)
  const timeout = await htlc.spend()
  await confirmed(lab, timeout.txid)
  await mine(wallet, FINAL)
  const failed = await within('the payer, from the time-out on chain', paying)
  assert.ok(failed.error, 'the payment failed')
  await until('the payer to have all of it again', async () => (await payerHas()) === before)
  await assertOnChain(wallet, commitment, OWNED)
  await wallet.sell(31_000_000)
})
