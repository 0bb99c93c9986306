// An LSP that forwards less than it should, and payers that send what no invoice asked for: refused, told, nothing claimed, nothing
// lost; the payer keeps the money, and the wallet is payable as before.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startLab } from '../scripts/support/lab.mjs'
import { numberField, randomField, withFields } from './support/forge.mjs'
import { PATIENCE_MS } from './support/life.mjs'
import { besieged } from './support/siege.mjs'

let lab
before(async () => (lab = await startLab()))
after(() => lab.stop())

/** The LSP keeps `skimPpm` and perhaps says nothing of it, while `body` runs. */
async function skimming(wallet, skimPpm, rules, body) {
  await lab.post('/lsp/options', { skimPpm })
  await wallet.hostile(rules)
  try {
    return await body()
  } finally {
    await lab.post('/lsp/options', { skimPpm: 0 })
    await wallet.hostile({})
  }
}

/** One payment that must not arrive; resolves with the event that tells of it. */
async function refusedOnce(wallet, node, amountMsat = 100_000) {
  const { bolt11, paymentHash } = await node.getInvoice(amountMsat, 'x', 900)
  const [paid, event] = await Promise.all([lab.pay(bolt11), node.nextEvent(PATIENCE_MS)])
  assert.equal(paid.preimage, undefined, 'the payer has the proof of a payment that was refused')
  assert.deepEqual([event?.eventType, event?.paymentHash], ['SkimRefused', paymentHash])
  return { bolt11, event }
}

for (const warm of [false, true]) {
  const where = warm ? 'on an existing channel' : 'on the first payment'
  test(`an LSP that keeps half ${where} is refused with an event, however often it tries`, async (t) => {
    const wallet = await besieged(t, lab, { warm })
    const before = (await wallet.committed()).balance
    await wallet.live((node) => skimming(wallet, 500_000, {}, async () => {
      await node.startReceiving()
      const { bolt11, event } = await refusedOnce(wallet, node)
      assert.deepEqual([event.amountMsat, event.skimmedMsat], [50_000, 50_000])
      assert.match(event.reason, /50000 msat.*maxSkimPpm/)
      for (let again = 0; again < 5; again++) assert.equal((await lab.pay(bolt11)).preimage, undefined)
      await node.ackEvent(event.id)
      assert.equal(await node.nextEvent(), null, 'told once for all six')
      assert.equal((await lab.pay(bolt11)).preimage, undefined)
      const next = await node.nextEvent(PATIENCE_MS)
      assert.notEqual(next.id, event.id, 'told again once it was acked')
      await node.ackEvent(next.id)
      await node.stop()
    }))
    assert.deepEqual((await wallet.committed()).balance, before)
    await wallet.isPayable(100_000)
  })

  test(`an LSP that keeps a fiftieth ${where} and does not say so is refused with an event`, async (t) => {
    const wallet = await besieged(t, lab, { warm })
    const before = (await wallet.committed()).balance
    await wallet.live((node) => skimming(wallet, 20_000, { hideSkim: true }, async () => {
      await node.startReceiving()
      const { event } = await refusedOnce(wallet, node)
      assert.match(event.reason, /less arrived than the payer's onion says/)
      assert.equal(event.amountMsat, 98_000)
      await node.ackEvent(event.id)
      await node.stop()
    }))
    assert.deepEqual((await wallet.committed()).balance, before)
    await wallet.isPayable(100_000)
  })
}

test('a hundred refusals are kept for the handler, no more: every start reads them', async (t) => {
  const wallet = await besieged(t, lab)
  await wallet.live((node) => skimming(wallet, 500_000, {}, async () => {
    await node.startReceiving()
    const pay = async () => lab.pay((await node.getInvoice(1_000, 'x', 900)).bolt11)
    for (let wave = 0; wave < 4; wave++) {
      const outcomes = await Promise.all(Array.from({ length: 26 }, pay))
      assert.deepEqual(outcomes.filter(({ preimage }) => preimage), [])
    }
    let told = 0
    for (let event; (event = await node.nextEvent()) !== null; told++) await node.ackEvent(event.id)
    assert.equal(told, 100)
    await node.stop()
  }))
  await wallet.isPayable()
})

/** What a payer makes of an invoice. The wallet signs each, so that the payer's own checks pass. */
const FORGED = {
  'a payment hash that no invoice had': { p: randomField },
  'a payment secret that is none': { s: randomField },
  'a CLTV expiry that leaves no time to claim': { c: () => numberField(20) },
}

for (const [what, fields] of Object.entries(FORGED)) {
  test(`a payment with ${what} is failed back without an event, cold and warm`, async (t) => {
    for (const warm of [false, true]) {
      const wallet = await besieged(t, lab, { warm })
      const before = await wallet.committed()
      await wallet.live(async (node) => {
        await node.startReceiving()
        const { bolt11 } = await node.getInvoice(21_000, 'x', 900)
        const drawn = Object.fromEntries(Object.entries(fields).map(([letter, draw]) => [letter, draw()]))
        const paid = await lab.post('/pay', { bolt11: withFields(bolt11, drawn, wallet.options.mnemonic), timeoutMs: PATIENCE_MS, strictCltv: true })
        assert.equal(paid.preimage, undefined)
        assert.match(paid.error, /failed on its way|rejected/, 'the payer has it back')
        assert.equal(await node.nextEvent(), null)
        await node.stop()
      })
      const after = await wallet.committed()
      assert.deepEqual([after.balance, after.event], [before.balance, null])
      await wallet.isPayable()
    }
  })
}
