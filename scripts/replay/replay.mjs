// Every block that a lab of a test run mined, through Bitcoin Core's own engine. `node scripts/replay/replay.mjs <folder>` does
// it for a folder of exports (MAYFLY_EXPORT_BLOCKS); `npm test` does it at its end.

import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { kernelPython } from './kernel.mjs'

const SCRIPT = fileURLToPath(new URL('./replay.py', import.meta.url))

/** `{ code, output }`: 0 when all chains pass; `{ skipped }` when this machine has no judge. */
export function replay(folder) {
  const chains = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.blocks')).length : 0
  // A run that mined nothing has not passed: the export is broken.
  if (chains === 0) return { code: 1, output: `no chain was exported to ${folder}` }
  const { python, missing } = kernelPython()
  if (missing !== undefined) return { skipped: missing }
  const { status, stdout, stderr, error } = spawnSync(python, [SCRIPT, folder], { encoding: 'utf8' })
  return { code: status ?? 1, output: `${stderr ?? error?.message ?? ''}${stdout ?? ''}`.trim() }
}

/** The same, told; the exit code. */
export function replayAloud(folder) {
  const { code, output, skipped } = replay(folder)
  if (skipped === undefined) {
    console.log(output)
    return code
  }
  console.log(`\n*** SKIPPED: the replay of all mined blocks through Bitcoin Core's validation engine: ${skipped} ***\n`)
  return 0
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = replayAloud(process.argv[2] ?? '.')
