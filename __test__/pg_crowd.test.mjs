// A hundred wallets in one process over one PostgreSQL.

process.env.MAYFLY_TEST_STORE = 'postgres'
await import('./crowd.test.mjs')
