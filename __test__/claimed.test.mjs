// Claimed is not fulfilled. The wallet has committed a preimage, ends, and the LSP has not heard of it; nobody calls the webhook again,
// and blocks are mined. When a cron's watch() comes in time, the money is the wallet's: off chain while the LSP can still be told, on
// chain when it can't. To the last block at which it works, and one beyond, where it is lost, as docs/guarantees.md says.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { onlyChannel, spendOf, transaction } from './support/chain.mjs'
import { BRIEF, CLOSES, HTLC, LSP_CLOSES, SATS, WAKE_BY, claimed, comesBack, look, mineTo, reachable, told, unreachable, watch } from './support/claimed.mjs'
import { rejection } from './support/life.mjs'
import { assertProof, assertSettled, openShop } from './support/shop.mjs'
import { within } from './support/until.mjs'

/** The most that a claim and a sweep of it cost, at the lab's fees. */
const FEES = 3_000

let shop, lab
before(async () => {
  shop = await openShop()
  lab = shop.lab
})
after(() => shop?.close())

async function without(body) {
  await unreachable(lab)
  try {
    return await body()
  } finally {
    await reachable(lab)
  }
}

/** The LSP has been told: the payer has its proof, the channel lives on, the payment is told once. */
async function paidOffChain({ wallet, paying, paymentHash }, report) {
  assert.deepEqual([report.lsp, report.closedChannels, report.sent, report.wakeBy], ['reached', [], [], undefined])
  assertProof(await within('the payer', paying), paymentHash)
  assert.deepEqual((await told(wallet)).map((event) => event.paymentHash), [paymentHash])
  await assertSettled(wallet, { msat: (SATS + HTLC) * 1000 })
  assert.equal((await look(wallet)).wakeBy, null)
  await wallet.sell(1_000_000)
}

/** Both transactions are with the network: the wallet's commitment, and the claim of the HTLC in it. */
async function closesAndClaims({ wallet, expiry }, channel, report) {
  assert.deepEqual(report.closedChannels, [channel.channelId])
  assert.deepEqual([report.sent.length, report.unsent], [2, []])
  const commitment = await channel.spend()
  assert.ok(report.sent.includes(commitment.txid))
  const output = commitment.vout.findIndex(({ value }) => value === HTLC)
  const claim = await spendOf(lab, commitment.txid, output)
  assert.ok(report.sent.includes(claim.txid))
  assert.equal(report.wakeBy.height, report.height + 1, 'until both are in a block, each block counts')
  assert.equal(report.nextBy.height, report.height + 1)
  assert.equal((await look(wallet)).wakeBy.height, report.wakeBy.height, 'any process can read it')
  assert.ok(report.height < expiry + LSP_CLOSES)
}

/** It came by the chain, and the payer has its proof from there. */
async function paidOnChain({ wallet, paying, paymentHash }) {
  // One block, and no more before the LSP has passed the preimage on: it must do so before its own HTLC expires.
  await lab.post('/mine', { blocks: 1 })
  assertProof(await within('the payer, from the claim on chain', paying), paymentHash)
  const onchain = await comesBack(wallet)
  assert.ok(onchain > SATS + HTLC - FEES && onchain <= SATS + HTLC, `${onchain} sat`)
  assert.deepEqual((await told(wallet)).map((event) => event.paymentHash), [paymentHash])
  assert.equal((await look(wallet)).wakeBy, null)
  await wallet.sell(30_000_000)
}

for (const end of ['kill', 'destroy']) {
  test(`a watch in the last block before wakeBy tells the LSP, and the channel lives on (${end})`, async () => {
    const payment = await claimed(shop, { end })
    await mineTo(lab, payment.wakeBy.height - 1)
    await paidOffChain(payment, await watch(payment.wallet))
  })
}

test('to the last block before the close is due the LSP can be told', async () => {
  const payment = await claimed(shop)
  await mineTo(lab, payment.expiry - CLOSES - 1)
  await paidOffChain(payment, await watch(payment.wallet))
})

