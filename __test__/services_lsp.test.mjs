// An LSP that is down, unreachable, or somebody else: LSP_UNAVAILABLE within the bounds, and a payment that it holds is received
// when it is back, by the same node.

import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { locksHeld } from '../scripts/support/footprint.mjs'
import { startLab } from '../scripts/support/lab.mjs'
import { rejection, until, within } from './support/life.mjs'
import {
  ROUTE_CALLS,
  SESSION_CALLS,
  TIMEOUTS,
  assertTheRestWorks,
  eventually,
  failsWith,
  faulty,
  idle,
  nodeOf,
  promised,
  wallet,
} from './support/services.mjs'

let lab
// Payments are held as long as the tests may take, and a peer that a black hole swallowed is missed after a second, not twenty.
before(async () => (lab = await startLab({ args: ['--hold-ms', '600000', '--tick-ms', '500'] })))
after(() => lab.stop())

/** LSP_UNAVAILABLE that names the address and what to do. */
async function lspFails(call, address) {
  const error = await failsWith(call, 'LSP_UNAVAILABLE')
  assert.ok(error.message.includes(address) || error.message.includes(address.replace(':', ' port ')), error.message)
  assert.match(error.message, /retry|lspAddress/)
  return error
}

/** A server on loopback; its address. Each connection is given to `serve`. */
async function listen(t, serve) {
  const open = new Set()
  const server = createServer((socket) => {
    open.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => open.delete(socket))
    serve(socket)
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  return `127.0.0.1:${server.address().port}`
}

describe('an LSP', () => {
  for (const [what, fault] of Object.entries({ 'that tears every connection': 'reset', 'in a black hole': 'blackhole' })) {
    test(`${what} fails each call that needs it, and no other`, async (t) => {
      const { options, received } = await promised(lab, t, { timeouts: TIMEOUTS })
      const [node, routeless] = [nodeOf(t, options), nodeOf(t, wallet(lab, t, { timeouts: TIMEOUTS }))]
      await faulty(lab, 'lsp', fault, async () => {
        for (const call of Object.values(SESSION_CALLS)) {
          await lspFails(call(node), options.lspAddress)
          await idle(node)
        }
        for (const call of Object.values(ROUTE_CALLS)) await lspFails(call(routeless), options.lspAddress)
        await assertTheRestWorks(node)
        await lspFails(nodeOf(t, options).start(), options.lspAddress)
      })
      await received(node)
      assert.match((await eventually(() => routeless.getJitRoute())).scid, /^\d+x\d+x\d+$/)
    })
  }

  const strangers = {
    'an HTTP server': () => new URL(lab.info.controlUrl).host,
    'a TLS server': () => new URL(lab.info.esploraTlsUrl).host,
    'an echo': (t) => listen(t, (socket) => socket.pipe(socket)),
    'one who never speaks': (t) => listen(t, (socket) => socket.resume()),
    'one who hangs up at once': (t) => listen(t, (socket) => socket.end()),
    'one who speaks first, of something else': (t) => listen(t, (socket) => socket.write('220 mail.example ESMTP\r\n'.repeat(10))),
    'one who never stops': (t) =>
      listen(t, (socket) => {
        const pour = () => {
          while (socket.writable && socket.write(Buffer.alloc(65_536, 0xff))) continue
        }
        socket.on('drain', pour)
        pour()
      }),
  }
  for (const [who, at] of Object.entries(strangers)) {
    test(`whose address is that of ${who} is LSP_UNAVAILABLE, and the right address receives the payment`, async (t) => {
      const { options, received } = await promised(lab, t, { timeouts: TIMEOUTS })
      const lspAddress = await at(t)
      const stranger = nodeOf(t, { ...options, lspAddress })
      await lspFails(stranger.start(), lspAddress)
      await lspFails(stranger.receivePayment(() => assert.fail('received from a stranger')), lspAddress)
      stranger.destroy()
      await received(nodeOf(t, options))
    })
  }

  test('that nobody listens for is LSP_UNAVAILABLE', async (t) => {
    await lspFails(nodeOf(t, wallet(lab, t, { lspAddress: '127.0.0.1:1', timeouts: TIMEOUTS })).start(), '127.0.0.1:1')
  })

  test('whose name does not resolve is LSP_UNAVAILABLE', async (t) => {
    await lspFails(nodeOf(t, wallet(lab, t, { lspAddress: 'no-such-host.invalid:9735', timeouts: TIMEOUTS })).start(), 'no-such-host.invalid')
  })

  test("with another node's id is LSP_UNAVAILABLE that asks for the id", async (t) => {
    // The generator point: a public key that is surely not the LSP's.
    const lspNodeId = '0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798'
    const options = wallet(lab, t, { lspNodeId, timeouts: TIMEOUTS })
    const error = await lspFails(nodeOf(t, options).start(), options.lspAddress)
    assert.match(error.message, /lspNodeId/)
  })

  test("that answers late is given up at the call's own timeout, and the call begun later succeeds", async (t) => {
    const { options, received } = await promised(lab, t, { timeouts: { connectMs: 60_000, lspMs: 60_000 } })
    const node = nodeOf(t, options)
    await faulty(lab, 'lsp', 'blackhole', async () => {
      for (const call of [() => node.start({ timeoutMs: 200 }), () => node.startReceiving({ timeoutMs: 200 })]) {
        await failsWith(call(), 'TIMEOUT')
        await idle(node)
      }
    })
    await received(node)
  })

  test('that could not be reached leaves the wallet free for another node', async (t) => {
    const options = wallet(lab, t)
    const node = nodeOf(t, { ...options, timeouts: TIMEOUTS })
    await faulty(lab, 'lsp', 'reset', () => failsWith(node.start(), 'LSP_UNAVAILABLE'))
    await idle(node)
    assert.equal(locksHeld(), 0)
    // Of a node that shares what runs, it would be no news.
    node.destroy()
    await nodeOf(t, { ...options, lease: { attempts: 1 } }).start()
  })

  test('that goes for good while onPayment works is LSP_UNAVAILABLE, not a payment that is all done', async (t) => {
    const node = nodeOf(t, wallet(lab, t, { timeouts: { lspMs: 4_000 } }))
    const { bolt11 } = await node.getInvoice(21_000, 'One report', 900)
    const paying = lab.pay(bolt11)
    try {
      const receiving = node.receivePayment(async () => {
        await lab.post('/faults', { link: 'lsp', reset: true })
        await until(() => node.state === 'idle', 'the session to end without its LSP')
      }, { minMs: 15_000 })
      assert.equal((await rejection(receiving, 'receivePayment')).code, 'LSP_UNAVAILABLE')
    } finally {
      await lab.post('/faults', { link: 'lsp', reset: false })
    }
    // Whatever was not fulfilled is now; what was acked does not come again.
    await node.startReceiving()
    assert.ok((await paying).preimage)
  })

  test('that a black hole swallows does not hold up stop()', async (t) => {
    const node = nodeOf(t, wallet(lab, t))
    await node.startReceiving()
    await faulty(lab, 'lsp', 'blackhole', async () => {
      await within(node.stop(), 'stop() to resolve')
      assert.equal(node.state, 'idle')
    })
    await node.startReceiving()
  })

  test('that a black hole swallows under a running node ends receivePayment by its bounds, and the payment comes later', async (t) => {
    const node = nodeOf(t, wallet(lab, t))
    const { bolt11, paymentHash } = await node.getInvoice(21_000, 'One report', 900)
    await node.startReceiving()
    let paying
    await faulty(lab, 'lsp', 'blackhole', async () => {
      paying = lab.pay(bolt11, 60_000)
      const seen = await within(node.receivePayment(() => {}, { minMs: 500, deadlineMs: 2_000 }), 'receivePayment to end')
      assert.deepEqual(seen, [])
    })
    const payments = await node.receivePayment(() => {}, { minMs: 20_000 })
    assert.deepEqual(payments.map((payment) => payment.paymentHash), [paymentHash])
    assert.ok((await paying).preimage)
  })
})
