// `cycles-child.mjs cycles <count>,<pay every>`: one process that starts, receives and destroys again and again. See
// life-self.mjs for how it talks; each invoice that it says is paid by the parent.

import { MdkNode } from '../../index.mjs'
import { PATIENCE_MS } from './life.mjs'
import { heartbeat, left, nothingLeft, options, play, say } from './life-self.mjs'

const AMOUNT_MSAT = 21_000

/** Receives in the two ways that a handler can: the call that leaves politely, and an event whose handle is then destroyed. */
async function receive(node, politely) {
  const { bolt11, paymentHash } = await node.getInvoice(AMOUNT_MSAT, 'One report', 900)
  say({ invoice: bolt11 })
  const [payment, ...more] = politely ? await node.receivePayment(() => {}, { minMs: PATIENCE_MS, quietMs: 0 }) : [await node.nextEvent(PATIENCE_MS)]
  if (payment?.paymentHash !== paymentHash || more.length > 0) throw new Error(`received ${JSON.stringify([payment, ...more])} in place of ${paymentHash}`)
  if (!politely) await node.ackEvent(payment.id)
}

await play({
  async cycles() {
    const [count, payEvery] = process.argv[3].split(',').map(Number)
    let paid = 0
    for (let cycle = 1; cycle <= count; cycle++) {
      heartbeat.during = `cycle ${cycle}`
      const node = new MdkNode(options)
      await node.startReceiving()
      if (cycle % payEvery === 0) await receive(node, ++paid % 2 === 1)
      heartbeat.except(() => node.destroy())
      const { unfinished } = node.lastDestroy
      if (!nothingLeft() || unfinished.length > 0) throw new Error(`cycle ${cycle} left ${JSON.stringify({ ...left(), unfinished })}`)
      if (cycle % 100 === 0) say({ progress: { cycle, rssMb: Math.round(process.memoryUsage.rss() / 1e6) } })
    }
    const node = new MdkNode(options)
    say({ balance: await node.getBalance() })
    node.destroy()
    say({ done: { cycles: count, paidMsat: paid * AMOUNT_MSAT, left: left() } })
  },
})
