// A worker thread that is in the middle of a call when it is terminated.

import { parentPort, workerData } from 'node:worker_threads'
import { MdkNode } from '../../index.mjs'
import { until } from './life.mjs'

const node = new MdkNode(workerData.options)
if (workerData.call === 'start') {
  node.start().catch(() => {})
  await until(() => node.state === 'starting', 'the start')
} else {
  await node.startReceiving()
  node.nextEvent(60_000).catch(() => {})
  await node.getBalance()
}
parentPort.postMessage(node.state)
