// Waiting for what can only be looked at, never for time: the condition decides, the deadline only names what did not come.

import { setTimeout as pause } from 'node:timers/promises'

/** Looks until `probe` gives something truthy, and resolves with that. */
export async function until(what, probe, deadlineMs = 20_000) {
  const end = performance.now() + deadlineMs
  for (;;) {
    const seen = await probe()
    if (seen) return seen
    if (performance.now() > end) throw new Error(`waited ${deadlineMs} ms in vain for ${what}`)
    await pause(10)
  }
}

/** `promise`, or an error that says what did not come. */
export async function within(what, promise, deadlineMs = 30_000) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${deadlineMs} ms in vain for ${what}`)), deadlineMs)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
