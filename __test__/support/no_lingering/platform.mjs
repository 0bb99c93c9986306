// A platform that ends a function: SIGTERM, and SIGKILL when its time is up. The time is what the process had: while the machine kept
// it from running, which a platform's does not, its clock stands.

import { once } from 'node:events'
import { readFileSync, readdirSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { LIMIT_MS } from '../heartbeat.mjs'

const nowMs = () => Number(process.hrtime.bigint()) / 1e6

/** Resolves with `{ ms, killed }` when the child is gone. `pulse`: of the machine. */
export async function terminate(child, { budgetMs, pulse }) {
  const fromMs = nowMs()
  const before = waits(child.pid)
  const exited = once(child, 'exit').then(() => nowMs())
  child.kill('SIGTERM')
  for (;;) {
    const leftMs = budgetMs - (nowMs() - fromMs - keptFromRunning(child.pid, before))
    const goneAt = await Promise.race([exited, pause(Math.max(1, leftMs))])
    if (goneAt !== undefined) return { ms: goneAt - fromMs, killed: false }
    const toMs = nowMs()
    const overMs = toMs - fromMs - keptFromRunning(child.pid, before) - budgetMs
    // `own` takes the machine's own stalls out, and names what is above its limit then.
    const [timeIsUp] = overMs < 0 ? [] : await pulse.own([{ fromMs, toMs, ownMs: overMs + LIMIT_MS }])
    if (timeIsUp && child.exitCode === null) {
      child.kill('SIGKILL')
      return { ms: (await exited) - fromMs, killed: child.signalCode === 'SIGKILL' }
    }
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
