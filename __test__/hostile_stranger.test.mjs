// Whoever answers at the LSP's address is not the LSP until Noise says so: another key, another protocol, silence, and a wire that
// changes what passes. The wallet says nothing of itself to them, and ends with a code in its time. And nobody can call it: it listens
// nowhere.

import assert from 'node:assert/strict'
import { createServer, connect } from 'node:net'
import { readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { startLab } from '../scripts/support/lab.mjs'
import { PATIENCE_MS, receiveOne, within } from './support/life.mjs'
import { IMPATIENT, besieged, isRefused } from './support/siege.mjs'

/** Noise's first act: a version, a fresh key, a tag. The static key, which says who calls, is in the third. */
const ACT_ONE_BYTES = 50

let lab
before(async () => (lab = await startLab()))
after(() => lab.stop())

/** A TCP server for as long as the test; resolves with its `host:port`. */
async function listening(t, onConnection) {
  const sockets = new Set()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => sockets.delete(socket))
    onConnection(socket)
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    return new Promise((resolve) => server.close(resolve))
  })
  return `127.0.0.1:${server.address().port}`
}

/** A relay to the LSP that hands each chunk of either way through `change(bytes, { down, at, connection })`. */
function relay(t, change) {
  const [host, port] = lab.info.lspAddress.split(':')
  let connections = 0
  return listening(t, (client) => {
    const connection = connections++
    const server = connect(Number(port), host)
    server.on('error', () => {})
    const pipe = (from, to, down) => {
      let at = 0
      from.on('data', (bytes) => {
        to.write(change(bytes, { down, at, connection }))
        at += bytes.length
      })
      from.on('close', () => to.destroy())
    }
    pipe(client, server, false)
    pipe(server, client, true)
  })
}

const STRANGERS = {
  'says nothing': () => {},
  'hangs up': (socket) => socket.destroy(),
  'speaks HTTP': (socket) => socket.write('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'),
  'echoes': (socket) => socket.pipe(socket),
  'answers the first act with zeros': (socket) => socket.write(Buffer.alloc(50)),
  'never ends': (socket) => {
    const more = () => {
      while (!socket.destroyed && socket.write(Buffer.alloc(16_384)));
    }
    socket.on('drain', more)
    more()
  },
}

test('a stranger at the LSP\'s address learns nothing, and every call ends with LSP_UNAVAILABLE in its time', async (t) => {
  const wallet = await besieged(t, lab)
  for (const [what, behave] of Object.entries(STRANGERS)) {
    let [most, calls] = [0, 0]
    const lspAddress = await listening(t, (socket) => {
      calls++
      socket.on('data', (bytes) => (most = Math.max(most, (socket.seen = (socket.seen ?? 0) + bytes.length))))
      behave(socket)
    })
    await wallet.live(async (node) => {
      const error = await isRefused(within(node.startReceiving(), `an end, when the stranger ${what}`), 'LSP_UNAVAILABLE', /lspNodeId/)
      assert.equal(error.retryable, true)
      await isRefused(within(node.receivePayment(() => assert.fail('no payment')), `an end, when the stranger ${what}`), 'LSP_UNAVAILABLE')
    }, { lspAddress, timeouts: { ...IMPATIENT, lspMs: 1_500 } })
    assert.ok(calls > 0, what)
    assert.ok(most <= ACT_ONE_BYTES, `${most} bytes were said to a stranger that ${what}`)
  }
  await wallet.isPayable()
})

test('an LSP with another key than lspNodeId is LSP_UNAVAILABLE, and does not learn who calls', async (t) => {
  const wallet = await besieged(t, lab)
  let most = 0
  const lspAddress = await relay(t, (bytes, { down, at }) => {
    if (!down) most = Math.max(most, at + bytes.length)
    return bytes
  })
  // Somebody else's key.
  const lspNodeId = '0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798'
  const { jitRoute, ...options } = wallet.options
  assert.ok(jitRoute)
  wallet.options = options
  const before = await wallet.committed()
  await wallet.live(async (node) => {
    await isRefused(within(node.startReceiving(), 'an end'), 'LSP_UNAVAILABLE', /lspNodeId/)
    await isRefused(within(node.getJitRoute(), 'an end'), 'LSP_UNAVAILABLE', /lspNodeId/)
  }, { lspAddress, lspNodeId, timeouts: { ...IMPATIENT, lspMs: 1_500 } })
  assert.ok(most > 0 && most <= ACT_ONE_BYTES, `${most} bytes`)
  assert.deepEqual(await wallet.committed(), before)
  await wallet.isPayable()
})

test('a wire that changes one byte loses that connection, never the payment', async (t) => {
  const wallet = await besieged(t, lab)
  // One byte of each act, of init's length and of its content, and of what comes later, on either way.
  for (const [down, place] of [[true, 10], [true, 49], [true, 51], [true, 80], [true, 400], [true, 900], [false, 60], [false, 140], [false, 500]]) {
    const lspAddress = await relay(t, (bytes, { down: way, at, connection }) => {
      if (connection === 0 && way === down && place >= at && place < at + bytes.length) bytes[place - at] ^= 1
      return bytes
    })
    await wallet.live(async (node) => {
      const received = await receiveOne(lab, node, 10_000)
      assert.equal(received.amountMsat, 10_000)
    }, { lspAddress })
  }
  assert.equal((await wallet.channels()).length, 1)
})

test('a wire that changes every connection ends with LSP_UNAVAILABLE in its time', async (t) => {
  const wallet = await besieged(t, lab)
  const lspAddress = await relay(t, (bytes, { down, at }) => {
    // The content of init, and a bit of all that follows it.
    if (down && at >= 50) bytes[bytes.length - 1] ^= 1
    return bytes
  })
  await wallet.withstands(async (node) => {
    await isRefused(within(node.startReceiving(), 'an end'), 'LSP_UNAVAILABLE')
  }, { lspAddress, timeouts: IMPATIENT })
})

/** Inodes of this process's listening TCP sockets. */
function listeners() {
  const listens = new Set()
  for (const table of ['tcp', 'tcp6']) {
    for (const line of readFileSync(`/proc/self/net/${table}`, 'utf8').trim().split('\n').slice(1)) {
      const fields = line.trim().split(/\s+/)
      if (fields[3] === '0A') listens.add(`socket:[${fields[9]}]`)
    }
  }
  const own = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`)
    } catch {
      return '' // the descriptor of the listing itself
    }
  })
  return own.filter((target) => listens.has(target)).sort()
}

test('a node listens nowhere, from its start to its end', async (t) => {
  const control = createServer()
  await new Promise((resolve) => control.listen(0, '127.0.0.1', resolve))
  assert.equal(listeners().length, 1, 'the test sees listeners')
  await new Promise((resolve) => control.close(resolve))

  const wallet = await besieged(t, lab, { warm: false })
  const before = listeners()
  await wallet.live(async (node) => {
    await node.startReceiving()
    assert.deepEqual(listeners(), before)
    const { bolt11 } = await node.getInvoice(21_000, 'x', 900)
    await Promise.all([lab.pay(bolt11), node.nextEvent(PATIENCE_MS)])
    assert.deepEqual(listeners(), before)
    await node.stop()
  })
  assert.deepEqual(listeners(), before)
})
