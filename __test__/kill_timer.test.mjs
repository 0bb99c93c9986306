// The kill timer alone: SIGKILL is what it does, so how the process ended is the outcome; when, is bounded from below only.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, test } from 'node:test'
import { folder } from './support/life.mjs'
import { WorkerProcess } from './support/worker_process.mjs'

/** Soon, where it must fire. */
const SOON = 300
/** Where it must not fire: long enough for a busy machine to come to the exit, short enough to be waited out. */
const LATE = 2_000

/** The clock is the machine's, so that both processes read the same one. */
const CLOCK = 'const now = () => Number(process.hrtime.bigint() / 1000000n)\n'
const now = () => Number(process.hrtime.bigint() / 1_000_000n)

/** It hangs after it said `began`, and is killed, not before its time. */
async function killed(t, code, { after = SOON, under } = {}) {
  const worker = new WorkerProcess(t, `${CLOCK}${code}`, { under })
  const { began } = await worker.ends('SIGKILL')
  const passed = now() - began
  assert.ok(passed >= after, `killed after ${passed} ms`)
}

describe('the process is killed after killAfterMs, and not before, although', { concurrency: 4 }, () => {
  const cases = {
    'an exit handler loops for ever': "process.on('exit', () => { for (;;); }); say({ began: now() }); mayfly.shutdownWorker({ killAfterMs: SOON })",
    'a JavaScript loop begins after the shutdown did': 'say({ began: now() }); mayfly.shutdownWorker({ killAfterMs: SOON }); for (;;);',
    'the exit handler stands in a system call for ever':
      "process.on('exit', () => fs.openSync(FIFO)); say({ began: now() }); mayfly.shutdownWorker({ killAfterMs: SOON })",
    // Node joins its thread pool before it exits.
    'a native thread stands in a system call for ever': 'fs.open(FIFO, () => {}); say({ began: now() }); mayfly.shutdownWorker({ killAfterMs: SOON })',
    'process.exit was replaced by something that does not exit':
      'process.exit = () => {}; setInterval(() => {}, 1000); say({ began: now() }); mayfly.shutdownWorker({ killAfterMs: SOON })',
    'a second call would give it more time':
      "process.on('exit', () => { for (;;); }); say({ began: now() }); mayfly.shutdownWorker({ killAfterMs: SOON }); mayfly.shutdownWorker({ killAfterMs: 3600000 })",
    'a second call wants no exit':
      "process.on('exit', () => { for (;;); }); say({ began: now() }); mayfly.shutdownWorker({ killAfterMs: SOON }); mayfly.shutdownWorker({ exit: false })",
    'the first call gave it more time than a second':
      "process.on('exit', () => { for (;;); }); say({ began: now() }); mayfly.shutdownWorker({ exit: false, killAfterMs: 3600000 }); mayfly.shutdownWorker({ killAfterMs: SOON })",
  }
  for (const [name, code] of Object.entries(cases)) {
    test(name, async (t) => {
      const fifo = `${folder(t)}/nobody-writes-here`
      assert.equal(spawnSync('mkfifo', [fifo]).status, 0)
      await killed(t, `const SOON = ${SOON}; const FIFO = ${JSON.stringify(fifo)}\n${code}`)
    })
  }
})

test('the first process of a container, which no signal from within can end, ends too', { skip: noNamespace() }, async (t) => {
  const code = `say({ pid: process.pid }); process.on('exit', () => { for (;;); }); mayfly.shutdownWorker({ killAfterMs: ${SOON} })`
  const worker = new WorkerProcess(t, code, { under: ['unshare', '--pid', '--fork', '--kill-child'] })
  const { pid } = await worker.ends(137)
  assert.equal(pid, 1)
})

describe('nobody notices it', { concurrency: 4 }, () => {
  test('when the exit is in time', async (t) => {
    const worker = new WorkerProcess(t, `process.on('exit', (code) => say({ code })); mayfly.shutdownWorker({ exitCode: 7, killAfterMs: ${LATE} })`)
    assert.equal((await worker.ends(7)).code, 7)
  })

  test('after a shutdown that does not exit', async (t) => {
    const worker = new WorkerProcess(t, `
      const ended = async () => { while (threads().length > 0) await new Promise((resolve) => setTimeout(resolve, 5)) }
      mayfly.shutdownWorker({ exit: false, killAfterMs: ${LATE} }).then(async () => {
        await ended()
        say({ ended: true })
        setTimeout(() => say({ lives: true }), ${LATE})
      })`)
    assert.deepEqual(await worker.ends(0), { ended: true, lives: true })
  })

  test('on the event loop, which it does not keep', async (t) => {
    await new WorkerProcess(t, 'native.shutdownArm(3600000)').ends(0)
    await new WorkerProcess(t, 'mayfly.shutdownWorker({ exit: false, killAfterMs: 3600000 })').ends(0)
  })

  test('in a worker_thread, where none is armed', async (t) => {
    const worker = new WorkerProcess(t, `
      const { Worker, isMainThread } = require('node:worker_threads')
      const thread = new Worker(${JSON.stringify("const mayfly = require(process.env.MAYFLY); mayfly.shutdownWorker({ exitCode: 5, killAfterMs: 300 }); setInterval(() => {}, 1000)")}, { eval: true, env: { MAYFLY: ${JSON.stringify(new URL('..', import.meta.url).pathname)} } })
      thread.once('exit', (code) => {
        say({ code, threads: threads() })
        setTimeout(() => say({ lives: true }), 600)
      })`)
    assert.deepEqual(await worker.ends(0), { code: 5, threads: [], lives: true })
  })
})

test('its thread hears no signal of the host', async (t) => {
  const worker = new WorkerProcess(t, `
    native.shutdownArm(3600000)
    // A thread names itself when it begins.
    while (threads().length === 0);
    const tasks = fs.readdirSync('/proc/self/task').map((id) => fs.readFileSync('/proc/self/task/' + id + '/status', 'utf8'))
    const blocked = (status) => BigInt('0x' + /SigBlk:\\s*([0-9a-f]+)/.exec(status)[1])
    say({ blocked: tasks.filter((status) => status.includes('mayfly-kill')).map((status) => blocked(status).toString(2)) })
    say({ main: blocked(fs.readFileSync('/proc/thread-self/status', 'utf8')).toString(2) })`)
  const { blocked, main } = await worker.ends(0)
  assert.equal(blocked.length, 1)
  assert.equal(main, '0')
  // All of the 64 but those that Linux lets nobody block (SIGKILL, SIGSTOP) and the two that glibc keeps for itself.
  assert.equal(blocked[0].match(/1/g).length, 60)
})

function noNamespace() {
  const tried = spawnSync('unshare', ['--pid', '--fork', '--kill-child', 'true'])
  return tried.status === 0 ? false : 'no `unshare --pid` here: a process with id 1 is not tested'
}
