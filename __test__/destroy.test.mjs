// destroy(): from any state, within its deadline, with nothing left behind. Each case is a process of its own, whose clean
// end without process.exit is part of the test.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { startLab } from '../scripts/support/lab.mjs'
import { MdkNode, generateMnemonic, isMdkError, withNode } from '../index.mjs'
import { folder, rejection, until } from './support/life.mjs'
import { Child, all, receivedLater, vanished } from './support/life-process.mjs'
import { Pulse } from './support/pulse.mjs'

let lab
let pulse
before(async () => ([lab, pulse] = await Promise.all([startLab(), Pulse.start()])))
after(() => Promise.all([lab.stop(), pulse.stop()]))

const wallet = (t, more = {}) => lab.options({ mnemonic: generateMnemonic(), store: `file:${folder(t)}`, ...more })

/** Another holder gets the wallet in one attempt. */
async function isFree(options) {
  const next = new MdkNode({ ...options, lease: { attempts: 1 } })
  try {
    await next.start()
  } finally {
    next.destroy()
  }
}

describe('destroy() leaves nothing behind', () => {
  test('from idle', async (t) => {
    const options = wallet(t)
    await vanished(new Child(t, 'destroyIdle', { options }), { pending: [], pulse })
    await isFree(options)
  })

  test('while the start waits for a wallet that another process holds', async (t) => {
    const options = wallet(t)
    const holder = new Child(t, 'hold', { options })
    await holder.said('holding')
    const child = new Child(t, 'destroyStarting', { options })
    await child.said('starting')
    child.release()
    await vanished(child, { pending: all(5), pulse })
    await holder.endsWell()
    await isFree(options)
  })

  for (const link of ['esplora', 'lsp']) {
    test(`while the start waits for a ${link} that answers nothing`, async (t) => {
      const options = wallet(t)
      await lab.post('/stats/reset')
      await lab.post('/faults', { link, blackhole: true })
      try {
        const child = new Child(t, 'destroyStarting', { options })
        await child.said('starting')
        await until(async () => (await lab.get('/stats'))[link].open > 0, `a connection into the black hole before ${link}`)
        child.release()
        await vanished(child, { pending: all(5), pulse })
      } finally {
        await lab.post('/faults', { link, blackhole: false })
      }
      await isFree(options)
    })
  }

  test('while it runs and three calls wait', async (t) => {
    const options = wallet(t)
    const child = new Child(t, 'destroyRunning', { options })
    // An iterator that was ended from outside says so, as every other call does.
    await vanished(child, { pending: all(3), pulse })
    await isFree(options)
  })

  test('while it stops and the LSP does not say goodbye', async (t) => {
    const options = wallet(t)
    const child = new Child(t, 'destroyWhileStopping', { options })
    await child.said('running')
    await lab.post('/faults', { link: 'lsp', blackhole: true })
    try {
      child.release()
      await vanished(child, { pending: all(1), pulse })
    } finally {
      await lab.post('/faults', { link: 'lsp', blackhole: false })
    }
    await isFree(options)
  })

  // The channel stands on both sides; what comes before is in destroy_opening.test.mjs.
  for (const message of ['ChannelReady', 'UpdateAddHTLC', 'CommitmentSigned', 'RevokeAndACK']) {
    test(`after a first payment's ${message}; a later process receives that payment`, async (t) => {
      const options = wallet(t)
      const child = new Child(t, 'destroyAsItIsPaid', { options, args: [`Received message ${message}`] })
      const paying = lab.pay(await child.said('invoice'))
      paying.catch(() => {}) // looked at below
      await vanished(child, { pending: all(1), pulse })
      await receivedLater(t, options, paying)
    })
  }

  test('inside onPayment; a later process is given the same payment again', async (t) => {
    const options = wallet(t)
    const child = new Child(t, 'destroyInOnPayment', { options })
    const paying = lab.pay(await child.said('invoice'))
    const first = await child.said('payment')
    await vanished(child, { pending: [], pulse })
    assert.equal(await child.said('receiving'), 'NODE_DESTROYED')
    const again = await receivedLater(t, options, paying)
    assert.equal(again.id, first.id, 'a repeat has the same id')
  })
})

