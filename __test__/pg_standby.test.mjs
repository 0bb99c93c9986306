// A standby has rows that may be old: nothing is read from one and nothing is claimed there, until it is promoted.

import assert from 'node:assert/strict'
import { chownSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { MdkNode, isMdkError } from 'mayfly'
import { Postgres } from '../scripts/support/postgres.mjs'
import { identity } from '../scripts/support/postgres/binaries.mjs'
import { options } from './support/options.mjs'

let server
after(() => server?.stop())

test('a standby is refused by name, and taken once it is promoted', async () => {
  server = await Postgres.start()
  const store = server.url()
  const reading = async () => {
    const node = new MdkNode(options({ store }))
    try {
      return await node.listPayments()
    } finally {
      node.destroy()
    }
  }
  const claiming = async () => {
    const node = new MdkNode(options({ store }))
    try {
      await node.start()
    } finally {
      node.destroy()
    }
  }
  const refusedAsStandby = (error) => isMdkError(error) && error.code === 'STORE_UNAVAILABLE' && error.retryable && /takes no writes.*standby.*primary/.test(error.message)
  // 1. The tables are made, by a node that gets no further: nobody is at the other addresses.
  await assert.rejects(claiming(), (error) => error.code !== 'INTERNAL' && !refusedAsStandby(error))
  assert.deepEqual(await reading(), [])
  const [{ count }] = await server.sql('SELECT count(*) FROM mayfly.lease')
  assert.equal(Number(count), 1)
  // 2. The server becomes a standby, as after a fail-over that the connection string did not follow.
  const signal = join(server.folder, 'data/standby.signal')
  writeFileSync(signal, '')
  const { uid, gid } = identity()
  if (uid !== undefined) chownSync(signal, uid, gid)
  await server.restart()
  assert.deepEqual(await server.sql('SELECT pg_is_in_recovery() AS standby'), [{ standby: true }])
  await assert.rejects(reading(), refusedAsStandby)
  await assert.rejects(claiming(), refusedAsStandby)
  // 3. It is promoted.
  await server.sql('SELECT pg_promote()')
  assert.deepEqual(await reading(), [])
  await assert.rejects(claiming(), (error) => !refusedAsStandby(error))
})
