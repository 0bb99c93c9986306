// One process, one scenario of a node's life: `life-child.mjs <scenario>`. See life-self.mjs for how it talks.

import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { MdkNode, setLogListener } from '../../index.mjs'
import { until } from './life.mjs'
import { destroyed, left, nothingLeft, options, outcome, play, say, told } from './life-self.mjs'

/** The wallet's first log record that tells of it. */
const heard = (what) =>
  new Promise((resolve) => {
    setLogListener((record) => {
      if (record.message.includes(what)) resolve()
    }, 'trace')
  }).finally(() => setLogListener(null))

await play({
  async destroyIdle() {
    await destroyed(new MdkNode(options), [])
  },

  /** While `start` waits, for a lock, a chain or an LSP. */
  async destroyStarting() {
    const node = new MdkNode(options)
    const calls = [node.start(), node.startReceiving(), node.receivePayment(() => {}), node.getJitRoute(), node.nextEvent(60_000)]
    const pending = calls.map(outcome)
    await until(() => node.state === 'starting', 'the start')
    say({ starting: left() })
    await told()
    await destroyed(node, pending)
  },

  async destroyRunning() {
    const node = new MdkNode(options)
    await node.startReceiving()
    const pending = [node.nextEvent(60_000), node.receivePayment(() => {}), node.events().next()].map(outcome)
    // Commands are served in order: what came before this answer waits.
    await node.getBalance()
    await destroyed(node, pending)
  },

  async destroyWhileStopping() {
    const node = new MdkNode(options)
    await node.startReceiving()
    say({ running: true })
    await told()
    const stopping = outcome(node.stop())
    await until(() => node.state !== 'running', 'the stop', 300).catch(() => {})
    await destroyed(node, [stopping])
  },

  /** The HTLC, or the channel for it, is on its way. */
  async destroyAsItIsPaid() {
    const node = new MdkNode(options)
    await node.startReceiving()
    const { bolt11 } = await node.getInvoice(21_000, 'One report', 900)
    const coming = heard(process.argv[3] ?? 'Received message')
    const pending = [outcome(node.receivePayment(() => {}, { minMs: 30_000 }))]
    await node.getBalance()
    say({ invoice: bolt11 })
    await coming
    await destroyed(node, pending)
  },

  async destroyInOnPayment() {
    const node = new MdkNode(options)
    await node.startReceiving()
    const { bolt11 } = await node.getInvoice(21_000, 'One report', 900)
    say({ invoice: bolt11 })
    const receiving = node.receivePayment(async (payment) => {
      say({ payment })
      await destroyed(node, [])
    }, { minMs: 30_000 })
    say({ receiving: await outcome(receiving) })
  },

  /** Receives what waits for it, giving the first payment that long. */
  async receive() {
    const node = new MdkNode(options)
    try {
      const received = await node.receivePayment((payment) => say({ payment }), { minMs: Number(process.argv[3]) })
      say({ received })
    } finally {
      node.destroy()
    }
  },

  /** Receives `n` payments, each minted here: the parent pays. */
  async sell() {
    const node = new MdkNode(options)
    for (let i = 0; i < Number(process.argv[3]); i++) {
      await node.startReceiving()
      const { bolt11 } = await node.getInvoice(21_000, 'One report', 900)
      say({ [`invoice${i}`]: bolt11 })
      const received = await node.receivePayment(() => {}, { minMs: 30_000 })
      say({ [`received${i}`]: received })
    }
    node.destroy()
  },

  /** Has the wallet until told to let go. */
  async hold() {
    const node = new MdkNode(options)
    await node.start()
    say({ holding: true })
    await told()
    await node.stop()
    node.destroy()
    say({ let: 'go' })
  },

  async stop() {
    const node = new MdkNode(options)
    await node.stop()
    say({ stoppedIdle: node.state })
    const starts = [node.start(), node.start(), node.startReceiving()]
    await Promise.all(starts)
    say({ running: { state: node.state, left: left() } })
    await node.stop()
    await until(nothingLeft, 'threads, descriptors and locks at their baseline after stop()')
    say({ stopped: { state: node.state, left: left() } })
    await node.startReceiving()
    say({ again: { state: node.state, left: left() } })
    await Promise.all([node.stop(), node.stop()])
    await until(nothingLeft, 'the baseline after the second stop()')
    say({ stoppedAgain: { state: node.state, left: left() } })
  },

  async stopStarting() {
    const node = new MdkNode(options)
    const started = outcome(node.start())
    await until(() => node.state === 'starting', 'the start')
    await node.stop()
    say({ started: await started })
    await until(nothingLeft, 'the baseline after stop() of a starting node')
    await until(() => node.state === 'idle', 'an idle node')
    say({ left: left() })
    await told()
    await node.start()
    await node.stop()
    say({ startedLater: true })
  },

  async cycles() {
    const seen = []
    for (let i = 0; i < 10; i++) {
      const node = new MdkNode(options)
      await node.startReceiving()
      if (i % 2 === 0) await node.stop()
      node.destroy()
      seen.push({ ...left(), unfinished: node.lastDestroy.unfinished })
    }
    say({ seen })
  },

  /** Nothing is called: no stop, no destroy. */
  async idleWithoutDestroy() {
    const node = new MdkNode(options)
    await node.getInvoiceWithScid('100x1x0', 1_000, 'One report', 900)
    globalThis.kept = node
    say({ state: node.state })
  },

  async runningWithoutDestroy() {
    const node = new MdkNode(options)
    await node.startReceiving()
    globalThis.kept = node
    say({ state: node.state })
  },

  /** Only when it is asked for may a process end with a call in flight. */
  async exitInACall() {
    const node = new MdkNode(options)
    await node.startReceiving()
    node.nextEvent(60_000).catch(() => {})
    say({ state: node.state })
    process.exit(0)
  },

  /** Lost by JavaScript; needs --expose-gc. */
  async forgotten() {
    await (async () => new MdkNode(options).startReceiving())()
    say({ running: left() })
    await until(() => {
      globalThis.gc()
      return nothingLeft()
    }, 'the forgotten node to end')
    say({ left: left() })
    const successor = new MdkNode({ ...options, lease: { attempts: 1 } })
    await successor.start()
    successor.destroy()
    say({ successor: 'started' })
  },

  async worker() {
    const source = new URL('./life-worker.mjs', import.meta.url)
    for (const call of ['start', 'nextEvent']) {
      const worker = new Worker(source, { workerData: { options, call } })
      const [state] = await once(worker, 'message')
      if (call === 'start') {
        say({ workerStarting: state })
        await told() // the parent has taken the fault away
      }
      say({ [`exit_${call}`]: await worker.terminate() })
      // Worker threads of Node's own may end a moment after terminate() resolved; ours were joined before it.
      await until(nothingLeft, `the baseline after a worker ended in ${call}`)
      const node = new MdkNode({ ...options, lease: { attempts: 1 } })
      await node.start()
      node.destroy()
      say({ [`free_${call}`]: true })
    }
  },
})
