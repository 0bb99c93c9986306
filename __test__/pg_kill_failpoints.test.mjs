// Handlers that are killed at every failpoint, on PostgreSQL.

process.env.MAYFLY_TEST_STORE = 'postgres'
await import('./kill_failpoints.test.mjs')
