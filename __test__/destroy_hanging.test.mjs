// destroy() while something that the start needs hangs: a name server, the LSP's TCP connect, its Noise handshake, its init.
// (Esplora's and the LSP's links swallow all in destroy.test.mjs; disks die in dead_disk.test.mjs.)

import { after, before, describe, test } from 'node:test'
import { startLab } from '../scripts/support/lab.mjs'
import { MdkNode, generateMnemonic } from '../index.mjs'
import { SilentNameServer, noHangs } from './support/hang.mjs'
import { folder } from './support/life.mjs'
import { Child, all, vanished } from './support/life-process.mjs'
import { silentConnect, silentHandshake, silentInit } from './support/silence.mjs'
import { Pulse } from './support/pulse.mjs'

let lab
let pulse
before(async () => ([lab, pulse] = await Promise.all([startLab(), Pulse.start()])))
after(() => Promise.all([lab.stop(), pulse.stop()]))

const linux = process.platform === 'linux' ? false : 'connects that hang are told from others by /proc: Linux only'

/** Starts a node, waits until it has come to what hangs, destroys it there, and hands its wallet to another process. */
async function destroyedAt(t, { hanging, reached, env }) {
  const options = lab.options({ mnemonic: generateMnemonic(), store: `file:${folder(t)}` })
  const child = new Child(t, 'destroyStarting', { options: { ...options, ...hanging }, env })
  await child.said('starting')
  await reached(child.pid)
  child.release()
  await vanished(child, { pending: all(5), pulse })
  const next = new MdkNode({ ...options, lease: { attempts: 1 } })
  try {
    await next.start()
  } finally {
    next.destroy()
  }
}

describe('destroy() leaves nothing behind while the start waits for', () => {
  test("the LSP's TCP connect", { skip: linux }, async (t) => {
    const { address, reachedBy } = await silentConnect(t)
    await destroyedAt(t, { hanging: { lspAddress: address }, reached: reachedBy })
  })

  test("the LSP's half of the Noise handshake", async (t) => {
    const { address, reached } = await silentHandshake(t)
    await destroyedAt(t, { hanging: { lspAddress: address }, reached })
  })

  test("the LSP's init", async (t) => {
    const { address, reached } = await silentInit(t, lab.info.lspAddress)
    await destroyedAt(t, { hanging: { lspAddress: address }, reached })
  })

  test("a name server that is asked for the LSP's name", { skip: noHangs }, async (t) => {
    const server = await SilentNameServer.start(t)
    const reached = () => server.asked('lsp.example')
    await destroyedAt(t, { hanging: { lspAddress: 'lsp.example:9735' }, reached, env: server.env })
  })

  test("a name server that is asked for Esplora's name", { skip: noHangs }, async (t) => {
    const server = await SilentNameServer.start(t)
    const reached = () => server.asked('esplora.example')
    await destroyedAt(t, { hanging: { esploraUrl: 'http://esplora.example/api' }, reached, env: server.env })
  })
})
