// Workers that are told to end while their wallet is in PostgreSQL, which may stand still, too.

process.env.MAYFLY_TEST_STORE = 'postgres'
await import('./no_lingering.test.mjs')
