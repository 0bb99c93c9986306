// This process's threads and files, by what Linux says.

import { readFileSync, readdirSync } from 'node:fs'
import { until } from './until.mjs'

/** How many threads are mayfly's, by their name: those of Node itself come and go as they like. */
export function threads() {
  return readdirSync('/proc/self/task').filter((id) => comm(id).startsWith('mayfly')).length
}

/** Waits until none but so many are left: Linux lists a thread for a moment after its join has returned. */
export function noThreads(but = 0) {
  return until(`all but ${but} threads to end`, async () => threads() === but, 5_000)
}

/** How many file descriptors are open. */
export function descriptors() {
  return readdirSync('/proc/self/fd').length
}

function comm(id) {
  try {
    return readFileSync(`/proc/self/task/${id}/comm`, 'utf8')
  } catch {
    return '' // it has ended between the two calls
  }
}
