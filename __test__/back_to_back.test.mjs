// The goodbye race: a client that leaves counts as connected until its FIN has travelled, and an HTLC that is forwarded into
// that connection wakes nobody. The leaving process must listen long enough, hear it, and come back.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { payBackToBack } from './support/back_to_back.mjs'
import { assertSettled, openShop } from './support/shop.mjs'

const PAYMENTS = 100
const AMOUNT_MSAT = 1_000
const FIRST_MSAT = 50_000
/** At 50 ms: into the last exchange of the payment before, into its goodbye, and when its process is gone. */
const PAUSES_MS = [0, 70, 0, 70, 250]

let shop

before(async () => {
  shop = await openShop()
  await shop.lab.post('/faults', { link: 'lsp', roundTripMs: 50 })
})
after(() => shop?.close())

test(`${PAYMENTS} payments back to back at 50 ms, to an LSP that does not wake twice: none hangs, each is told once`, async (t) => {
  const wallet = await shop.wallet()
  await wallet.sell(FIRST_MSAT)
  const [{ channelId }] = await wallet.channels()
  const seen = await payBackToBack(wallet, { payments: PAYMENTS, amountMsat: AMOUNT_MSAT, pausesMs: PAUSES_MS })
  t.diagnostic(JSON.stringify(seen))
  await assertSettled(wallet, { msat: FIRST_MSAT + PAYMENTS * AMOUNT_MSAT, channelId })
  assert.ok(seen.goodbyes > 0, 'no payment met a goodbye')
  assert.ok(seen.webhooks > 1, 'one process served them all')
  // Two in five come into the last exchange: leaving right behind it, or without listening to the end, loses all of those.
  assert.ok(seen.unheard <= PAYMENTS / 20, `${seen.unheard} payments were cut off by goodbyes`)
})
