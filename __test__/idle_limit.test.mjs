// A node that nobody destroys and nobody collects: without a call for `maxIdleMs` it stops itself, as stop() does, and says where
// it was created. What is under way keeps it; what nobody waits for does not.
//
// Order and outcomes decide: a node that must live on is shown by what it receives in the same session, after a node with the
// same limit that nobody called has ended.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { after, before, describe, test } from 'node:test'
import { startLab } from '../scripts/support/lab.mjs'
import { MdkNode, setLogListener, withNode } from '../index.mjs'
import { PATIENCE_MS, until, within } from './support/life.mjs'
import { Relay } from './support/relay.mjs'
import { Baseline, Household, monotonic } from './support/shared.mjs'
import { threads } from './support/threads.mjs'

const IDLE_MS = 300
/** For a test that has to call more often than that: a busy machine's stalls are shorter. */
const LONGER_MS = 1_500

let lab
const warnings = []
const onWarning = (warning) => warning.code === 'MAYFLY_IDLE' && warnings.push(warning)
before(async () => {
  process.on('warning', onWarning)
  lab = await startLab()
})
after(async () => {
  process.off('warning', onWarning)
  await lab.stop()
})

/** The file and line from which this is called. */
const here = () => /\(?((?:file:)?\/[^()]*:\d+):\d+\)?$/.exec(new Error().stack.split('\n')[2])[1]

const household = (t, maxIdleMs = IDLE_MS) => new Household(t, lab, { maxIdleMs })

/** The warnings that name that place. */
const warningsOf = (place) => warnings.filter(({ message }) => message.includes(`${place}:`))

const isIdle = (node) => until(() => node.state === 'idle', 'the idle limit')

/** Another wallet's node with the same limit starts now, and nobody calls it: when this resolves, that limit is over. */
async function aLifetime(t, maxIdleMs = IDLE_MS) {
  const node = household(t, maxIdleMs).node()
  await node.start()
  await isIdle(node)
  node.destroy()
}

async function pay(node) {
  const { bolt11, paymentHash } = await node.getInvoice(21_000, 'One report', 900)
  const paid = await lab.pay(bolt11)
  assert.ok(paid.preimage, `the payment failed: ${paid.error}`)
  return paymentHash
}

