// Nodes of one wallet in one process and in several threads of it, on PostgreSQL.

process.env.MAYFLY_TEST_STORE = 'postgres'
await import('./shared_node.test.mjs')
await import('./shared_threads.test.mjs')