test('with the LSP away before wakeBy nothing is closed, nothing lost, and the next watch in time settles it', async () => {
  const payment = await claimed(shop)
  await mineTo(lab, payment.wakeBy.height - 1)
  const report = await without(() => watch(payment.wallet))
  assert.deepEqual([report.lsp, report.closedChannels, report.sent], ['unreachable', [], []])
  assert.equal(report.wakeBy.height, payment.expiry - WAKE_BY)
  assert.equal(report.nextBy.height, report.wakeBy.height)
  await paidOffChain(payment, await watch(payment.wallet))
})

test('with the LSP away the wallet closes in the block in which that is due, and claims on chain', async () => {
  const payment = await claimed(shop)
  const channel = await onlyChannel(payment.wallet)
  await mineTo(lab, payment.expiry - CLOSES)
  const report = await without(() => watch(payment.wallet))
  assert.equal(report.lsp, 'unreachable')
  await closesAndClaims(payment, channel, report)
  await paidOnChain(payment)
})

test('a start that is due to close, and does not find the LSP, fails and has claimed on chain', async () => {
  const payment = await claimed(shop)
  const channel = await onlyChannel(payment.wallet)
  await mineTo(lab, payment.expiry - CLOSES)
  await without(async () => {
    const node = payment.wallet.node({ timeouts: BRIEF })
    try {
      assert.equal((await rejection(node.start())).code, 'LSP_UNAVAILABLE')
    } finally {
      node.destroy()
    }
  })
  const commitment = await channel.spend()
  await spendOf(lab, commitment.txid, commitment.vout.findIndex(({ value }) => value === HTLC))
  await paidOnChain(payment)
})

test('with the LSP there the close waits for its word only', async () => {
  const payment = await claimed(shop)
  const channel = await onlyChannel(payment.wallet)
  await mineTo(lab, payment.expiry - CLOSES)
  // So long that the time can't be what let it go.
  const report = await watch(payment.wallet, { lspMs: 600_000 })
  assert.equal(report.lsp, 'reached')
  await closesAndClaims(payment, channel, report)
  await paidOnChain(payment)
})

test('an LSP that is there and says nothing of the channel counts as away after the time', async () => {
  const payment = await claimed(shop)
  const channel = await onlyChannel(payment.wallet)
  await mineTo(lab, payment.expiry - CLOSES)
  await lab.post('/lsp/hostile', { mute: ['channel_reestablish'] })
  let report
  try {
    report = await watch(payment.wallet)
  } finally {
    await lab.post('/lsp/hostile', {})
  }
  assert.equal(report.lsp, 'reached')
  assert.ok(report.durationMs >= BRIEF.lspMs, `${report.durationMs} ms`)
  await closesAndClaims(payment, channel, report)
  await paidOnChain(payment)
})

test('the last block at which a claim works is the last one before the LSP closes; the LSP is not waited for longer than one attempt', async () => {
  const payment = await claimed(shop)
  const channel = await onlyChannel(payment.wallet)
  await mineTo(lab, payment.expiry + LSP_CLOSES - 1)
  const report = await without(() => watch(payment.wallet, { ...BRIEF, lspMs: 600_000 }))
  await closesAndClaims(payment, channel, report)
  await paidOnChain(payment)
})

test('one block later the LSP takes the HTLC back, and a watch that comes then finds the rest', async () => {
  const payment = await claimed(shop)
  const { wallet, paying } = payment
  const channel = await onlyChannel(wallet)
  await mineTo(lab, payment.expiry + LSP_CLOSES)
  const commitment = await channel.spend()
  const output = commitment.vout.findIndex(({ value }) => value === HTLC)
  await spendOf(lab, commitment.txid, output)
  await lab.post('/mine', { blocks: 1 })
  assert.equal((await transaction(lab, commitment.txid)).status.confirmed, true)
  const report = await watch(wallet)
  assert.deepEqual(report.closedChannels, [channel.channelId])
  const onchain = await comesBack(wallet)
  assert.ok(onchain > SATS - FEES && onchain <= SATS, `${onchain} sat: the payment is lost`)
  assert.match((await within('the payer', paying)).error, /./, 'the payer has its money back')
  assert.deepEqual((await told(wallet)).map((event) => event.paymentHash), [payment.paymentHash], 'it was told when it was claimed')
})
