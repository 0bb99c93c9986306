// A worker thread with a node of a wallet that others share, in the middle of what `doing` names.

import { parentPort, workerData } from 'node:worker_threads'
import { MdkNode } from '../../index.mjs'
import { until } from './life.mjs'

const { options, doing } = workerData
const node = new MdkNode(options)
const say = (line) => parentPort.postMessage(line)

const DOING = {
  async starting() {
    node.start().catch(() => {})
    await until(() => node.state === 'starting', 'the start')
  },
  async running() {
    await node.startReceiving()
  },
  async waiting() {
    await node.startReceiving()
    node.nextEvent(60_000).catch(() => {})
    await node.getBalance()
  },
  async receiving() {
    node.receivePayment(() => {}, { minMs: 60_000 }).catch(() => {})
    await until(() => node.state === 'running', 'the receivePayment')
  },
  /** With an event that it does not ack. */
  async holding() {
    await node.startReceiving()
    say({ event: (await node.nextEvent(60_000)).id })
  },
  /** Says what it hears of. */
  async listening() {
    await node.startReceiving()
    node.nextEvent(60_000).then((event) => say({ event: event?.id }))
    await node.getBalance()
  },
}

parentPort.on('message', () => {
  node.destroy()
  say({ destroyed: node.state })
  parentPort.close()
})
await DOING[doing]()
say({ there: node.state })
