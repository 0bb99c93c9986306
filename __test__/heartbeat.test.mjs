// The instrument that other tests trust to see the event loop stall: it must see a stall, and it must not take the machine's
// slowness for one.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { describe, test } from 'node:test'
import { availableParallelism } from 'node:os'
import { Heartbeat, LIMIT_MS, ranMs } from './support/heartbeat.mjs'
import { until } from './support/life.mjs'
import { Pulse } from './support/pulse.mjs'

const skip = process.platform === 'linux' ? false : 'the time that a thread waits for a processor is read from /proc: Linux only'
const STALL_MS = 50

/** Stands in a call, as behind a lock or a system call. */
const block = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, STALL_MS)

/** Computes, for so long on a processor, however long that takes. */
function compute() {
  const end = ranMs() + STALL_MS
  while (ranMs() < end);
}

/** What is left of the stalls of `action`, when the machine's own are subtracted. */
async function seen(action) {
  const pulse = await Pulse.start()
  const heartbeat = new Heartbeat()
  const beaten = () => until(() => heartbeat.beats, 'a heartbeat').then(() => (heartbeat.beats = 0))
  try {
    await beaten()
    action(heartbeat)
    await beaten()
  } finally {
    heartbeat.stop()
  }
  try {
    return await pulse.own(heartbeat.stalls)
  } finally {
    pulse.stop()
  }
}

describe('a heartbeat', { skip }, () => {
  for (const [what, action] of [['computes', compute], ['stands in a call', block]]) {
    test(`sees that the main thread ${what} for ${STALL_MS} ms`, async () => {
      // A machine that is too busy to tell says so by seeing nothing: look again.
      const stalls = await until(async () => {
        const found = await seen(action)
        return found.length > 0 && found
      }, 'a stall to be seen', 120_000)
      assert.equal(stalls.length, 1)
      assert.ok(stalls[0].ownMs > LIMIT_MS)
    })
  }

  test('does not note what it is told to except', async () => {
    assert.deepEqual(await seen((heartbeat) => heartbeat.except(block)), [])
  })

  test('sees nothing when it is the machine that has no time', async (t) => {
    const hogs = Array.from({ length: availableParallelism() * 2 }, () => spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }))
    const end = () => hogs.forEach((hog) => hog.kill('SIGKILL'))
    t.after(end)
    const pulse = await Pulse.start()
    const heartbeat = new Heartbeat()
    await until(() => heartbeat.beats > 100, 'a hundred beats', 60_000)
    const stalls = heartbeat.stop()
    end()
    assert.deepEqual(await pulse.own(stalls), [])
  })
})
