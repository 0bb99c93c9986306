// What a forced close leaves is swept to an address of the wallet by whatever start comes next, to the satoshi: after a delay, with
// the LSP gone, at the price of the day, and although processes die, broadcasts get lost and blocks are reorganised.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { FINAL, esplora, glance, mine, onlyChannel, paidWallet, spendOf, transaction } from './support/chain.mjs'
import { ELSEWHERE, assertMoney, paidTo, sweepOf } from './support/onchain.mjs'
import { openShop } from './support/shop.mjs'
import { rejects } from './support/refused.mjs'
import { within } from './support/until.mjs'

const SATS = 20_000
/** Blocks that the lab's LSP makes us wait after a close of our own. */
const OUR_DELAY = 144

let shop, lab

before(async () => {
  shop = await openShop()
  lab = shop.lab
})
after(() => shop?.close())

const feeRate = ({ fee, weight }) => fee / (weight / 4)
const prices = (rate) => lab.post('/fees', { 1: rate, 6: rate, 12: rate, 144: rate, 1008: rate })

/** The LSP's commitment is final, and the wallet does not know of it. */
async function closedByLsp() {
  const { wallet, channel } = await paidWallet(shop, SATS)
  await lab.post('/lsp/close', { nodeId: wallet.nodeId, force: true })
  const { txid } = await channel.spend()
  await mine(wallet, FINAL)
  return { wallet, commitment: await transaction(lab, txid) }
}

async function withNode(wallet, call, more) {
  const node = wallet.node(more)
  try {
    return await call(node)
  } finally {
    node.destroy()
  }
}

/** The sweep's block, and then so many that it is final: the coin is counted all the while. */
async function arrives(wallet, sweep) {
  await mine(wallet, 1)
  const { status, vout } = await transaction(lab, sweep.txid)
  assert.ok(status.confirmed)
  await assertMoney(wallet, { onchainSats: vout[0].value })
  await mine(wallet, FINAL)
  await assertMoney(wallet, { onchainSats: vout[0].value })
}

for (const [how, away] of [['that the LSP hears of', undefined], ['of an LSP that is gone', { lspAddress: '127.0.0.1:1', timeouts: { lspMs: 500 } }]]) {
  test(`a forced close of ours ${how} comes back after its delay, in starts that come later`, async () => {
    const { wallet, channel } = await paidWallet(shop, SATS)
    await withNode(wallet, (node) => node.closeChannel(channel.channelId, { force: true }), away)
    const { txid } = await channel.spend()
    await assertMoney(wallet, { pendingCloseSats: SATS })
    await mine(wallet, OUR_DELAY - 1)
    const commitment = await transaction(lab, txid)
    assert.ok(commitment.status.confirmed)
    await assertMoney(wallet, { pendingCloseSats: SATS })
    await mine(wallet, 1)
    const swept = await glance(wallet)
    const { sweep, sats } = await sweepOf(lab, commitment, SATS)
    assert.equal(sweep.vin[0].sequence, OUR_DELAY)
    assert.deepEqual([swept.pendingCloseSats, swept.onchainSats, sats + sweep.fee], [sats, 0, SATS])
    // The LSP opened: its side alone paid for the commitment.
    assert.equal(commitment.vout.reduce((sum, { value }) => sum + value, commitment.fee), channel.sats)
    await arrives(wallet, sweep)
  })
}

test('webhook handlers alone sweep what a close left', async () => {
  const { wallet, commitment } = await closedByLsp()
  await wallet.sell(30_000_000)
  const { sweep, sats } = await sweepOf(lab, commitment, SATS)
  assert.ok(feeRate(sweep) >= 1 && feeRate(sweep) < 1.1, `${feeRate(sweep)} sat/vB`)
  await mine(wallet, 1)
  await wallet.sell(30_000_000)
  const { onchainSats, pendingCloseSats } = await withNode(wallet, (node) => node.getBalance())
  assert.deepEqual([onchainSats, pendingCloseSats], [sats, 0])
})

test('watch() sweeps, and says what it sent', async () => {
  const { wallet, commitment } = await closedByLsp()
  const report = await withNode(wallet, (node) => node.watch())
  const { sweep, sats } = await sweepOf(lab, commitment, SATS)
  assert.deepEqual([report.sent, report.pendingCloseSats], [[sweep.txid], sats])
  await mine(wallet, 1)
  const settled = await withNode(wallet, (node) => node.watch())
  assert.deepEqual([settled.sent, settled.onchainSats], [[], sats])
})

test('a sweep is replaced by one that pays the price of the day, to the same address', async () => {
  const { wallet, commitment } = await closedByLsp()
  await glance(wallet)
  const first = await sweepOf(lab, commitment, SATS)
  try {
    for (const rate of [5, 20]) {
      await prices(rate)
      const seen = await glance(wallet)
      const { sweep, sats } = await sweepOf(lab, commitment, SATS)
      assert.ok(feeRate(sweep) > rate - 0.01 && feeRate(sweep) < rate * 1.1, `${feeRate(sweep)} sat/vB, not ${rate}`)
      assert.equal(sweep.vout[0].scriptpubkey, first.sweep.vout[0].scriptpubkey)
      assert.equal(seen.pendingCloseSats, sats)
    }
    // A little dearer is not worth it, and would not be taken.
    const before = await sweepOf(lab, commitment, SATS)
    await prices(21)
    await glance(wallet)
    assert.equal((await sweepOf(lab, commitment, SATS)).sweep.txid, before.sweep.txid)
    await arrives(wallet, before.sweep)
  } finally {
    await prices(1)
  }
})

