// `npx --no mayfly migrate`: the tables are made by a role that may, and used by one that may not.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { root } from './support/child.mjs'
import { newDatabase } from './support/pg/server.mjs'

function mayfly(...args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'bin/mayfly.mjs'), ...args], { encoding: 'utf8' })
  return { status, stdout, stderr }
}

const VERSION = 'SELECT version FROM mayfly.meta'

test('it makes the tables, and again changes nothing', async () => {
  const database = await newDatabase()
  for (let round = 0; round < 2; round += 1) {
    assert.deepEqual(mayfly('migrate', database.url()), { status: 0, stdout: 'The tables are there.\n', stderr: '' })
    assert.equal(Number((await database.sql(VERSION))[0].version), 1)
  }
})

test('what it prints makes the same tables by hand', async () => {
  const [made, byHand] = [await newDatabase(), await newDatabase()]
  assert.equal(mayfly('migrate', made.url()).status, 0)
  const { status, stdout } = mayfly('migrate', '--print')
  assert.equal(status, 0)
  const [tables, grants] = stdout.split('-- All that a role named app needs')
  await byHand.sql(tables)
  const columns = `SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns
    WHERE table_schema = 'mayfly' ORDER BY 1, 2`
  const found = await made.sql(columns)
  assert.ok(found.length > 10)
  assert.deepEqual(await byHand.sql(columns), found)
  assert.match(grants, /^GRANT SELECT, INSERT, UPDATE ON mayfly\.lease TO app;$/m)
})

test('tables of a newer version are left as they are', async () => {
  const database = await newDatabase()
  assert.equal(mayfly('migrate', database.url()).status, 0)
  await database.sql('UPDATE mayfly.meta SET version = 2')
  const { status, stderr } = mayfly('migrate', database.url())
  assert.equal(status, 1)
  assert.match(stderr, /^mayfly: INVALID_OPTION: .*version 2.*update this one\n$/)
})

test('what docs/operations.md watches a database with finds a wallet', async () => {
  const database = await newDatabase()
  assert.equal(mayfly('migrate', database.url()).status, 0)
  await database.sql(`INSERT INTO mayfly.lease (wallet, epoch, seq, holder, since, renewed_at, expires_at) VALUES ('\\x01', 1, 1, '\\x02', now(), now(), now())`)
  await database.sql(`INSERT INTO mayfly.item (wallet, key, seq, data) VALUES ('\\x01', 'k', 1, '\\x0304')`)
  const statements = [...readFileSync(join(root, 'docs/operations.md'), 'utf8').matchAll(/```sql\n(.*?)```/gs)]
  assert.equal(statements.length, 2)
  for (const [, statement] of statements) assert.deepEqual((await database.sql(statement)).map(({ wallet }) => wallet), ['01'])
})

test('what is wrong is said without the password', async () => {
  const database = await newDatabase()
  for (const [expected, ...args] of [
    [/STORE_UNAVAILABLE: .*127\.0\.0\.1 port/, 'migrate', database.url({ password: 'hunter2' })],
    [/INVALID_OPTION: .*'sslmode' that does not exist/, 'migrate', database.url({ password: 'hunter2', parameters: { sslmode: 'x' } })],
    [/INVALID_ARGUMENT: only a PostgreSQL database/, 'migrate', 'memory:'],
    [/not understood/, 'migrate'],
    [/not understood/, 'migrate', '--force'],
    [/not understood/, 'migrate', database.url({ password: 'hunter2' }), 'again'],
    [/not understood/, 'destroy'],
  ]) {
    const { status, stdout, stderr } = mayfly(...args)
    assert.ok(status > 0)
    assert.match(stderr, expected)
    assert.doesNotMatch(stdout + stderr, /hunter2/)
  }
})
