// shutdownWorker and installShutdownHooks: every live node ends, who waited is told, nothing starts meanwhile, and the worker leaves
// with the code asked for. (The kill timer: kill_timer.test.mjs; the IPC channel: shutdown_ipc.test.mjs.)

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { root } from './support/child.mjs'
import { Disk, noHangs } from './support/hang.mjs'
import { folder } from './support/life.mjs'
import { unrouted } from './support/options.mjs'
import { WorkerProcess, silentService } from './support/worker_process.mjs'

/** Pauses of 2 s between two tries at a lock, which a shutdown with its 1 s does not wait out: what ends in time was ended. */
const PATIENT = { attempts: 100, baseDelayMs: 2_000, maxWaitMs: 240_000 }

/** The record of the shutdown. */
const RECORD = "mayfly.setLogListener((record) => { if (record.message.startsWith('the worker')) say({ record: record.fields }) })\n"
/** A thread like the main thread's code, which talks through its parent. */
const THREAD = `
  const { Worker } = require('node:worker_threads')
  const thread = (code) => new Worker('const mayfly = require(' + ${JSON.stringify(JSON.stringify(root))} + '); const OPTIONS = ' + JSON.stringify(OPTIONS) + ";"
    + "const { parentPort } = require('node:worker_threads'); const outcome = (promise) => promise.then(() => 'resolved', (error) => error.code);" + code, { eval: true })
`

/** A worker whose node starts, with a chain that never answers. */
function starting(t, code, service) {
  const given = { esploraUrl: service.url }
  return new WorkerProcess(t, `${RECORD}const node = new mayfly.MdkNode(OPTIONS)\nconst pending = outcome(node.start())\n${code}\nsay({ ready: true })`, { given })
}

/** The same, come so far that it waits for the chain. */
async function waiting(t, code) {
  const service = await silentService(t)
  const worker = starting(t, code, service)
  await Promise.all([service.reached(), worker.said('ready')])
  return worker
}

describe('a signal', { concurrency: 4 }, () => {
  for (const signal of ['SIGTERM', 'SIGINT']) {
    test(`${signal} ends the nodes, tells who waits, and exits with 0`, async (t) => {
      const worker = await waiting(t, `mayfly.installShutdownHooks(); pending.then((pending) => say({ pending, state: node.state })); 
        // Linux lists a thread for a moment after its end, and under its maker's name for one after its beginning; what stays is what the
        // kill timer finds.
        process.on('exit', (code) => { while (threads().join() !== 'mayfly-kill'); say({ code, threads: threads() }) })`)
      worker.kill(signal)
      const said = await worker.ends(0)
      assert.equal(said.pending, 'NODE_DESTROYED')
      assert.equal(said.state, 'destroyed')
      assert.equal(said.record.nodes, 1)
      assert.ok(!('unfinished' in said.record))
      assert.equal(said.code, 0)
      assert.deepEqual(said.threads, ['mayfly-kill'])
    })
  }

  test('exits with the code asked for', async (t) => {
    const worker = await waiting(t, "mayfly.installShutdownHooks({ signals: ['SIGUSR2'], exitCode: 43 })")
    worker.kill('SIGUSR2')
    await worker.ends(43)
  })

  test('that comes twice, with hooks installed twice and a call of its own, ends the worker once', async (t) => {
    const worker = starting(t, `
      let records = 0
      mayfly.setLogListener(({ message }) => { if (message.startsWith('the worker')) records++ })
      let exits = 0
      process.on('exit', () => say({ records, exits: ++exits }))
      mayfly.installShutdownHooks({ exitCode: 3 })
      mayfly.installShutdownHooks({ exitCode: 4 })
      process.kill(process.pid, 'SIGTERM')
      process.once('SIGTERM', () => {
        process.kill(process.pid, 'SIGINT')
        mayfly.shutdownWorker({ exitCode: 5 })
      })`, await silentService(t))
    const { records, exits } = await worker.ends(3)
    assert.deepEqual({ records, exits }, { records: 1, exits: 1 })
  })

  test('during a shutdown that was not to exit makes it exit', async (t) => {
    const worker = starting(t, `mayfly.installShutdownHooks({ exitCode: 6 }); mayfly.shutdownWorker({ exit: false }).then(() => say({ stayed: true })); process.emit('SIGTERM')`, await silentService(t))
    assert.ok(!('stayed' in (await worker.ends(6))))
  })

  test('does what it did before once the hooks are uninstalled, and no listener is left', async (t) => {
    const worker = new WorkerProcess(t, `
      const count = () => ['SIGTERM', 'SIGINT', 'SIGHUP', 'disconnect', 'exit', 'beforeExit'].map((name) => process.listenerCount(name))
      const before = count()
      const uninstall = mayfly.installShutdownHooks({ signals: ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGHUP'] })
      const between = count()
      uninstall()
      uninstall()
      say({ before, between, after: count() })
      setInterval(() => {}, 1000)
      say({ ready: true })`, { ipc: true })
    await worker.said('ready')
    worker.kill('SIGTERM')
    const { before, between, after } = await worker.ends('SIGTERM')
    assert.deepEqual(between.map((count, i) => count - before[i]), [1, 1, 1, 1, 0, 0])
    assert.deepEqual(after, before)
  })

  test('hook does not keep a worker that has nothing to do', async (t) => {
    await new WorkerProcess(t, 'mayfly.installShutdownHooks()', { ipc: true }).ends(0)
  })
})

