// `crowd-child.mjs crowd`: as many wallets in one process as LIFE_OPTIONS has options, all at once. See life-self.mjs for how
// it talks; each invoice that it says is paid by the parent.

import { setImmediate as turn } from 'node:timers/promises'
import { MdkNode } from '../../index.mjs'
import { PATIENCE_MS } from './life.mjs'
import { heartbeat, left, options, play, say } from './life-self.mjs'

const AMOUNT_MSAT = 21_000
/** They share two processors with the network that serves them. */
const CROWD_PATIENCE_MS = PATIENCE_MS * 4

async function receives(node) {
  await node.startReceiving()
  const { bolt11, paymentHash } = await node.getInvoice(AMOUNT_MSAT, 'One report', 900)
  say({ invoice: bolt11 })
  const event = await node.nextEvent(CROWD_PATIENCE_MS)
  if (event?.paymentHash !== paymentHash) throw new Error(`got ${JSON.stringify(event)} in place of ${paymentHash}`)
  await node.ackEvent(event.id)
  const { lightningMsat } = await node.getBalance()
  return lightningMsat
}

await play({
  async crowd() {
    heartbeat.during = 'start and receive'
    const nodes = []
    const balances = []
    for (const each of options) {
      const node = new MdkNode(each)
      nodes.push(node)
      balances.push(receives(node))
      // A burst of constructors is as long as it is; a handler makes one.
      await turn()
    }
    const all = Promise.all(balances)
    say({ balances: await all })
    say({ running: { threads: left().threads, locks: left().locks } })
    heartbeat.during = 'destroy'
    for (const node of nodes) {
      heartbeat.except(() => node.destroy())
      await turn()
    }
    const unfinished = nodes.flatMap((node) => node.lastDestroy.unfinished)
    say({ done: { left: left(), unfinished } })
  },
})
