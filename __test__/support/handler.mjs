// A function instance that the LSP's webhook wakes. Says what happens in lines of JSON; ends by itself.

import { MdkNode } from '../../index.mjs'

const options = JSON.parse(process.env.HANDLER_OPTIONS)
const plan = JSON.parse(process.argv[2] ?? '{}')
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)
const die = (where) => plan.dieAt === where && process.kill(process.pid, 'SIGKILL')

const node = new MdkNode(options)
try {
  if (plan.dieAt === 'booted') {
    await node.startReceiving()
    say({ booted: true })
    die('booted')
  }
  const received = await node.receivePayment(
    async (payment) => {
      say({ payment })
      die('told')
    },
    { minMs: plan.minMs ?? 5_000 },
  )
  say({ received, wakeBy: node.wakeBy, refused: await node.nextEvent(0) })
} catch (error) {
  say({ error: { code: error.code, message: error.message, holder: error.holder, retryable: error.retryable } })
} finally {
  node.destroy()
}
