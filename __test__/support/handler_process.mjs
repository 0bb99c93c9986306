// One function instance: a process of its own that does one job with one wallet and ends by itself. What happens is told over
// the IPC channel as `{ type, … }`; where a job says so, it goes on only when the parent sends `go`.

import { MdkNode, setLogListener } from '../../index.mjs'

const { job, options, args } = JSON.parse(process.argv[2])
const node = new MdkNode(options)

// `log`: what the node logs from that level up is told, too.
if (args.log) setLogListener((record) => process.connected && process.send({ type: 'log', ...record }), args.log)

/** Resolves when it is written: a process that dies next has said it. */
const say = (type, more = {}) => new Promise((resolve) => process.send({ type, ...more }, resolve))
const go = () => new Promise((resolve) => process.once('message', resolve))
// In the middle of whatever the job does.
process.on('message', (message) => {
  if (message !== 'destroy') return
  node.destroy()
  process.exit()
})
/** Like a platform that pulls the plug: nothing of ours runs after this. */
const die = () => process.kill(process.pid, 'SIGKILL')

const jobs = {
  /** The webhook handler. `hold`: the payment is told, and acked after `go`. */
  async receive() {
    const payments = await node.receivePayment(async (payment) => {
      await say('received', { payment })
      if (args.hold) await go()
    }, args.receive)
    await say('payments', { payments, wakeBy: node.wakeBy })
  },

  /** Ready to be paid, then the next event whatever it is; acked and stopped after `go`. `hold`: stopped after another. */
  async listen() {
    await node.startReceiving()
    await say('running')
    const event = await node.nextEvent(args.waitMs ?? 30_000)
    await say('event', { event })
    await go()
    if (event !== null) await node.ackEvent(event.id)
    await say('acked')
    if (args.hold) await go()
    await node.stop()
    await say('stopped', { balance: await node.getBalance(), channels: await node.listChannels() })
  },

  /** Boots, and tells what is there to be told: nothing new happens to this wallet meanwhile. */
  async look() {
    await node.startReceiving()
    const running = await node.nextEvent()
    await node.stop()
    await say('looked', { running, idle: await node.nextEvent() })
  },

  /** Takes the next event, and is destroyed at once, whatever is in flight. */
  async vanish() {
    await node.startReceiving()
    const payment = await node.nextEvent(30_000)
    await say('received', { payment })
  },

  /** Dies while it boots, or at the instant at which it runs. */
  async die() {
    const started = node.start()
    if (args.at === 'running') {
      await started
    } else {
      started.catch(() => {})
      while (node.state !== args.at) await new Promise(setImmediate)
    }
    die()
    await go() // never: the signal is on its way
  },
}

try {
  // `wait`: loaded, and nothing done, until `go`.
  if (args.wait) {
    await say('ready')
    await go()
  }
  await jobs[job]()
} catch (error) {
  const { code, message, retryable, retryAfterMs, holder } = error
  await say('failed', { code, message, retryable, retryAfterMs, holder })
} finally {
  node.destroy()
  await say('ended', { lastDestroy: node.lastDestroy })
  process.disconnect()
}
