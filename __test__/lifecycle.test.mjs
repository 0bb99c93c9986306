// A node's life through the addon, with services that are down or silent: what waits is ended, and nothing is left.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { MdkNode, withNode } from '../index.mjs'
import { runInChild } from './support/child.mjs'
import { options, unrouted } from './support/options.mjs'
import { rejects } from './support/refused.mjs'
import { descriptors, noThreads, threads } from './support/threads.mjs'

/** A service that accepts and never answers. `reached` resolves when someone has connected. */
async function silence(t) {
  const sockets = []
  const server = createServer((socket) => sockets.push(socket.on('error', () => {})))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const reached = once(server, 'connection')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { port: server.address().port, reached }
}

test('loading mayfly and minting start no thread and open no socket', () => {
  const child = runInChild(
    `const { isMdkError } = mayfly
    const loaded = threads()
    new mayfly.MdkNode(OPTIONS).getInvoice(1000, 'x', 900).then(() => console.log(before, loaded, threads()))`,
    { before: "const threads = () => require('fs').readdirSync('/proc/self/task').length; const before = threads()" },
  )
  assert.equal(child.status, 0, child.stderr)
  const [before, loaded, minted] = child.stdout.trim().split(' ')
  assert.equal(loaded, before)
  assert.equal(minted, before)
})

test('destroy() ends a call that waits, from within the same turn and later', async (t) => {
  const { port, reached } = await silence(t)
  for (const wait of [async () => {}, () => reached]) {
    const node = new MdkNode(options({ esploraUrl: `http://127.0.0.1:${port}` }))
    const pending = rejects(() => node.start(), 'NODE_DESTROYED')
    await wait()
    node.destroy()
    await pending
    assert.equal(node.state, 'destroyed')
    assert.ok(node.lastDestroy.durationMs >= 0)
    assert.deepEqual(node.lastDestroy.unfinished, [])
    await rejects(() => node.start(), 'NODE_DESTROYED')
    await rejects(() => node.getInvoice(1000, 'x', 900), 'NODE_DESTROYED')
    node.destroy()
  }
})

test('after destroy() threads and file descriptors are back to where they were', async (t) => {
  const { port, reached } = await silence(t)
  const before = descriptors()
  const node = new MdkNode(options({ esploraUrl: `http://127.0.0.1:${port}` }))
  const pending = rejects(() => node.start(), 'NODE_DESTROYED')
  await reached
  assert.equal(threads(), 1)
  node.destroy()
  await noThreads()
  // One is the service's own end of the connection.
  assert.equal(descriptors(), before + 1)
  await pending
})

test('a signal and a deadline end a call that waits, and the node can be used again', async (t) => {
  const { port, reached } = await silence(t)
  const node = new MdkNode(unrouted({ esploraUrl: `http://127.0.0.1:${port}` }))
  const controller = new AbortController()
  const pending = rejects(() => node.start({ signal: controller.signal }), 'ABORTED')
  await reached
  controller.abort('enough')
  assert.equal((await pending).cause, 'enough')
  assert.equal((await rejects(() => node.getJitRoute({ timeoutMs: 1 }), 'TIMEOUT')).retryable, true)
  node.destroy()
})

test('disposing never throws for a node that is over', async () => {
  const node = new MdkNode(options())
  node.destroy()
  await node[Symbol.asyncDispose]()
  node[Symbol.dispose]()
  const other = new MdkNode(options())
  await other[Symbol.asyncDispose]()
  assert.equal(other.state, 'destroyed')
})

test('withNode destroys on every exit, and the body has the last word', async () => {
  let node
  const body = (result) => async (given) => {
    node = given
    if (result instanceof Error) throw result
    return result
  }
  assert.equal(await withNode(options(), body(5)), 5)
  assert.equal(node.state, 'destroyed')
  const mine = new Error('mine')
  await assert.rejects(withNode(options(), body(mine)), (error) => error === mine)
  assert.equal(node.state, 'destroyed')
})

test('a node that was forgotten while it waits does not keep the process from its other work, nor crash it', () => {
  const child = runInChild(
    `for (let i = 0; i < 200; i++) new mayfly.MdkNode(OPTIONS)
    new mayfly.MdkNode(OPTIONS).start().catch((e) => console.log('ended', mayfly.isMdkError(e)))
    setImmediate(() => { gc(); setImmediate(() => { gc(); new mayfly.MdkNode(OPTIONS) }) })`,
    { flags: ['--expose-gc'] },
  )
  assert.equal(child.status, 0, child.stderr)
  assert.equal(child.stdout, 'ended true\n')
})

test('the process may exit while a node waits', () => {
  const child = runInChild(`
    const server = require('net').createServer(() => process.exit(7)).listen(0, '127.0.0.1', () => {
      const esploraUrl = 'http://127.0.0.1:' + server.address().port
      new mayfly.MdkNode({ ...OPTIONS, esploraUrl }).start()
    })`)
  assert.equal(child.status, 7, child.stderr)
})

test('a log listener hears the node, may throw and reject, and does not keep the process alive', () => {
  const child = runInChild(`
    let shown = 0
    mayfly.setLogListener((...args) => {
      if (shown++ === 0) console.log(args.length, Object.keys(args[0]).join(), typeof args[0].timestampMs)
      if (shown % 2) throw new Error('ignored')
      return Promise.reject(new Error('ignored'))
    }, 'trace')
    new mayfly.MdkNode(OPTIONS).start().catch(() => {})`)
  assert.equal(child.status, 0, child.stderr)
  assert.equal(child.stdout, '1 level,target,message,fields,timestampMs number\n')
})
