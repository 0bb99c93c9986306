// core/examples/postgres_commits.rs, built and run, and what the server had to do for it.

import { execFile, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { root } from '../../scripts/run.mjs'
import { until } from '../../__test__/support/until.mjs'

const NAME = 'postgres_commits'

/**
 * `{ seconds, ms, cpuMs, flushes, flushMs }`: milliseconds of each commit, what the wallets' process computed, how often the server
 * flushed its log, and for how long.
 */
export async function commitsAtOnce(database, { wallets, seconds, bytes, dev }) {
  const program = built(dev)
  await settled(database)
  await database.sql("SELECT pg_stat_reset_shared('wal')")
  const { stdout } = await promisify(execFile)(program, [database.url(), wallets, seconds, bytes].map(String), { maxBuffer: 1 << 28 })
  await settled(database)
  const [{ flushes, flush_ms: flushMs }] = await database.sql('SELECT wal_sync::int AS flushes, wal_sync_time AS flush_ms FROM pg_stat_wal')
  return { ...JSON.parse(stdout), flushes, flushMs }
}

/** A session adds what it did to the server's figures when it ends. */
function settled(database) {
  return until('the sessions to end', async () => (await database.sql("SELECT 1 FROM pg_stat_activity WHERE application_name = 'mayfly'")).length === 0)
}

function built(dev) {
  const { status } = spawnSync('cargo', ['build', '-q', '-p', 'mayfly-core', '--example', NAME, ...(dev ? [] : ['--release'])], { cwd: root, stdio: ['ignore', 2, 2] })
  if (status !== 0) throw new Error(`cargo could not build the example ${NAME}`)
  return join(root, 'target', dev ? 'debug' : 'release', 'examples', NAME)
}
