'use strict'
// destroy() again and again, each time while a service hangs. `input.state` says which, and how far the node had come.

const { now, input, say } = require('./support.cjs')
const { createServer } = require('node:net')
const { MdkNode } = require('../../index.js')

/** How a process sees what hangs. */
const hanging = import('../../__test__/support/hanging.mjs')

/** Takes Noise's first act and never says anything. */
const muteServer = () =>
  new Promise((resolve) => {
    const server = createServer((socket) => socket.resume().on('error', () => {}))
    server.listen(0, '127.0.0.1', () => resolve(server))
  })

const blackhole = (link, on) =>
  fetch(`${input.controlUrl}/faults`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ link, blackhole: on }),
  })

async function until(holds) {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 1))
}

/** Begins a start, and waits until it is with the service that hangs. */
async function startInto(node, service) {
  const { REACHED } = await hanging
  node.start().catch(() => {})
  await until(() => REACHED[service](node))
}

/** What each state hangs with, and how it is reached; resolves with what ends it. */
const STATES = {
  async 'chain, starting'(node) {
    await blackhole('esplora', true)
    await startInto(node, 'esplora')
    return () => blackhole('esplora', false)
  },
  async 'chain, running'(node) {
    await node.startReceiving()
    await blackhole('esplora', true)
    return () => blackhole('esplora', false)
  },
  'lsp, handshake': (node) => startInto(node, 'lsp'),
  async 'lsp, running'(node) {
    await node.startReceiving()
    await blackhole('lsp', true)
    return () => blackhole('lsp', false)
  },
  'dns, starting': (node) => startInto(node, 'dns'),
  async 'disk, claiming'(node) {
    const { die, revive } = await hanging
    die('fdatasync')
    await startInto(node, 'disk')
    return revived(revive)
  },
}

/** The thread that destroy() left ends when its disk is back; until then its lock is not free for the next. */
const revived = (revive) => async () => {
  revive()
  const { noThreads } = await import('../../__test__/support/threads.mjs')
  await noThreads()
}

async function main() {
  const mute = input.state === 'lsp, handshake' ? await muteServer() : undefined
  const options = mute ? { ...input.options, lspAddress: `127.0.0.1:${mute.address().port}` } : input.options
  const took = []
  const unfinished = []
  for (let i = 0; i < input.times; i++) {
    const node = new MdkNode(options)
    const recover = await STATES[input.state](node)
    const began = now()
    node.destroy()
    took.push(now() - began)
    unfinished.push(node.lastDestroy.unfinished.length)
    await recover?.()
  }
  mute?.close()
  say({ took, unfinished })
}

main()
