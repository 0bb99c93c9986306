// Services that hang at one step of the way to the LSP: TCP's connect, Noise's second act, `init`. Each says when somebody
// has come as far as that.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { until } from './life.mjs'

/** BOLT 8's handshake: acts one and three go up, act two comes down. */
const ACT_ONE = 50
const ACT_TWO = 50
const ACT_THREE = 66

/** Listens and never accepts: its process stands still. Linux then drops a SYN when the queue is full. */
const NEVER_ACCEPTS = `
  const server = require('node:net').createServer()
  server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
    require('node:fs').writeSync(1, server.address().port + '\\n')
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  })`

/** A port whose TCP connects hang. `reachedBy(pid)` resolves when that process has one under way. */
export async function silentConnect(t) {
  const child = spawn(process.execPath, ['-e', NEVER_ACCEPTS], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  const [line] = await once(createInterface({ input: child.stdout }), 'line')
  const port = Number(line)
  // The queue takes a connection or two; the first that stays half-open shows that it is full.
  for (let fillers = 0; connecting(port).length === 0; fillers++) {
    if (fillers > 64) throw new Error('64 connections fit into a queue of one')
    const filler = connect({ port, host: '127.0.0.1' }).on('error', () => {})
    t.after(() => filler.destroy())
    await until(() => filler.pending === false || connecting(port).length > 0, 'a connection to be made, or not')
  }
  const address = `127.0.0.1:${port}`
  return { address, reachedBy: (pid) => until(() => connecting(port).some((inode) => sockets(pid).includes(inode)), 'a connect that hangs') }
}

/** Accepts and never says a word. `reached` resolves when Noise's first act is there. */
export async function silentHandshake(t) {
  let heard = 0
  const server = await listening(t, (socket) => socket.on('data', (data) => (heard += data.length)))
  return { address: addressOf(server), reached: () => until(() => heard >= ACT_ONE, "Noise's first act") }
}

/** A way to the LSP that passes the handshake, then swallows all. `reached` resolves when the LSP's `init` is swallowed. */
export async function silentInit(t, lspAddress) {
  const [host, port] = lspAddress.split(':')
  let swallowed = 0
  const pass = (from, to, bytes) => {
    let left = bytes
    from.on('data', (data) => {
      to.write(data.subarray(0, left))
      const passed = Math.min(left, data.length)
      left -= passed
      if (to.isClient) swallowed += data.length - passed
    })
  }
  const server = await listening(t, (client) => {
    const lsp = connect({ host, port: Number(port) }).on('error', () => {})
    client.isClient = true
    client.once('close', () => lsp.destroy())
    lsp.once('close', () => client.destroy())
    pass(client, lsp, ACT_ONE + ACT_THREE)
    pass(lsp, client, ACT_TWO)
  })
  return { address: addressOf(server), reached: () => until(() => swallowed > 0, "the LSP's init") }
}

async function listening(t, onConnection) {
  const sockets = new Set()
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}))
    onConnection(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return server
}

const addressOf = (server) => `127.0.0.1:${server.address().port}`

/** The inodes of sockets that have sent a SYN to that port and no answer yet. */
function connecting(port) {
  const SYN_SENT = '02'
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  const lines = readFileSync('/proc/net/tcp', 'utf8').trim().split('\n').slice(1)
  const fields = lines.map((line) => line.trim().split(/\s+/))
  return fields.filter(([, , remote, state]) => remote.endsWith(`:${hex}`) && state === SYN_SENT).map((field) => field[9])
}

/** The inodes of a process's sockets. */
function sockets(pid) {
  return readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`).match(/^socket:\[(\d+)\]$/)?.[1]
    } catch {
      return undefined // closed between the two calls
    }
  })
}