test('a sweep that no block takes for twelve blocks pays more, whatever the estimates say', async () => {
  const { wallet, commitment } = await closedByLsp()
  await glance(wallet)
  const { sweep: first } = await sweepOf(lab, commitment, SATS)
  await lab.post('/mempool/evict', { txid: first.txid })
  await mine(wallet, 11)
  await glance(wallet)
  assert.equal((await sweepOf(lab, commitment, SATS)).sweep.txid, first.txid, 'sent again, as it was')
  await lab.post('/mempool/evict', { txid: first.txid })
  await mine(wallet, 1)
  await glance(wallet)
  const { sweep } = await sweepOf(lab, commitment, SATS)
  assert.ok(feeRate(sweep) > feeRate(first) + 1, `${feeRate(first)} → ${feeRate(sweep)} sat/vB`)
  await arrives(wallet, sweep)
})

test('whichever version of a sweep gets its block, the money is counted once', async () => {
  const { wallet, commitment } = await closedByLsp()
  await glance(wallet)
  const { sweep: first } = await sweepOf(lab, commitment, SATS)
  const hex = await (await esplora(lab, `/tx/${first.txid}/hex`)).text()
  try {
    await prices(10)
    await glance(wallet)
    const { sweep: second } = await sweepOf(lab, commitment, SATS)
    assert.notEqual(second.txid, first.txid)
    await lab.post('/mempool/evict', { txid: second.txid })
    await esplora(lab, '/tx', { method: 'POST', body: hex })
    await arrives(wallet, first)
  } finally {
    await prices(1)
  }
})

/** What LDK tells is committed first, then the sweep; a later start finds it and sends it again. */
const ON_THE_WAY = ['BeforeCommit:1', 'BeforeCommit:2', 'AfterCommitBeforeRelease:1', 'BeforeBroadcast:1', 'AfterReleaseBeforeSend:1']

test('a wallet that is killed at each instant on the way to its sweep, and after it, loses nothing and sweeps once', async () => {
  const { wallet, commitment } = await closedByLsp()
  for (const point of ON_THE_WAY) {
    const killed = wallet.start('listen', {}, {}, { failpoint: `${point}:kill` })
    assert.equal((await within(`${killed} to die`, killed.exited)).signal, 'SIGKILL', point)
  }
  const killed = wallet.start('listen')
  const { sweep, sats } = await sweepOf(lab, commitment, SATS)
  assert.equal((await killed.kill()).signal, 'SIGKILL')
  await lab.post('/mempool/evict', { txid: sweep.txid })
  const seen = await glance(wallet)
  assert.equal((await sweepOf(lab, commitment, SATS)).sweep.txid, sweep.txid, 'the same as before')
  assert.deepEqual([seen.pendingCloseSats, seen.onchainSats], [sats, 0])
  await arrives(wallet, sweep)
})

test('a sweep whose block is reorganised away is on its way again, and counted once', async () => {
  const { wallet, commitment } = await closedByLsp()
  await glance(wallet)
  const { sweep, sats } = await sweepOf(lab, commitment, SATS)
  await mine(wallet, 2)
  await assertMoney(wallet, { onchainSats: sats })
  await lab.post('/reorg', { depth: 2, transactions: 'dropped' })
  await assertMoney(wallet, { pendingCloseSats: sats })
  assert.equal((await spendOf(lab, commitment.txid, sweep.vin[0].vout)).txid, sweep.txid)
  await arrives(wallet, sweep)
})

test('two closes are swept together, and what both bring is sent on in one transaction', async () => {
  const { wallet, channel } = await paidWallet(shop, SATS)
  await lab.post('/lsp/close', { nodeId: wallet.nodeId, force: true })
  const first = await channel.spend()
  await mine(wallet, 1)
  await wallet.sell(30_000_000)
  await mine(wallet, 1)
  const again = await onlyChannel(wallet)
  await lab.post('/lsp/close', { nodeId: wallet.nodeId, force: true })
  const second = await again.spend()
  await mine(wallet, FINAL)
  await glance(wallet)
  const { sweep, sats } = await sweepOf(lab, first, SATS)
  assert.equal((await sweepOf(lab, second, 30_000)).sweep.txid, sweep.txid)
  assert.equal(sats + sweep.fee, SATS + 30_000)
  await mine(wallet, 1)
  const sent = await withNode(wallet, (node) => node.sendAllOnchain(ELSEWHERE))
  assert.equal(sent.amountSats + sent.feeSats, sats)
  assert.equal(paidTo(await transaction(lab, sent.txid), ELSEWHERE), sent.amountSats)
  await assertMoney(wallet, {})
})

test('what Esplora refuses or does not answer is no loss: a refused send is none, one that got lost goes out later', async () => {
  const { wallet, commitment } = await closedByLsp()
  await lab.post('/esplora', { lie: 'rejectTx' })
  const refused = await glance(wallet)
  await lab.post('/esplora', { lie: null })
  await glance(wallet)
  const { sweep, sats } = await sweepOf(lab, commitment, SATS)
  assert.deepEqual([refused.pendingCloseSats, refused.onchainSats], [sats, 0])
  await arrives(wallet, sweep)

  await lab.post('/esplora', { lie: 'rejectTx' })
  await rejects(() => withNode(wallet, (node) => node.sendAllOnchain(ELSEWHERE)), 'CHAIN_UNAVAILABLE')
  await lab.post('/esplora', { lie: null })
  await assertMoney(wallet, { onchainSats: sats })

  const kept = await withNode(wallet, (node) => node.sendAllOnchain(ELSEWHERE))
  await lab.post('/mempool/evict', { txid: kept.txid })
  await assertMoney(wallet, {})
  assert.equal(paidTo(await transaction(lab, kept.txid), ELSEWHERE), kept.amountSats)
})