describe('a node that runs and is not called', () => {
  test('stops itself as stop() does, and can be used again', async (t) => {
    const [baseline, wallet] = [new Baseline(lab), household(t)]
    const node = wallet.node()
    await node.startReceiving()
    assert.ok(await wallet.isConnected())
    await isIdle(node)
    await wallet.leaves()
    await baseline.isBack()
    assert.ok(node.stats().phases.endedMs > 0, 'its session ended in order')
    await node.startReceiving()
    await wallet.paysTo(node)
  })

  test('warns once, with the place where it was created, and logs the same', async (t) => {
    const records = []
    setLogListener((record) => records.push(record), 'warn')
    try {
      const { options } = household(t)
      const [node, place] = [new MdkNode(options), here()]
      t.after(() => node.destroy())
      await node.startReceiving()
      await isIdle(node)
      await until(() => warningsOf(place).length > 0, `a warning that names ${place}`)
      const [warning] = warningsOf(place)
      assert.equal(warning.name, 'MayflyWarning')
      assert.equal(warning.code, 'MAYFLY_IDLE')
      assert.ok(warning.message.includes(`${IDLE_MS} ms`), warning.message)
      assert.match(warning.message, /destroy\(\)/)
      const told = () => records.find((record) => Object.values(record.fields).some((value) => String(value).includes(`${place}:`)))
      await until(told, 'the log record')
      assert.equal(told().level, 'warn')
      assert.equal(warningsOf(place).length, 1)
    } finally {
      setLogListener(null)
    }
  })

  test('is told from its neighbours by file and line, also inside withNode', async (t) => {
    const { options } = household(t)
    let place
    const body = async (node) => {
      await node.start()
      await isIdle(node)
    }
    // On one line: where withNode is called is where its node was created.
    await Promise.all([((place = here()), withNode(options, body))])
    await until(() => warningsOf(place).length > 0, `a warning that names ${place}`)
    assert.equal(warningsOf(place).length, 1)
  })

  test('ends its own part only: another node of the wallet that is used goes on, and nobody warns of it', async (t) => {
    const [wallet, since] = [household(t), monotonic()]
    const [idle, used] = wallet.nodes(2)
    await idle.startReceiving()
    const waiting = used.startReceiving().then(() => used.nextEvent(60_000))
    const before = warnings.length
    await isIdle(idle)
    const paymentHash = await pay(idle)
    assert.equal((await within(waiting, 'the payment')).paymentHash, paymentHash)
    assert.equal(await wallet.greetings(since), 1)
    assert.equal(warnings.length, before + 1)
  })

  test('is not brought back by minting', async (t) => {
    const wallet = household(t)
    const node = wallet.node()
    await node.getJitRoute()
    await node.startReceiving()
    await isIdle(node)
    await wallet.leaves()
    const since = monotonic()
    await node.getInvoice(21_000, 'One report', 900)
    await aLifetime(t)
    assert.equal(await wallet.greetings(since), 0)
    assert.equal(node.state, 'idle')
  })

  test('runs for ever with maxIdleMs 0', async (t) => {
    const [wallet, since] = [household(t, 0), monotonic()]
    const node = wallet.node()
    await node.startReceiving()
    await aLifetime(t)
    await aLifetime(t)
    const paymentHash = await pay(node)
    assert.equal((await node.nextEvent()).paymentHash, paymentHash)
    assert.equal(await wallet.greetings(since), 1)
  })

  test('has 30 seconds if nothing is said, as the types say', () => {
    const types = readFileSync(new URL('../index.d.ts', import.meta.url), 'utf8')
    const [comment] = /\/\*\*(?:(?!\*\/).)*\*\/\s*maxIdleMs\?: number/s.exec(types) ?? []
    assert.match(comment ?? '', /Default 30000/)
  })
})

describe('a node is kept running by', () => {
  test('a bounded wait for an event', async (t) => {
    const [wallet, since] = [household(t), monotonic()]
    const node = wallet.node()
    await node.startReceiving()
    const waiting = node.nextEvent(60_000)
    await aLifetime(t)
    const { bolt11, paymentHash } = await wallet.node().getInvoice(21_000, 'One report', 900)
    assert.ok((await lab.pay(bolt11)).preimage)
    assert.equal((await within(waiting, 'the payment')).paymentHash, paymentHash)
    assert.equal(await wallet.greetings(since), 1)
  })

  test('receivePayment, while it waits and while its onPayment takes its time', async (t) => {
    const wallet = household(t)
    const [node, minter] = wallet.nodes(2)
    const [first, second] = [await minter.getInvoice(1_000, 'a', 900), await minter.getInvoice(2_000, 'b', 900)]
    const since = monotonic() // learning the route was a session of its own
    const told = []
    const receiving = node.receivePayment(
      async (payment) => {
        told.push(payment.paymentHash)
        if (told.length > 1) return
        await aLifetime(t)
        assert.ok((await lab.pay(second.bolt11)).preimage)
      },
      { minMs: 60_000 },
    )
    await aLifetime(t)
    assert.ok((await lab.pay(first.bolt11)).preimage)
    await within(receiving, 'the receivePayment', PATIENCE_MS * 2)
    assert.deepEqual(told, [first.paymentHash, second.paymentHash])
    assert.equal(await wallet.greetings(since), 1)
  })

  test('one call after the other, minting included', async (t) => {
    const wallet = household(t, LONGER_MS)
    const node = wallet.node()
    // Were the machine to stall for longer than the limit, nothing would be shown: then once more.
    for (let stalled = true; stalled; ) {
      const since = monotonic()
      await node.startReceiving()
      let [done, longest, last] = [false, 0, performance.now()]
      const other = aLifetime(t, LONGER_MS).then(() => (done = true))
      const calls = [() => node.getInvoice(1_000, 'a', 900), () => node.getBalance(), () => node.nextEvent()]
      for (let i = 0; !done; i++) {
        await pause(LONGER_MS / 10)
        await calls[i % calls.length]()
        longest = Math.max(longest, performance.now() - last)
        last = performance.now()
      }
      await other
      stalled = longest > LONGER_MS / 2
      if (stalled) await node.stop()
      else assert.equal(await wallet.greetings(since), 1)
    }
    await wallet.paysTo(node)
    assert.equal(node.stats().lspConnections, 1)
  })

  test('an HTLC that is under way', async (t) => {
    const wallet = household(t)
    const relay = await Relay.to(t, lab.info.lspAddress)
    const options = { lspAddress: relay.address }
    const node = wallet.node(options)
    await node.startReceiving()
    await wallet.paysTo(node)
    const { bolt11, paymentHash } = await node.getInvoice(22_000, 'One report', 900)
    // Its fulfilment does not come through.
    const claimed = new Promise((resolve) => {
      setLogListener((record) => {
        if (!record.message.includes('Received message UpdateAddHTLC')) return
        relay.hush()
        resolve()
      }, 'trace')
    }).finally(() => setLogListener(null))
    const paying = lab.pay(bolt11)
    paying.catch(() => {}) // looked at below
    await within(claimed, 'the HTLC')
    await aLifetime(t)
    await aLifetime(t)
    assert.equal(node.state, 'running')
    // Without the connection there is nothing more to wait for; a call brings the payment.
    relay.cut()
    const received = await within(node.receivePayment(() => {}, { minMs: PATIENCE_MS }), 'the payment', PATIENCE_MS * 2)
    assert.deepEqual(received.map((payment) => payment.paymentHash), [paymentHash])
    assert.ok((await within(paying, 'the payer')).preimage)
  })
})