test('every call that waits for a lock ends at once', async (t) => {
  const store = `file:${folder(t)}`
  const silent = await silentService(t)
  // It has the lock from before its chain answers, which is never.
  const holder = new WorkerProcess(t, `
    new mayfly.MdkNode(OPTIONS).start()
    const held = () => fs.readFileSync('/proc/locks', 'utf8').includes('FLOCK  ADVISORY  WRITE ' + process.pid + ' ')
    setInterval(() => { if (held()) say({ held: true }) }, 10)`, { given: { store, esploraUrl: silent.url } })
  await holder.said('held')
  const worker = new WorkerProcess(t, `${RECORD}
    const { jitRoute, ...unrouted } = OPTIONS
    const nodes = []
    const make = () => nodes[nodes.push(new mayfly.MdkNode(unrouted)) - 1]
    const calls = [
      make().start(), make().startReceiving(), make().receivePayment(() => {}), make().getJitRoute(), make().getInvoice(1000, 'x', 900),
      make().watch(), make().sendAllOnchain('bcrt1q6rz28mcfaxtmd6v789l9rrlrusdprr9pz3cppk', 2), make().closeChannel('00'.repeat(32), { force: true }), make().ackEvent('x'),
    ].map(outcome)
    const one = make()
    calls.push(...[one.start(), one.start(), one.getJitRoute(), one.nextEvent(60000)].map(outcome))
    const look = setInterval(async () => {
      if (!nodes.slice(0, 4).every((node) => node.state === 'starting')) return
      clearInterval(look)
      mayfly.shutdownWorker()
      say({ outcomes: await Promise.all(calls) })
    }, 5)`, { given: { ...unrouted({ store }), lease: PATIENT } })
  const { outcomes, record } = await worker.ends(0)
  assert.deepEqual(outcomes, Array(13).fill('NODE_DESTROYED'))
  // They were told to end, and did: nothing was given up on.
  assert.ok(!('unfinished' in record), record.unfinished)
})

test('while a worker shuts down nothing starts, but an invoice is still minted; after exit: false all is as new', async (t) => {
  const service = await silentService(t)
  const worker = new WorkerProcess(t, `${RECORD}
    const before = new mayfly.MdkNode(OPTIONS)
    const pending = outcome(before.start())
    const shutdown = mayfly.shutdownWorker({ exit: false })
    const meanwhile = new mayfly.MdkNode(OPTIONS)
    const refused = (call) => call.then(() => say({ failed: 'it started' }), (error) => ({ code: error.code, says: /shutting down/.test(error.message) }))
    ;(async () => {
      say({ started: await refused(meanwhile.start()), watched: await refused(meanwhile.watch()), stopped: await refused(meanwhile.stop()) })
      say({ minted: (await meanwhile.getInvoice(1000, 'x', 900)).amountMsat })
      await shutdown
      say({ pending: await pending, states: [before.state, meanwhile.state] })
      say({ over: await outcome(before.start()) })
      meanwhile.start({ timeoutMs: 60000 }).catch(() => {})
      say({ again: meanwhile.state, minted: (await new mayfly.MdkNode(OPTIONS).getInvoice(1000, 'x', 900)).amountMsat })
    })()`, { given: { esploraUrl: service.url } })
  await worker.said('again')
  await service.reached()
  worker.kill('SIGKILL')
  const said = await worker.ends('SIGKILL')
  const refused = { code: 'NODE_DESTROYED', says: true }
  assert.deepEqual([said.started, said.watched, said.stopped], [refused, refused, refused])
  assert.equal(said.minted, 1000)
  assert.equal(said.pending, 'NODE_DESTROYED')
  assert.deepEqual(said.states, ['destroyed', 'idle'])
  assert.equal(said.over, 'NODE_DESTROYED')
  assert.notEqual(said.again, 'destroyed')
  assert.ok(!('failed' in said))
})

test('the main thread ends the nodes of worker_threads too, which may go on afterwards', async (t) => {
  const service = await silentService(t)
  const worker = new WorkerProcess(t, `${RECORD}${THREAD}
    const other = thread("const node = new mayfly.MdkNode(OPTIONS); const pending = outcome(node.start());"
      + "parentPort.once('message', async () => parentPort.postMessage({ pending: await pending, state: node.state, minted: (await new mayfly.MdkNode(OPTIONS).getInvoice(1000, 'x', 900)).amountMsat }))")
    process.once('SIGTERM', async () => {
      await mayfly.shutdownWorker({ exit: false })
      other.once('message', (other) => say({ other }))
      other.postMessage('and now?')
    })`, { given: { esploraUrl: service.url } })
  await service.reached()
  worker.kill('SIGTERM')
  const { other, record } = await worker.ends(0)
  assert.deepEqual(other, { pending: 'NODE_DESTROYED', state: 'destroyed', minted: 1000 })
  assert.equal(record.nodes, 1)
})

