// The channel to the parent: a shutdown closes it, so that what the parent waits for is over; its end is a reason to shut down; and
// nobody is kept alive by the hook for that.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { folder } from './support/life.mjs'
import { within } from './support/until.mjs'
import { WorkerProcess, silentService } from './support/worker_process.mjs'

const CONNECTED = "const client = require('node:net').connect(process.env.SOCKET); client.on('error', () => {})\n"
/** Said when nothing is left to do: the event loop would end now. */
const ENDING = "process.once('beforeExit', () => say({ ending: true }))\n"
const ANSWERS = "process.send(message + 1)"

/** A server of the parent on a Unix socket, and when it is closed. */
async function parentServer(t) {
  const path = `${folder(t)}/ipc`
  const server = createServer()
  server.listen(path)
  await once(server, 'listening')
  t.after(() => server.close())
  return { server, path, closed: () => within('server.close() to finish', new Promise((resolve) => server.close(resolve))) }
}

/** The child answers so often: one that nothing keeps would have ended. */
async function answers(worker, times = 5) {
  for (let i = 0; i < times; i++) {
    const answer = once(worker.process, 'message')
    worker.process.send(i)
    assert.deepEqual(await within('an answer', answer), [i + 1, undefined])
  }
}

test("the close of the parent's channel ends the worker, its nodes first", async (t) => {
  const service = await silentService(t)
  const worker = new WorkerProcess(t, `
    mayfly.installShutdownHooks({ exitCode: 12 })
    const node = new mayfly.MdkNode(OPTIONS)
    outcome(node.start()).then((pending) => say({ pending }))`, { ipc: true, given: { esploraUrl: service.url } })
  await service.reached()
  worker.process.disconnect()
  assert.equal((await worker.ends(12)).pending, 'NODE_DESTROYED')
})

test('not so with ipcDisconnect: false', async (t) => {
  const worker = new WorkerProcess(t, `
    mayfly.installShutdownHooks({ ipcDisconnect: false, exitCode: 12 })
    process.once('disconnect', () => setImmediate(() => say({ lives: true })))
    say({ ready: true })`, { ipc: true })
  await worker.said('ready')
  worker.process.disconnect()
  assert.equal((await worker.ends(0)).lives, true)
})

test("after a shutdown the parent's server.close() finishes: the worker's own connection has ended with it", async (t) => {
  const { server, path, closed } = await parentServer(t)
  const worker = new WorkerProcess(t, `${CONNECTED}mayfly.installShutdownHooks()\nclient.on('connect', () => say({ connected: true }))`, { ipc: true, env: { SOCKET: path } })
  await Promise.all([once(server, 'connection'), worker.said('connected')])
  worker.kill('SIGTERM')
  await Promise.all([closed(), worker.ends(0)])
})

test("and that of a server whose connection was handed to the worker finishes although the worker's exit hangs", async (t) => {
  const { server, path, closed } = await parentServer(t)
  const worker = new WorkerProcess(t, `
    process.on('message', (message, socket) => {
      globalThis.kept = socket
      say({ has: true })
      process.on('exit', () => { for (;;); })
      mayfly.shutdownWorker({ killAfterMs: 60000 })
    })`, { ipc: true })
  const client = connect(path)
  t.after(() => client.destroy())
  const [socket] = await once(server, 'connection')
  worker.process.send('yours', socket)
  await worker.said('has')
  await closed()
  assert.equal(worker.process.exitCode ?? worker.process.signalCode, null, 'it hangs still')
  worker.kill('SIGKILL')
  await worker.ends('SIGKILL')
})

test('exit: false closes the channel as well, which is then no reason to exit', async (t) => {
  const worker = new WorkerProcess(t, `
    mayfly.installShutdownHooks({ exitCode: 12 })
    process.on('message', () => {})
    process.once('disconnect', () => setImmediate(async () => {
      await new Promise((resolve) => setImmediate(resolve))
      say({ minted: (await new mayfly.MdkNode(OPTIONS).getInvoice(1000, 'x', 900)).amountMsat, connected: process.connected })
    }))
    mayfly.shutdownWorker({ exit: false }).then(() => { process.exitCode = 9 })`, { ipc: true })
  const said = await worker.ends(9)
  assert.deepEqual([said.minted, said.connected], [1000, false])
})

test("a cluster's worker leaves with its own code, or stays", async (t) => {
  const worker = new WorkerProcess(t, `
    const cluster = require('node:cluster')
    cluster.setupPrimary({ exec: process.env.SCRIPT, execArgv: [] })
    for (const exit of [true, false]) cluster.fork({ EXIT: exit }).once('exit', (code, signal) => say({ [exit ? 'left' : 'stayed']: [code, signal] }))
  `, { env: { SCRIPT: fileURLToPath(new URL('./support/cluster-worker.cjs', import.meta.url)) } })
  const { left, stayed } = await worker.ends(0)
  assert.deepEqual([left, stayed], [[21, null], [22, null]])
})

describe('the hook for the channel', { concurrency: 4 }, () => {
  test('keeps no worker alive', async (t) => {
    const worker = new WorkerProcess(t, 'mayfly.installShutdownHooks()', { ipc: true })
    await worker.ends(0)
    await new WorkerProcess(t, 'mayfly.installShutdownHooks(); mayfly.installShutdownHooks()', { ipc: true }).ends(0)
  })

  for (const [when, code] of Object.entries({
    'came before it': `process.on('message', listener); mayfly.installShutdownHooks()`,
    'comes after it': `mayfly.installShutdownHooks(); process.on('message', listener)`,
    'stays when it is uninstalled': `const uninstall = mayfly.installShutdownHooks(); process.on('message', listener); uninstall()`,
  })) {
    test(`leaves it to a 'message' listener that ${when}`, async (t) => {
      const worker = new WorkerProcess(t, `${ENDING}
        const listener = (message) => {
          if (message !== 'enough') return ${ANSWERS}
          say({ enough: true })
          process.removeListener('message', listener)
        }
        ${code}`, { ipc: true })
      await answers(worker)
      worker.process.send('enough')
      const said = await worker.ends(0)
      assert.deepEqual(said, { enough: true, ending: true })
    })
  }

  test('does as much as it can without the count of listeners, which is no public part of Node', async (t) => {
    const uncounted = 'process.channel.unrefCounted = undefined\n'
    await new WorkerProcess(t, `${uncounted}mayfly.installShutdownHooks()`, { ipc: true }).ends(0)
    const worker = new WorkerProcess(t, `${uncounted}${ENDING}process.on('message', (message) => ${ANSWERS}); mayfly.installShutdownHooks({ exitCode: 5 })`, { ipc: true })
    await answers(worker)
    worker.process.disconnect()
    await worker.ends(5)
  })

  test("leaves it to a 'disconnect' listener of the user's own", async (t) => {
    const worker = new WorkerProcess(t, `${ENDING}
      mayfly.installShutdownHooks({ ipcDisconnect: true, exitCode: 3 })
      process.on('disconnect', () => say({ heard: true }))
      process.once('SIGUSR1', () => say({ kept: true }))
      say({ ready: true })`, { ipc: true })
    await worker.said('ready')
    worker.kill('SIGUSR1')
    await worker.said('kept')
    worker.process.disconnect()
    assert.deepEqual(await worker.ends(3), { ready: true, kept: true, heard: true })
  })
})
