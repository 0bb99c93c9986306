// Environments that come and go: a worker that is ended, in whatever state its nodes are, takes them with it and nothing else.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { root, runInChild } from './support/child.mjs'
import { options } from './support/options.mjs'
import { noThreads, threads } from './support/threads.mjs'

/** A worker that runs `code`, with `mayfly`, `OPTIONS` and `parentPort` given. */
function worker(code, more = {}) {
  const source = `const { parentPort } = require('node:worker_threads')
    const mayfly = require(${JSON.stringify(root)})
    const OPTIONS = ${JSON.stringify(options(more))}
    ${code}`
  return new Worker(source, { eval: true })
}

async function silence(t) {
  const sockets = []
  const server = createServer((socket) => {
    sockets.push(socket.on('error', () => {}))
    server.emit('reached')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return server
}

test('a worker loads, mints and ends by itself', async () => {
  const ended = once(worker("new mayfly.MdkNode(OPTIONS).getInvoice(1000, 'x', 900).then((i) => parentPort.postMessage(i.bolt11))"), 'exit')
  assert.deepEqual(await ended, [0])
})

test('a worker that is terminated while its nodes wait leaves no thread', async (t) => {
  for (let round = 0; round < 3; round++) {
    // Its own service, so that a late connection of the last round is not taken for one of this.
    const server = await silence(t)
    const esploraUrl = `http://127.0.0.1:${server.address().port}`
    const reached = once(server, 'reached')
    const busy = worker(
      `mayfly.setLogListener(() => {}, 'trace')
      for (let i = 0; i < 3; i++) new mayfly.MdkNode({ ...OPTIONS, mnemonic: mayfly.generateMnemonic() }).start().catch(() => {})
      setInterval(() => {}, 1000)`,
      { esploraUrl },
    )
    await reached
    assert.ok(threads() > 0)
    await busy.terminate()
    await noThreads()
  }
})

test('a worker that calls process.exit while its nodes wait leaves no thread', async (t) => {
  const server = await silence(t)
  const reached = once(server, 'reached')
  const busy = worker(
    `new mayfly.MdkNode(OPTIONS).start().catch(() => {})
    parentPort.once('message', () => process.exit(3))`,
    { esploraUrl: `http://127.0.0.1:${server.address().port}` },
  )
  await reached
  assert.ok(threads() > 0)
  busy.postMessage('now')
  assert.deepEqual(await once(busy, 'exit'), [3])
  await noThreads()
})

test('the nodes of other environments go on', async () => {
  const stays = worker(
    `const node = new mayfly.MdkNode(OPTIONS)
    parentPort.on('message', () => node.getInvoice(1000, 'x', 900).then((i) => parentPort.postMessage(i.amountMsat)))
    parentPort.postMessage('ready')`,
  )
  await once(stays, 'message')
  const goes = worker("new mayfly.MdkNode(OPTIONS); parentPort.postMessage('ready'); setInterval(() => {}, 1000)")
  await once(goes, 'message')
  await goes.terminate()
  stays.postMessage('mint')
  assert.deepEqual(await once(stays, 'message'), [1000])
  await stays.terminate()
})

test('many workers at once come and go in a process that then ends well', () => {
  const child = runInChild(`
    const { Worker } = require('node:worker_threads')
    const source = 'const mayfly = require(' + JSON.stringify(${JSON.stringify(root)}) + ');'
      + 'const node = new mayfly.MdkNode(' + JSON.stringify(OPTIONS) + ');'
      + 'for (let i = 0; i < 20; i++) { node.start().catch(() => {}); node.nextEvent(1000).catch(() => {}) }'
      + 'require("node:worker_threads").parentPort.postMessage(0);'
    const one = () => new Promise((resolve) => {
      const w = new Worker(source, { eval: true })
      w.once('message', () => w.terminate().then(resolve))
    })
    ;(async () => { for (let i = 0; i < 5; i++) await Promise.all([one(), one(), one(), one()]); console.log('done') })()`)
  assert.equal(child.signal, null)
  assert.equal(child.status, 0, child.stderr)
  assert.equal(child.stdout, 'done\n')
})