describe('after destroy()', () => {
  // Every method stands here: one that is added without a line fails the test below.
  const calls = {
    getNodeId: (node) => node.getNodeId(),
    start: (node) => node.start(),
    stop: (node) => node.stop(),
    startReceiving: (node) => node.startReceiving(),
    stopReceiving: (node) => node.stopReceiving(),
    getInvoice: (node) => node.getInvoice(1_000, 'a', 900),
    getVariableAmountJitInvoice: (node) => node.getVariableAmountJitInvoice('a', 900),
    getInvoiceWithScid: (node) => node.getInvoiceWithScid('100x1x0', 1_000, 'a', 900),
    getVariableAmountJitInvoiceWithScid: (node) => node.getVariableAmountJitInvoiceWithScid('100x1x0', 'a', 900),
    getJitRoute: (node) => node.getJitRoute(),
    nextEvent: (node) => node.nextEvent(),
    ackEvent: (node) => node.ackEvent('1'),
    events: (node) => node.events().next(),
    receivePayment: (node) => node.receivePayment(() => {}),
    getBalance: (node) => node.getBalance(),
    listChannels: (node) => node.listChannels(),
    watch: (node) => node.watch(),
    closeChannel: (node) => node.closeChannel('00'.repeat(32)),
    getOnchainAddress: (node) => node.getOnchainAddress(),
    sendAllOnchain: (node) => node.sendAllOnchain('bcrt1qcr8te4kr609gcawutmrza0j4xv80jy8zeqchgx', 1),
    getPayment: (node) => node.getPayment('00'.repeat(32)),
    listPayments: (node) => node.listPayments(),
  }

  for (const route of [undefined, { scid: '100x1x0', cltvExpiryDelta: 72 }]) {
    test(`every method fails with NODE_DESTROYED, ${route ? 'with' : 'without'} a JIT route`, async (t) => {
      const node = new MdkNode(wallet(t, route && { jitRoute: route }))
      node.destroy()
      const properties = Object.entries(Object.getOwnPropertyDescriptors(MdkNode.prototype))
      const methods = properties.filter(([name, { value }]) => typeof value === 'function' && name !== 'constructor').map(([name]) => name)
      for (const name of methods.filter((name) => !['destroy', 'stats'].includes(name))) {
        assert.ok(calls[name], `${name} has no line in this test`)
        const error = await rejection(async () => calls[name](node), name)
        assert.ok(isMdkError(error), `${name} failed with ${error}`)
        assert.equal(error.code, 'NODE_DESTROYED', name)
        assert.equal(error.retryable, false)
      }
      assert.equal(node.state, 'destroyed')
    })
  }

  test('a second destroy() does nothing and keeps the first report', (t) => {
    const node = new MdkNode(wallet(t))
    assert.equal(node.lastDestroy, null)
    node.destroy()
    const report = node.lastDestroy
    node.destroy()
    assert.deepEqual(node.lastDestroy, report)
  })
})

describe('the disposers', () => {
  test('[Symbol.dispose] destroys', { skip: typeof Symbol.dispose !== 'symbol' && 'no Symbol.dispose in this Node' }, async (t) => {
    const node = new MdkNode(wallet(t))
    await node.start()
    assert.equal(node[Symbol.dispose](), undefined)
    assert.equal(node.state, 'destroyed')
  })

  test('[Symbol.asyncDispose] stops, then destroys, also a node that is destroyed already', { skip: typeof Symbol.asyncDispose !== 'symbol' && 'no Symbol.asyncDispose in this Node' }, async (t) => {
    const node = new MdkNode(wallet(t))
    await node.start()
    await node[Symbol.asyncDispose]()
    assert.equal(node.state, 'destroyed')
    assert.deepEqual(node.lastDestroy.unfinished, [])
    await node[Symbol.asyncDispose]()
  })

  test('withNode gives the body its result and destroys', async (t) => {
    let seen
    const result = await withNode(wallet(t), async (node) => {
      seen = node
      await node.start()
      return 42
    })
    assert.equal(result, 42)
    assert.equal(seen.state, 'destroyed')
  })

  test("withNode rethrows the body's own error, thrown or rejected, and destroys", async (t) => {
    const mine = new Error('mine')
    const throws = () => {
      throw mine
    }
    for (const body of [throws, async () => throws()]) {
      let seen
      const error = await rejection(withNode(wallet(t), (node) => ((seen = node), body(node))))
      assert.equal(error, mine)
      assert.equal(seen.state, 'destroyed')
    }
  })
})
