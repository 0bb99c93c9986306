// How a process sees that a service which it needs hangs: what each of them is asked, and that nobody answers. Shared by the
// tests of a destroy() meanwhile and by the benchmark.

import { existsSync, readFileSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'

/** By the environment that hang.mjs gives. */
const disk = () => process.env.HANG_SWITCH

/** From now on, and until `revive`, that call of this process's disk does not return. */
export function die(call) {
  rmSync(`${disk()}.hanging`, { force: true })
  writeFileSync(disk(), call)
}

export function revive() {
  rmSync(disk(), { force: true })
}

/** Whether a start of that node has come to the service that hangs. */
export const REACHED = {
  esplora: (node) => node.stats()?.chainRequests > 0,
  /** All else is done, and the first act of the handshake is sent. */
  lsp: (node) => node.stats()?.lspBytesSent > 0 && node.stats().phases.syncedMs !== undefined,
  dns: () => asks(),
  disk: () => existsSync(`${disk()}.hanging`),
  /** Connected, whoever took the connection. */
  postgres: (node, { store }) => isConnectedTo(Number(new URL(store).port)),
}

/** This process, to a port of this machine. */
function isConnectedTo(port) {
  const ESTABLISHED = '01'
  const lines = readFileSync('/proc/self/net/tcp', 'utf8').trim().split('\n').slice(1)
  const inodes = lines.map((line) => line.trim().split(/\s+/)).filter(([, , remote, state]) => parseInt(remote.split(':')[1], 16) === port && state === ESTABLISHED).map((fields) => fields[9])
  return hasSocket(new Set(inodes.map((inode) => `socket:[${inode}]`)))
}

/** Questions to name servers are the only datagrams of a process that has nothing but mayfly in it. */
function asks() {
  const lines = readFileSync('/proc/self/net/udp', 'utf8').trim().split('\n').slice(1)
  const inodes = new Set(lines.map((line) => `socket:[${line.trim().split(/\s+/)[9]}]`))
  return hasSocket(inodes)
}

function hasSocket(inodes) {
  return readdirSync('/proc/self/fd').some((fd) => {
    try {
      return inodes.has(readlinkSync(`/proc/self/fd/${fd}`))
    } catch {
      return false // closed between the two calls
    }
  })
}
