// A watchdog over other processes: it waits for their end, and of one that does not come to it, it says where each thread stands,
// before it kills it. A bound here is no promise; it is what only a hang exceeds.
//
//   const { code, signal } = await gone(child, 'the worker after SIGTERM')   a child of this process (spawn, fork)
//   await vanished(pidOf(1234), 'the orphan')                                any process, by what `pidOf` remembers of it
//   spawn(process.execPath, [...withReport(folder), script])                 optional: then it is told, too, what keeps its event loop
//   console.error(await stacks(child))                                       the same without a hang
//
// Both wait `patienceMs` (30 s unless told). On a hang they reject with the stacks in the message, and the process is SIGKILLed.

import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

/** Only a hang takes so long, also on a machine that is busy. */
const PATIENCE_MS = 30_000
/** How long a process may take to write its report. One whose event loop does not turn never does. */
const REPORT_MS = 1_500

/** Arguments for Node: a process that hangs is asked what keeps its event loop. `folder` is where its report goes. */
export function withReport(folder) {
  return ['--report-on-signal', '--report-signal=SIGUSR2', `--report-directory=${folder}`, '--report-filename=hung.json']
}

/** Resolves with the child's { code, signal } when it has ended. */
export async function gone(child, what, patienceMs = PATIENCE_MS) {
  const ended = () => child.exitCode !== null || child.signalCode !== null
  await waitFor(ended, child, what, patienceMs)
  return { code: child.exitCode, signal: child.signalCode }
}

/** What tells a process from a later one with the same id. */
export function pidOf(pid) {
  return { pid, started: stat(pid)?.started }
}

/** Resolves when that process is no more. A zombie is none: whoever should reap it is not ours. */
export async function vanished(known, what, patienceMs = PATIENCE_MS) {
  const ended = () => isGone(known)
  await waitFor(ended, known, what, patienceMs)
}

/** Whether a process of `pidOf`, or a child, is no more. */
export function isGone({ pid, started }) {
  const now = stat(pid)
  if (now === undefined || (started !== undefined && now.started !== started)) return true
  // Its first thread may be a zombie while another is on its way out, with all files and locks still open.
  return now.state === 'Z' && list(`/proc/${pid}/task`).length <= 1
}

async function waitFor(ended, target, what, patienceMs) {
  const deadline = performance.now() + patienceMs
  while (!ended()) {
    if (performance.now() > deadline) {
      const where = await stacks(target)
      if (!ended()) process.kill(target.pid, 'SIGKILL')
      throw new Error(`waited ${patienceMs} ms in vain for the end of ${what} (process ${target.pid}):\n${where}`)
    }
    await pause(5)
  }
}

/** Where each thread of a process stands, by what Linux says, and what keeps its event loop if it was started with `withReport`. */
export async function stacks(target) {
  const threads = list(`/proc/${target.pid}/task`).map((id) => thread(`/proc/${target.pid}/task/${id}`, id))
  const report = await eventLoop(target)
  return [...threads, ...(report === undefined ? [] : [report])].join('\n')
}

function thread(path, id) {
  const line = `  thread ${id} ${read(`${path}/comm`)}: state ${stat(id, path)?.state}, waits in ${read(`${path}/wchan`)}, system call ${read(`${path}/syscall`)}`
  const stack = read(`${path}/stack`)
  return stack === '' ? line : `${line}\n${stack.replace(/^/gm, '    ')}`
}

async function eventLoop(target) {
  const folder = target.spawnargs?.find((arg) => arg.startsWith('--report-directory='))?.split('=')[1]
  if (folder === undefined) return undefined
  const file = join(folder, 'hung.json')
  process.kill(target.pid, 'SIGUSR2')
  for (const deadline = performance.now() + REPORT_MS; performance.now() < deadline; await pause(20)) {
    const report = existsSync(file) && parsed(readFileSync(file, 'utf8'))
    if (report) return `  its event loop turns, kept by: ${report.libuv.filter((handle) => handle.is_active && handle.is_referenced).map(shown).join(', ')}`
  }
  return '  its event loop does not turn: JavaScript that does not return, or native code'
}

function shown({ type, address, is_active, is_referenced, ...rest }) {
  return `${type} ${JSON.stringify(rest)}`
}

/** Undefined while only half of it is written. */
function parsed(text) {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** A process's (or thread's) state and start, or undefined when there is none. */
function stat(pid, path = `/proc/${pid}`) {
  const text = read(`${path}/stat`)
  // The name stands in brackets and may hold spaces; what follows is state (field 3) to start time (field 22).
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return text === '' ? undefined : { state: fields[0], started: fields[19] }
}

/** Empty where it can't be read: the thread has ended, or it is not for us. */
function read(path) {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return ''
  }
}

function list(path) {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}
