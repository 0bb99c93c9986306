// Handlers that are killed at random instants, on PostgreSQL.

process.env.MAYFLY_TEST_STORE = 'postgres'
process.env.KILLS ??= '24'
await import('./kill_random.test.mjs')
