// Garbage collection on demand, in any process.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { until } from './life.mjs'

setFlagsFromString('--expose-gc')
export const gc = runInNewContext('gc')

/** Collects garbage until `condition` gives something truthy, which it returns. */
export const untilCollected = (condition, what, patienceMs) =>
  until(
    () => {
      gc()
      return condition()
    },
    what,
    patienceMs,
  )
