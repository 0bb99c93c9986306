// The watchdog of the other tests: a process that ends is reported as it ended; one that hangs is told with where it stands, and killed.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { gone, pidOf, vanished, withReport } from './support/watchdog.mjs'

const linux = process.platform === 'linux' ? false : 'threads are told from /proc: Linux only'

/** Long enough to be seen, short of what a test may take. */
const SHORT_MS = 100

function started(t, code) {
  const folder = mkdtempSync(join(tmpdir(), 'mayfly-watchdog-'))
  const child = spawn(process.execPath, [...withReport(folder), '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => {
    child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  })
  return child
}

test('a process that ends is reported with how it ended', async (t) => {
  assert.deepEqual(await gone(started(t, 'process.exit(7)'), 'it'), { code: 7, signal: null })
  assert.deepEqual(await gone(started(t, 'process.kill(process.pid, "SIGTERM")'), 'it'), { code: null, signal: 'SIGTERM' })
})

test('one that hangs is told with its threads, and killed', { skip: linux }, async (t) => {
  const child = started(t, 'console.log("hi"); for (;;);')
  await once(child.stdout, 'data')
  await assert.rejects(gone(child, 'the loop', SHORT_MS), (error) => {
    assert.match(error.message, /for the end of the loop/)
    assert.match(error.message, /thread \d+ node: state R/)
    assert.match(error.message, /does not turn/)
    return true
  })
  assert.deepEqual(await gone(child, 'the killed one'), { code: null, signal: 'SIGKILL' })
})

test('one that something keeps is told with what that is', { skip: linux }, async (t) => {
  const child = started(t, 'console.log("hi"); require("net").createServer().listen(0, "127.0.0.1")')
  await once(child.stdout, 'data')
  await assert.rejects(gone(child, 'the server', SHORT_MS), /kept by: tcp .*127\.0\.0\.1/)
})

test('a process is known by its start, so that its end is seen although nobody reaped it', { skip: linux }, async (t) => {
  const child = started(t, 'console.log("hi"); setInterval(() => {}, 1000)')
  await once(child.stdout, 'data')
  const known = pidOf(child.pid)
  await assert.rejects(vanished({ ...known }, 'the process that stays', SHORT_MS), /thread \d+/)
  await vanished(known, 'the killed one')
  await vanished({ ...pidOf(process.pid), started: '1' }, 'an earlier process of this id')
})
