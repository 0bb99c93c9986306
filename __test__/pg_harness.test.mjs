// What the tests on PostgreSQL lean on: the server that they start, kill and freeze, and the faults on the way to it.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { after, before, test } from 'node:test'
import pg from 'pg'
import { Postgres } from '../scripts/support/postgres.mjs'
import { Proxy } from './support/pg/proxy.mjs'
import { until, within } from './support/until.mjs'

let server
before(async () => {
  server = await Postgres.start()
  await server.sql('CREATE TABLE row (number int PRIMARY KEY)')
})
after(() => server?.stop())

/** A connection through the proxy, ended with the test. */
async function client(t, proxy) {
  const client = new pg.Client({ connectionString: server.url({ port: proxy.port }) })
  client.on('error', () => {})
  t.after(() => client.end().catch(() => {}))
  await client.connect()
  return client
}

const insert = (number) => `INSERT INTO row VALUES (${number})`
const has = async (number) => (await server.sql(`SELECT 1 FROM row WHERE number = ${number}`)).length === 1

test('a server that is killed and started again has what was committed', async () => {
  await server.sql(insert(1))
  await server.kill9()
  await assert.rejects(server.sql('SELECT 1'), { code: 'ECONNREFUSED' })
  await server.restart()
  assert.ok(await has(1))
})

test('a server that hangs takes a connection, and answers when it is thawed', async () => {
  server.hang()
  let answered = false
  const asking = server.sql('SELECT 1').then(() => (answered = true))
  // What is asked of the kernel in the meantime is answered many times over.
  for (let i = 0; i < 100; i++) await new Promise(setImmediate)
  assert.equal(answered, false)
  server.thaw()
  await within('the answer', asking)
})

test('whoever is killed leaves no server and no folder', async (t) => {
  const module = fileURLToPath(new URL('../scripts/support/postgres.mjs', import.meta.url))
  const code = `const { Postgres } = await import(${JSON.stringify(module)})
    const server = await Postgres.start()
    console.log(JSON.stringify({ folder: server.folder, pid: (await server.sql("SELECT pg_backend_pid() AS pid"))[0].pid, port: server.port }))
    server.hang()
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  const [line] = await within('the server', once(createInterface({ input: child.stdout }), 'line'))
  const { folder, port } = JSON.parse(line)
  assert.ok(existsSync(folder))
  child.kill('SIGKILL')
  await until('the folder to go', () => !existsSync(folder))
  const asking = new pg.Client({ host: '127.0.0.1', port })
  await assert.rejects(asking.connect(), { code: 'ECONNREFUSED' })
})

test('a proxy counts a turn for each request that something came back for', async (t) => {
  const proxy = await Proxy.to(t, server.port)
  const asking = await client(t, proxy)
  const { turns } = proxy
  for (let i = 0; i < 3; i++) await asking.query('SELECT 1')
  assert.equal(proxy.turns - turns, 3)
  // Together in one turn, as a pipelined claim and load.
  await asking.query('SELECT 1; SELECT 2')
  assert.equal(proxy.turns - turns, 4)
  assert.equal(proxy.connections, 1)
})

test('latency is paid once in each direction, and keeps the order', async (t) => {
  const proxy = await Proxy.to(t, server.port)
  const asking = await client(t, proxy)
  proxy.roundTrip(40)
  const began = performance.now()
  assert.equal((await asking.query("SELECT length(repeat('x', 1000000)) AS n, repeat('x', 1000000) AS all")).rows[0].all.length, 1_000_000)
  assert.ok(performance.now() - began >= 40)
})

test('a lost request is not carried out, and a lost reply is', async (t) => {
  const proxy = await Proxy.to(t, server.port)
  for (const then of ['reset', 'silence']) {
    const numbers = then === 'reset' ? [10, 11] : [20, 21]
    for (const [i, lose] of ['request', 'reply'].entries()) {
      const asking = await client(t, proxy)
      const lost = proxy.next(insert(numbers[i]), { lose, then })
      const asked = asking.query(insert(numbers[i]))
      asked.catch(() => {}) // looked at below
      await within('the loss', lost)
      assert.equal(await has(numbers[i]), lose === 'reply', `${lose}, then ${then}`)
      if (then === 'reset') await assert.rejects(within('the reset', asked), /terminated|ECONNRESET/)
      // Others pass.
      await (await client(t, proxy)).query('SELECT 1')
    }
  }
})

test('a silent proxy holds what it gets, a resetting one tears it', async (t) => {
  const proxy = await Proxy.to(t, server.port)
  const asking = await client(t, proxy)
  proxy.hush()
  const asked = asking.query(insert(30))
  asked.catch(() => {})
  for (let i = 0; i < 100; i++) await new Promise(setImmediate)
  assert.equal(await has(30), false)
  proxy.speak()
  await within('the reply', asked)
  assert.ok(await has(30))
  proxy.reset()
  await assert.rejects(within('the reset', asking.query('SELECT 1')), /terminated|ECONNRESET|not queryable/)
  proxy.refusing = true
  await assert.rejects(client(t, proxy), /terminated|ECONNRESET/)
})
