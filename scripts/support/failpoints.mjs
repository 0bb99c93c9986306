// What must be in no release: the failpoints of core/src/failpoint.rs.

import { readFileSync } from 'node:fs'

/** The variable that arms them, and one name that no other text has. */
const TRACES = ['MAYFLY_FAILPOINT', 'AfterCommitBeforeRelease']

/** Which traces of them are in a binary. */
export function failpointsIn(path) {
  const bytes = readFileSync(path)
  return TRACES.filter((trace) => bytes.includes(trace))
}
