// How long a process may linger that was told to end, as platforms count it: SIGTERM, and SIGKILL when its time is up. The time is what
// it had: while the machine kept it from running, which a platform's does not, its clock stands.

import { once } from 'node:events'
import { readFileSync, readdirSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { LIMIT_MS } from '../heartbeat.mjs'
import { isGone } from '../watchdog.mjs'

const nowMs = () => Number(process.hrtime.bigint()) / 1e6

/** SIGTERM, and SIGKILL when the time is up. Resolves with `{ ms, killed }` when the child is gone. `pulse`: of the machine. */
export async function terminate(child, { budgetMs, pulse }) {
  const began = nowMs()
  const exited = once(child, 'exit')
  const inTime = granted(child, exited, { budgetMs, pulse })
  child.kill('SIGTERM')
  if (!(await inTime)) child.kill('SIGKILL')
  await exited
  return { ms: nowMs() - began, killed: child.signalCode === 'SIGKILL' }
}

/**
 * From now on that process has `budgetMs` to end; true when it did. `ended` is kept when it has ended, and `known` says which it is
 * (see watchdog.mjs). Both, since news of an end may come late to a test that is busy.
 */
export async function granted(known, ended, { budgetMs, pulse }) {
  const fromMs = nowMs()
  const before = waits(known.pid)
  const hadMs = () => nowMs() - fromMs - keptFromRunning(known.pid, before)
  for (;;) {
    const over = await Promise.race([ended.then(() => true), pause(Math.max(1, budgetMs - hadMs()))])
    if (over || isGone(known)) return true
    const overMs = hadMs() - budgetMs
    // `own` takes the machine's own stalls out, and names what is above its limit then.
    const [timeIsUp] = overMs < 0 ? [] : await pulse.own([{ fromMs, toMs: nowMs(), ownMs: overMs + LIMIT_MS }])
    if (timeIsUp && !isGone(known)) return false
  }
}

/** How long threads of that process were ready since then, and found no processor. */
function keptFromRunning(pid, before) {
  return [...waits(pid)].reduce((sum, [id, ms]) => sum + Math.max(0, ms - (before.get(id) ?? 0)), 0)
}

/** Thread → how long it ever waited so, in ms. Empty when the process is gone. */
function waits(pid) {
  const threads = list(`/proc/${pid}/task`)
  return new Map(threads.map((id) => [id, waitedMs(`/proc/${pid}/task/${id}/schedstat`)]))
}

function waitedMs(schedstat) {
  try {
    return readFileSync(schedstat, 'latin1').split(' ')[1] / 1e6
  } catch {
    return 0 // it has ended
  }
}

function list(folder) {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
