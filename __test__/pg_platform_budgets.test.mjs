// Handlers that are told to end within a platform's time at random instants, on PostgreSQL.

process.env.MAYFLY_TEST_STORE = 'postgres'
process.env.TERMS ??= '10'
await import('./platform_budgets.test.mjs')
