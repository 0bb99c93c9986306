// The parent of a scratch PostgreSQL. It ends when whoever started it ends, whatever ended that, and leaves no process and no file.
// Told over IPC: `start` with the arguments; answers `{ pid }` when the server accepts connections, or `{ failed }`.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { killAll, signalAll } from './processes.mjs'

const { folder, program, identity, env } = JSON.parse(process.argv[2])
/** What PostgreSQL does until it gives up; far more than a shutdown without a checkpoint takes. */
const GONE_WITHIN_MS = 5_000

let server
/** One thing after the other: an end waits for a start. */
let turn = Promise.resolve()
const next = (work) => (turn = turn.then(work, work))

process.on('message', ({ start }) => next(() => begin(start)))
process.once('disconnect', () => next(end).finally(() => process.exit()))
// Ctrl-C in a terminal goes to all of a group: the one that started us ends, and that is the end here, too.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {})

async function begin(args) {
  const log = openSync(join(folder, 'log'), 'a')
  // A group of its own, for the same reason.
  server = spawn(program, args, { ...identity, env, cwd: folder, detached: true, stdio: ['ignore', log, log] })
  closeSync(log)
  const failed = await Promise.race([ready(), once(server, 'exit').then(() => 'it has ended'), once(server, 'error').then(([error]) => error.message)])
  if (process.connected) process.send(failed ? { failed: `${failed}\n${tail()}` } : { pid: server.pid })
}

/** What `pg_ctl` waits for: the server's own word, in the eighth line of its file. */
async function ready() {
  for (;;) {
    if (statusLine() === 'ready') return undefined
    if (server.exitCode !== null || server.signalCode !== null) return 'it has ended'
    await pause(10)
  }
}

function statusLine() {
  try {
    const [pid, , , , , , , status] = readFileSync(join(folder, 'data/postmaster.pid'), 'utf8').split('\n')
    return Number(pid) === server.pid ? status.trim() : undefined
  } catch {
    return undefined // not yet
  }
}

function tail() {
  return readFileSync(join(folder, 'log'), 'utf8').split('\n').slice(-20).join('\n')
}

async function end() {
  if (server !== undefined && server.exitCode === null && server.signalCode === null) {
    const exited = once(server, 'exit')
    // It may stand still. SIGQUIT: without a checkpoint, and its shared memory is given back.
    signalAll(server.pid, 'SIGCONT')
    server.kill('SIGQUIT')
    const inTime = await Promise.race([exited.then(() => true), pause(GONE_WITHIN_MS)])
    if (!inTime) await killAll(server.pid)
  }
  rmSync(folder, { recursive: true, force: true })
}
