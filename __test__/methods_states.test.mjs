// Every method in every state has a defined outcome: the one of the table in docs/errors.md.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { startLab } from '../scripts/support/lab.mjs'
import { membersOf, unionOf } from './support/declared.mjs'
import { codesOf, names, table } from './support/error_docs.mjs'
import { CALLS, States } from './support/states.mjs'

const TABLE = table('Each method in each state')
const METHODS = Object.keys(CALLS)
/** In the order of a life. */
const STATES = unionOf('NodeState')

let lab, folder
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'mayfly-states-'))
  lab = await startLab()
})
after(async () => {
  await lab.stop()
  rmSync(folder, { recursive: true, force: true })
})

test('the table has every method that is declared, and every state', () => {
  assert.deepEqual(METHODS.toSorted(), membersOf('MdkNode').toSorted())
  assert.deepEqual([...TABLE.keys()].toSorted(), METHODS.toSorted())
  for (const row of TABLE.values()) assert.deepEqual(Object.keys(row), STATES)
})

test('what a method rejects with in some state is among what it may reject with', () => {
  for (const [method, row] of TABLE) {
    const may = codesOf(method)
    for (const code of Object.values(row).flatMap(names)) assert.ok(may.includes(code), `${method}: ${code}`)
  }
})

describe('every method of a node that is', () => {
  for (const state of STATES) {
    const expected = Object.fromEntries(METHODS.map((method) => [method, TABLE.get(method)?.[state]?.replaceAll('`', '')]))

    test(`${state} comes to what the table says`, async () => {
      const atOnce = METHODS.filter((method) => !expected[method]?.startsWith('waits'))
      assert.deepEqual(await new States(lab, folder)[state](METHODS, atOnce), expected)
    })
  }
})

test('a start that overtakes a stop keeps the node running, and both resolve', async () => {
  const node = new States(lab, folder).node()
  try {
    await node.start()
    const stopping = node.stop()
    await node.start()
    await stopping
    assert.equal(node.state, 'running')
  } finally {
    node.destroy()
  }
})
