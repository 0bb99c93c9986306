// Scenarios of a node whose disk dies: `dead-disk-child.mjs <scenario>`. See life-self.mjs for how it talks.

import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { MdkNode } from '../../index.mjs'
import { until } from './life.mjs'
import { destroyed, left, nothingLeft, options, outcome, play, say, told } from './life-self.mjs'

/** The parent revives the disk at some time; from then on nothing may be left. */
async function backAtBaseline() {
  await until(nothingLeft, 'threads, descriptors and locks at their baseline')
  say({ baseline: left() })
}

await play({
  /** While the claim of the first call hangs. */
  async claiming() {
    const node = new MdkNode(options)
    const pending = [node.start(), node.startReceiving(), node.getJitRoute(), node.nextEvent(60_000)].map(outcome)
    await told()
    await destroyed(node, pending)
    await backAtBaseline()
  },

  /** While the claim of a receivePayment hangs, which another node's has joined. */
  async joined() {
    const [leader, other] = [new MdkNode(options), new MdkNode(options)]
    const leading = outcome(leader.receivePayment(() => {}))
    await told()
    const joined = outcome(other.receivePayment(() => {}))
    other.destroy()
    say({ joined: await joined })
    await destroyed(leader, [leading])
    await backAtBaseline()
  },

  /** While a read hangs, and calls behind it wait for their turn. */
  async reading() {
    const node = new MdkNode(options)
    const pending = [node.getBalance(), node.listChannels(), node.nextEvent(60_000)].map(outcome)
    await told()
    await destroyed(node, pending)
    await backAtBaseline()
  },

  /** While the commit of a payment hangs. */
  async receiving() {
    const node = new MdkNode(options)
    await node.startReceiving()
    const pending = [outcome(node.receivePayment(() => {}, { minMs: 30_000 })), outcome(node.nextEvent(60_000))]
    await node.getBalance()
    say({ running: true })
    await told()
    await destroyed(node, pending)
    if (process.argv[3] === 'ends') return
    await backAtBaseline()
  },

  /** In a worker that is ended meanwhile, and that is the only one that has the addon. */
  async worker() {
    const worker = new Worker(new URL('./life-worker.mjs', import.meta.url), { workerData: { options, call: 'start' } })
    await once(worker, 'message')
    await told()
    say({ terminated: await worker.terminate() })
    await backAtBaseline()
  },
})