test('in a worker_thread only its own nodes end, and only that thread', async (t) => {
  const service = await silentService(t)
  const worker = new WorkerProcess(t, `${THREAD}
    const node = new mayfly.MdkNode(OPTIONS)
    let ended = false
    node.start().catch(() => { ended = true })
    const other = thread("const node = new mayfly.MdkNode(OPTIONS); parentPort.postMessage({ hooks: ['SIGTERM', 'disconnect'].map((name) => { const uninstall = mayfly.installShutdownHooks({ signals: ['SIGTERM'] });"
      + "const count = process.listenerCount(name); uninstall(); return count }) });"
      + "outcome(node.nextEvent(60000)).then((pending) => parentPort.postMessage({ pending }));"
      + "mayfly.shutdownWorker({ exitCode: 9 })")
    other.on('message', say)
    other.once('exit', async (code) => {
      say({ code, ended, states: [node.state, new mayfly.MdkNode(OPTIONS).state] })
      mayfly.shutdownWorker({ exitCode: 8 })
    })`, { given: { esploraUrl: service.url } })
  const said = await worker.ends(8)
  assert.deepEqual(said.hooks, [0, 0])
  assert.equal(said.pending, 'NODE_DESTROYED')
  assert.deepEqual([said.code, said.ended, ...said.states], [9, false, 'starting', 'idle'])
})

test('threads that are terminated, or shut down, while the process does leave nothing and end nobody', async (t) => {
  const service = await silentService(t)
  const worker = new WorkerProcess(t, `${THREAD}
    const at = (mnemonic) => ({ ...OPTIONS, mnemonic: mnemonic ?? mayfly.generateMnemonic() })
    const code = (options, more) => 'const nodes = [1, 2, 3].map(() => new mayfly.MdkNode(' + JSON.stringify(options) + '));'
      + 'for (const node of nodes) { outcome(node.start()); outcome(node.nextEvent(60000)) }; setInterval(() => {}, 1000);'
      + "parentPort.once('message', () => {" + more + "}); parentPort.postMessage('ready')"
    const round = async () => {
      // Two share the main thread's wallet.
      const all = [thread(code(OPTIONS, '')), thread(code(at(), '')), thread(code(OPTIONS, 'mayfly.shutdownWorker()')), thread(code(at(), 'mayfly.shutdownWorker()'))]
      outcome(new mayfly.MdkNode(OPTIONS).start())
      await Promise.all(all.map((one) => new Promise((resolve) => one.once('message', resolve))))
      for (const one of all.slice(2)) one.postMessage('go')
      await Promise.all([mayfly.shutdownWorker({ exit: false }), ...all.map((one) => one.terminate())])
    }
    ;(async () => {
      for (let i = 0; i < 5; i++) await round()
      while (threads().length > 0) await new Promise((resolve) => setImmediate(resolve))
      mayfly.shutdownWorker({ exitCode: 4 })
    })()`, { given: { esploraUrl: service.url } })
  await worker.ends(4)
})

test('what could not be finished is in the record, and the exit is in time all the same', { skip: noHangs }, async (t) => {
  const store = folder(t)
  const disk = new Disk(t, store)
  disk.die('fdatasync')
  const worker = new WorkerProcess(t, `${RECORD}
    const nodes = [new mayfly.MdkNode(OPTIONS), new mayfly.MdkNode({ ...OPTIONS, mnemonic: mayfly.generateMnemonic(), store: 'memory:' })]
    const pending = nodes.map((node) => outcome(node.start()))
    process.once('SIGTERM', async () => {
      mayfly.shutdownWorker({ destroyTimeoutMs: 100, killAfterMs: 60000 })
      say({ pending: await Promise.all(pending) })
    })`, { given: { store: `file:${store}`, esploraUrl: (await silentService(t)).url }, env: disk.env })
  await disk.hangs()
  worker.kill('SIGTERM')
  const { pending, record } = await worker.ends(0)
  assert.deepEqual(pending, ['NODE_DESTROYED', 'NODE_DESTROYED'])
  assert.equal(record.nodes, 2)
  assert.match(record.unfinished, /stuck after 100 ms in a system call \(a dead disk/)
  assert.equal(record.unfinished.match(/stuck/g).length, 1, 'the other node was not stuck')
})

test('a worker without a node exits as well', async (t) => {
  const { record } = await new WorkerProcess(t, `${RECORD}mayfly.shutdownWorker({ exitCode: 2 })`).ends(2)
  assert.equal(record.nodes, 0)
})
