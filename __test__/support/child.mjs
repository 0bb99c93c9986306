// A Node process of its own, for what ends processes.

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { options, unrouted } from './options.mjs'

export const root = fileURLToPath(new URL('../..', import.meta.url))

/** A hung child is a failure that says so, long before the whole run is given up. */
const TIMEOUT_MS = 60_000

/**
 * Runs `code` (CommonJS, with `mayfly`, `OPTIONS` and `UNROUTED` given), and `before` ahead of loading mayfly.
 * Returns { status, signal, stdout, stderr }.
 */
export function runInChild(code, { flags = [], before = '' } = {}) {
  const prelude = `${before}
    const mayfly = require(${JSON.stringify(root)})
    const OPTIONS = ${JSON.stringify(options())}
    const UNROUTED = ${JSON.stringify(unrouted())}`
  const args = [...flags, '--input-type=commonjs', '-e', `${prelude}\n${code}`]
  return spawnSync(process.execPath, args, { encoding: 'utf8', timeout: TIMEOUT_MS, killSignal: 'SIGKILL' })
}
