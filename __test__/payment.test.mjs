// The main job: an invoice is minted, the LSP's webhook wakes a process, the payment is claimed, the process is gone.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { isSignedBy, readInvoice } from './support/bolt11.mjs'
import { withAmount } from './support/forge.mjs'
import { openShop } from './support/shop.mjs'

let shop, lab

before(async () => {
  shop = await openShop()
  lab = shop.lab
})
after(() => shop?.close())

const sha256 = (hex) => createHash('sha256').update(Buffer.from(hex, 'hex')).digest('hex')

/** What an LSP keeps at that rate: rounded up. */
const skimOf = (amountMsat, ppm) => Math.ceil((amountMsat * ppm) / 1_000_000)

async function withSkim(skimPpm, body) {
  await lab.post('/lsp/options', { skimPpm })
  try {
    return await body()
  } finally {
    await lab.post('/lsp/options', { skimPpm: 0 })
  }
}

test('a webhook wakes a process of its own which claims, first through a new channel and then through the one that is there', async () => {
  const wallet = await shop.wallet()
  for (const [amountMsat, opened] of [[21_000, 0], [1_000_001, 1], [42_000, 1]]) {
    assert.equal((await wallet.channels()).length, opened)
    const sold = await wallet.sell(amountMsat)
    assert.equal(sold.eventType, 'Received')
    assert.equal(sold.amountMsat, amountMsat)
    assert.equal(sold.skimmedMsat ?? 0, 0)
    assert.equal(sha256(sold.preimage), sold.paymentHash)
    assert.equal(sold.handler.all('payments')[0].wakeBy, null, 'fulfilled and revoked: nothing to wake for')
    assert.deepEqual(sold.handler.all('ended')[0].lastDestroy.unfinished, [])
  }
  assert.equal(wallet.woken, 3)
  const [channel, ...more] = await wallet.channels()
  assert.equal(more.length, 0)
  assert.equal(channel.pendingHtlcs, 0)
})

test('a payment is claimed by a node started later, from a store that never saw the invoice', async () => {
  const wallet = await shop.wallet()
  // Minted by an instance whose store is elsewhere and never comes to be; all they share is the environment.
  const minting = wallet.node({ store: `file:${join(shop.folder, 'minted-here', 'and-never-made')}` })
  const { bolt11, paymentHash } = await minting.getInvoice(77_000, 'Minted elsewhere', 900)
  minting.destroy()
  wallet.serveWebhooks()
  const paid = await lab.pay(bolt11)
  assert.equal(sha256(paid.preimage ?? ''), paymentHash, paid.error)
  await wallet.handlers[0].done()
  assert.deepEqual(
    wallet.handlers[0].all('received').map(({ payment }) => [payment.paymentHash, payment.amountMsat]),
    [[paymentHash, 77_000]],
  )
})

test('the payer chooses the amount of an invoice without one', async () => {
  const wallet = await shop.wallet()
  const node = wallet.node()
  const { bolt11 } = await node.getVariableAmountJitInvoice('A gift', 900)
  node.destroy()
  wallet.serveWebhooks()
  const paid = await lab.post('/pay', { bolt11, amountMsat: 123_456 })
  assert.ok(paid.preimage, paid.error)
  await wallet.handlers[0].done()
  const [{ payments }] = wallet.handlers[0].all('payments')
  assert.deepEqual(payments.map(({ amountMsat }) => amountMsat), [123_456])
})

test('a payer who pays less than the invoice asks for is refused, and the invoice can still be paid', async () => {
  const wallet = await shop.wallet()
  await wallet.sell(50_000)
  const { bolt11, paymentHash } = await wallet.invoice(20_000)
  const cheaper = withAmount(bolt11, '100n', wallet.options.mnemonic)
  assert.deepEqual([readInvoice(cheaper).amount, isSignedBy(cheaper, wallet.nodeId)], ['10000', true])
  let handler
  wallet.onWebhook = () => (handler = wallet.start('listen'))
  const cheated = await lab.pay(cheaper)
  assert.equal(cheated.preimage, undefined)
  assert.equal(wallet.woken, 2, 'it came as far as to us')
  assert.deepEqual(handler.all('event'), [])
  const paid = await lab.pay(withAmount(bolt11, '200n', wallet.options.mnemonic))
  assert.ok(paid.preimage, paid.error)
  const { event } = await handler.first('event')
  assert.deepEqual([event.eventType, event.paymentHash, event.amountMsat], ['Received', paymentHash, 20_000])
  handler.go()
  await handler.done()
  assert.equal(handler.all('stopped')[0].balance.lightningMsat, 70_000)
})

test('wallets that are paid for the first time at the same instant all get their channel and their payment', async () => {
  const wallets = await Promise.all(Array.from({ length: 5 }, () => shop.wallet()))
  const amounts = await Promise.all(wallets.map(async (wallet) => (await wallet.sell(64_000, { pay: { timeoutMs: 15_000 } })).amountMsat))
  assert.deepEqual(amounts, wallets.map(() => 64_000))
})

test('a skim within the limit is accepted on the first payment and, in fresh processes, on an existing channel', async () => {
  const wallet = await shop.wallet()
  await withSkim(20_000, async () => {
    // The second and third come through a channel whose skim acceptance LDK does not persist.
    for (const amountMsat of [500_000, 100_001, 77_777]) {
      const sold = await wallet.sell(amountMsat)
      const skimmed = skimOf(amountMsat, 20_000)
      assert.deepEqual([sold.amountMsat, sold.skimmedMsat], [amountMsat - skimmed, skimmed])
    }
  })
  assert.equal((await wallet.channels()).length, 1)
})

