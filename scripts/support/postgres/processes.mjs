// The processes of a PostgreSQL: its postmaster, and a child of that for each connection and each chore. Each child is a group of its
// own, so that no signal to a group reaches them.

import { readFileSync, readdirSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'

/** To the postmaster first: who stands still forks no more. */
export function signalAll(postmaster, signal) {
  send(postmaster, signal)
  for (const pid of children(postmaster)) send(pid, signal)
}

/** Resolves when none of them is left. */
export async function killAll(postmaster) {
  send(postmaster, 'SIGSTOP')
  const pids = [postmaster, ...children(postmaster)]
  for (const pid of pids) send(pid, 'SIGKILL')
  while (pids.some(isAlive)) await pause(5)
}

function children(parent) {
  return readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && fields(pid)?.parent === parent).map(Number)
}

function isAlive(pid) {
  const state = fields(pid)?.state
  // Dead, and not yet waited for by its parent.
  return state !== undefined && state !== 'Z'
}

/** Of /proc/<pid>/stat, behind the name, which may hold anything; undefined when it is gone. */
function fields(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return { state, parent: Number(parent) }
  } catch {
    return undefined
  }
}

function send(pid, signal) {
  try {
    process.kill(pid, signal)
  } catch {
    // It is gone.
  }
}