describe('a node is not kept running by', () => {
  test('an event that nobody acks', async (t) => {
    const wallet = household(t)
    const node = wallet.node()
    await node.startReceiving()
    const paymentHash = await pay(node)
    const event = await node.nextEvent()
    assert.equal(event.paymentHash, paymentHash)
    await isIdle(node)
    await wallet.leaves()
    assert.equal((await node.nextEvent()).id, event.id, 'it is there all the same')
    await node.ackEvent(event.id)
  })

  test('an events() loop that waits: it goes on when the node starts again', async (t) => {
    const [baseline, wallet] = [new Baseline(lab), household(t)]
    const node = wallet.node()
    await node.startReceiving()
    const iterator = node.events()
    const waiting = iterator.next()
    await isIdle(node)
    await wallet.leaves()
    await baseline.isBack()
    await node.startReceiving()
    const paymentHash = await pay(node)
    assert.equal((await within(waiting, 'the event')).value.paymentHash, paymentHash)
    await iterator.return()
  })

  test('an events() loop whose body stands still at an event', async (t) => {
    const wallet = household(t)
    const node = wallet.node()
    await node.startReceiving()
    const paymentHash = await pay(node)
    const iterator = node.events()
    assert.equal((await iterator.next()).value.paymentHash, paymentHash)
    await isIdle(node)
    await wallet.leaves()
    await iterator.return()
  })
})

describe('when its LSP restarts', () => {
  test('a node without a call ends, and does not connect again by itself', async (t) => {
    const [baseline, wallet] = [new Baseline(lab), new Household(t, lab)]
    const node = wallet.node()
    await node.startReceiving()
    const since = monotonic()
    await lab.post('/lsp/restart')
    await isIdle(node)
    await until(() => threads() === 0, 'the node to end')
    assert.equal(await wallet.greetings(since), 0)
    await baseline.isBack()
  })

  test('a node with a call that needs it connects again, and receives', async (t) => {
    const wallet = new Household(t, lab)
    const [node, minter] = wallet.nodes(2)
    await node.startReceiving()
    const waiting = node.nextEvent(60_000)
    await node.getBalance()
    await lab.post('/lsp/restart')
    const { bolt11, paymentHash } = await minter.getInvoice(21_000, 'One report', 900)
    await until(() => wallet.isConnected(), 'the connection to be made again')
    assert.ok((await lab.pay(bolt11)).preimage)
    assert.equal((await within(waiting, 'the payment')).paymentHash, paymentHash)
  })
})