test('a skim that begins after the channel was opened without one is accepted', async () => {
  const wallet = await shop.wallet()
  await wallet.sell(200_000)
  await withSkim(20_000, async () => {
    for (const amountMsat of [300_000, 50_000]) {
      const sold = await wallet.sell(amountMsat)
      assert.equal(sold.skimmedMsat, skimOf(amountMsat, 20_000))
    }
  })
})

test('a skim above maxSkimPpm is refused with an event, cold and warm, and the payer gets the money back', async () => {
  const wallet = await shop.wallet()
  const refusedOnce = async () => {
    const { bolt11, paymentHash } = await wallet.invoice(100_000)
    let handler
    wallet.onWebhook = () => (handler = wallet.start('listen'))
    const paid = await lab.pay(bolt11)
    assert.equal(paid.preimage, undefined)
    const { event } = await handler.first('event')
    assert.equal(event.eventType, 'SkimRefused')
    assert.equal(event.paymentHash, paymentHash)
    assert.equal(event.skimmedMsat, 5_000)
    assert.match(event.reason, /5000 msat.*maxSkimPpm.*3000/)
    handler.go()
    await handler.done()
    return handler.all('stopped')[0].balance
  }
  await withSkim(50_000, async () => assert.equal((await refusedOnce()).lightningMsat, 0))
  await wallet.sell(100_000)
  await withSkim(50_000, async () => assert.equal((await refusedOnce()).lightningMsat, 100_000))
  // The user's word: the same skim is fine for who allows it.
  await withSkim(50_000, async () => {
    const sold = await wallet.sell(100_000, { more: { maxSkimPpm: 50_000 } })
    assert.deepEqual([sold.amountMsat, sold.skimmedMsat], [95_000, 5_000])
  })
})

test('two blocks mined between payment and wake do not fail a payment whose CLTV has no padding, cold and warm', async () => {
  const wallet = await shop.wallet()
  for (const amountMsat of [60_000, 61_000]) {
    const { paymentHash, paying } = await wallet.payUnattended(amountMsat, { strictCltv: true })
    await lab.post('/mine', { blocks: 2 })
    const handler = wallet.start('receive')
    const paid = await paying
    assert.equal(sha256(paid.preimage ?? ''), paymentHash, paid.error)
    await handler.done()
    assert.equal(handler.all('received')[0].payment.amountMsat, amountMsat)
  }
})

test('three payments at once wake three processes: one receives all, the others say that the wallet is held, and by whom', async () => {
  for (const warm of [false, true]) {
    const wallet = await shop.wallet()
    if (warm) await wallet.sell(50_000)
    const invoices = await Promise.all([31_000, 32_000, 33_000].map((amountMsat) => wallet.invoice(amountMsat)))
    const handlers = []
    const before = wallet.woken
    const more = { lease: { attempts: 2, baseDelayMs: 20 } }
    // All three wait at the LSP before anyone comes: otherwise a fast first handler would spare the third webhook.
    wallet.onWebhook = () => {
      if (wallet.woken - before < 3) return
      for (let i = 0; i < 3; i++) handlers.push(wallet.start('receive', { hold: true }, more))
    }
    const paying = invoices.map(({ bolt11 }) => lab.pay(bolt11))
    const results = await Promise.all(paying)
    for (const { preimage, error } of results) assert.ok(preimage, error)

    // The holder waits in its first onPayment until the two others have tried and given up.
    const held = await Promise.race(handlers.map(async (handler) => handler.first('received').then(() => handler, () => new Promise(() => {}))))
    const losers = handlers.filter((handler) => handler !== held)
    for (const loser of losers) {
      await loser.done()
      const [failure] = loser.all('failed')
      assert.equal(failure?.code, 'WALLET_LOCKED')
      assert.equal(failure.retryable, true)
      assert.equal(failure.holder?.pid, held.pid)
      assert.deepEqual(loser.all('received'), [])
    }
    // One `go` for each payment.
    for (let told = 1; ; told++) {
      held.go()
      if (told === 3) break
      await held.nth('received', told + 1)
    }
    await held.done()
    const [{ payments }] = held.all('payments')
    assert.deepEqual(payments.map(({ paymentHash }) => paymentHash).sort(), invoices.map(({ paymentHash }) => paymentHash).sort())
  }
})

test('three payments at once are all paid with the default lease, whoever of the three processes receives them', async () => {
  const wallet = await shop.wallet()
  wallet.serveWebhooks({ receive: { minMs: 2_000 } })
  const amounts = [41_000, 42_000, 43_000]
  const invoices = await Promise.all(amounts.map((amountMsat) => wallet.invoice(amountMsat)))
  const results = await Promise.all(invoices.map(({ bolt11 }) => lab.pay(bolt11)))
  for (const { preimage, error } of results) assert.ok(preimage, error)
  await Promise.all(wallet.handlers.map((handler) => handler.done()))
  const received = wallet.handlers.flatMap((handler) => handler.all('received')).map(({ payment }) => payment.amountMsat)
  assert.deepEqual(received.sort(), amounts)
  for (const handler of wallet.handlers) for (const { code } of handler.all('failed')) assert.equal(code, 'WALLET_LOCKED')
})
