// A process that wants one wallet again and again. Each turn, when it is told `turn`: it starts a node, says `has`, and when it is told
// `go` it stops the node and says `had`; or it says `refused`. The times are of the machine's clock, which all processes share.

import { MdkNode } from '../../../index.mjs'

const options = JSON.parse(process.argv[2])
const say = (message) => new Promise((resolve) => process.send(message, resolve))
const told = (word) => new Promise((resolve) => process.on('message', (message) => message === word && resolve()))
const now = () => Number(process.hrtime.bigint()) / 1e6

async function turn() {
  const node = new MdkNode(options)
  try {
    await node.start()
    const fromMs = now()
    const { epoch } = node.stats()
    const go = told('go')
    await say({ type: 'has', epoch })
    await go
    const toMs = now()
    await node.stop()
    await say({ type: 'had', epoch, fromMs, toMs })
  } catch (error) {
    await say({ type: 'refused', code: error.code, message: error.message })
  } finally {
    node.destroy()
  }
}

process.on('message', (message) => {
  if (message === 'turn') turn()
  if (message === 'end') process.disconnect()
})
await say({ type: 'ready' })
