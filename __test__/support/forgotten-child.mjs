// A node that is lost while its disk is dead. See life-self.mjs for how it talks.

import { MdkNode } from '../../index.mjs'
import { untilCollected } from './gc.mjs'
import { until } from './life.mjs'
import { left, nothingLeft, options, play, say, told } from './life-self.mjs'

/** The wallet's options are nobody's any more: its last node is collected. */
function isCollected() {
  try {
    new MdkNode({ ...options, maxSkimPpm: 1 }).destroy()
    return true
  } catch (error) {
    if (error.option !== 'maxSkimPpm') throw error
    return false
  }
}

await play({
  async lost() {
    const kept = { node: new MdkNode(options) }
    await kept.node.startReceiving()
    say({ invoice: (await kept.node.getInvoice(21_000, 'One report', 900)).bolt11 })
    await told()
    delete kept.node
    await untilCollected(isCollected, 'the lost node to be collected')
    say({ collected: { threads: left().threads } })
    await until(nothingLeft, 'threads, descriptors and locks at their baseline')
    say({ ended: true })
  },
})
