// destroy() while the LSP opens a channel: afterwards only one side remembers it. The held payment must still arrive, through
// a channel that the LSP opens for the next process.

import { after, before, test } from 'node:test'
import { startLab } from '../scripts/support/lab.mjs'
import { generateMnemonic } from '../index.mjs'
import { folder } from './support/life.mjs'
import { Child, all, receivedLater, vanished } from './support/life-process.mjs'
import { Pulse } from './support/pulse.mjs'

// A lab of its own: the LSP has one coin here, so a funding transaction that it gives up and does not take back would show.
let lab
let pulse
before(async () => ([lab, pulse] = await Promise.all([startLab(), Pulse.start()])))
after(() => Promise.all([lab.stop(), pulse.stop()]))

for (const message of ['OpenChannel', 'FundingCreated']) {
  test(`after a first payment's ${message}; a later process receives that payment, for wallet after wallet`, async (t) => {
    // JavaScript hears of a message a moment late, so each wallet is stopped at a slightly different step.
    for (let wallet = 0; wallet < 4; wallet++) {
      const options = lab.options({ mnemonic: generateMnemonic(), store: `file:${folder(t)}` })
      const child = new Child(t, 'destroyAsItIsPaid', { options, args: [`Received message ${message}`] })
      const paying = lab.pay(await child.said('invoice'))
      paying.catch(() => {}) // looked at below
      await vanished(child, { pending: all(1), pulse })
      await receivedLater(t, options, paying)
    }
  })
}
