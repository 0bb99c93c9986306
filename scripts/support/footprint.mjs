// What a process holds: threads, file descriptors, sockets, locks. From /proc, so on Linux only; elsewhere nothing is counted.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** `{ threads, fds, sockets }` of a process, or null where there is no /proc. */
export function footprint(pid = process.pid) {
  try {
    const threads = readdirSync(`/proc/${pid}/task`).length
    const targets = readdirSync(`/proc/${pid}/fd`).map((fd) => {
      try {
        return readlinkSync(`/proc/${pid}/fd/${fd}`)
      } catch {
        return null // the descriptor that listed the directory
      }
    })
    const open = targets.filter((target) => target !== null)
    return { threads, fds: open.length, sockets: open.filter((target) => target.startsWith('socket:')).length }
  } catch {
    return null
  }
}

/** How many file locks a process holds. */
export function locksHeld(pid = process.pid) {
  try {
    return readFileSync('/proc/locks', 'utf8').split('\n').filter((line) => line.split(/\s+/)[4] === String(pid)).length
  } catch {
    return null
  }
}
