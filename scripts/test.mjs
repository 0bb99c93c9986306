// `npm test`: the Rust tests, the simulator, then the tests through the addon; all always run, and their own summaries end the output. Last, Bitcoin
// Core's validation engine judges every block that their labs mined. Arguments are test files: only those run, through the addon.
// One PostgreSQL serves all of them; MAYFLY_TEST_POSTGRES names another one to use, by its superuser's URL.

import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensureAddon, ensureLab, ensureSim } from './setup.mjs'
import { replayAloud } from './replay/replay.mjs'
import { exitCode, root } from './run.mjs'

/** Files at a time: most of a test is waiting for a network, so more than Node's default of one on two cores. */
const SIDE_BY_SIDE = Math.max(2, availableParallelism())

const only = process.argv.slice(2)
ensureAddon()
ensureLab()

const exported = mkdtempSync(join(tmpdir(), 'mayfly-blocks-'))
// Loaded when npm has what it needs.
const { Postgres } = await import('./support/postgres.mjs')
const postgres = process.env.MAYFLY_TEST_POSTGRES ? undefined : await Postgres.start()
const env = { MAYFLY_EXPORT_BLOCKS: exported, MAYFLY_TEST_POSTGRES: process.env.MAYFLY_TEST_POSTGRES || postgres.url() }
const rust = only.length > 0 ? 0 : exitCode('cargo', ['test', '--workspace'], { env })
const sim = only.length > 0 ? 0 : simulate()
const files = only.length > 0 ? only : readdirSync(join(root, '__test__')).filter((name) => name.endsWith('.test.mjs')).map((name) => `__test__/${name}`)
const node = exitCode(process.execPath, ['--test', '--test-reporter=spec', `--test-concurrency=${SIDE_BY_SIDE}`, ...files.sort()], { env })
// Single files may need no lab.
const core = only.length > 0 && readdirSync(exported).length === 0 ? 0 : replayAloud(exported)
await postgres?.stop()
if (rust !== 0) console.error('cargo test failed: see above')
if (sim !== 0) console.error('the simulator found something: see above')
if (core === 0) rmSync(exported, { recursive: true })
else console.error(`the blocks are in ${exported}`)
process.exitCode = rust || sim || node || core

/** Alone: it takes every core, one seed on each. */
function simulate() {
  ensureSim()
  return exitCode(process.execPath, ['--test', '--test-reporter=spec', 'sim/tests/sim.test.mjs'])
}
