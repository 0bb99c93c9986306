'use strict'
// destroy() again and again, each time while a service hangs. `input.state` says which, and how far the node had come.

const { now, input, say } = require('./support.cjs')
const { createServer } = require('node:net')
const { MdkNode } = require('../../index.js')

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

/** Waits for what the node's own counters say. */
async function until(node, holds) {
  while (!holds(node.stats())) await new Promise((resolve) => setTimeout(resolve, 1))
}

/** What each state hangs with, and how it is reached; resolves with what ends it. */
const STATES = {
  async 'chain, starting'(node) {
    await blackhole('esplora', true)
    node.start().catch(() => {})
    await until(node, (stats) => stats?.chainRequests > 0)
    return () => blackhole('esplora', false)
  },
  async 'chain, running'(node) {
    await node.startReceiving()
    await blackhole('esplora', true)
    return () => blackhole('esplora', false)
  },
  async 'lsp, handshake'(node) {
    node.start().catch(() => {})
    await until(node, (stats) => stats?.lspBytesSent > 0 && stats.phases.syncedMs !== undefined)
  },
  async 'lsp, running'(node) {
    await node.startReceiving()
    await blackhole('lsp', true)
    return () => blackhole('lsp', false)
  },
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
