// Handlers that are killed at every failpoint, on PostgreSQL.

process.env.MAYFLY_TEST_STORE = 'postgres'
process.env.KILL_PASSINGS ??= '1'
await import('./kill_failpoints.test.mjs')
