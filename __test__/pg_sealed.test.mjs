// Whoever has the database has no secret and no power: a dump of it tells nothing of what a wallet is, and a row that was changed,
// exchanged, deleted or brought back is refused by whoever reads it, before anything is done or said.

import assert from 'node:assert/strict'
import { pbkdf2Sync } from 'node:crypto'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { generateMnemonic } from '../index.mjs'
import { Books } from './support/books.mjs'
import { newDatabase } from './support/pg/server.mjs'
import { Vault, dump, found } from './support/pg/vault.mjs'
import { openShop } from './support/shop.mjs'

const AMOUNT_MSAT = 21_000_000

let shop, database
before(async () => {
  ;[shop, database] = await Promise.all([openShop(), newDatabase()])
})
after(() => shop?.close())

/** A wallet that has received two payments. `preimages`: of them. */
async function rich(options = { store: database.url() }) {
  const wallet = await shop.wallet({ options })
  wallet.preimages = [(await wallet.sell(AMOUNT_MSAT)).preimage, (await wallet.sell(AMOUNT_MSAT)).preimage]
  return wallet
}

/** What a dump must not tell, and that of it which a store without seals does tell. */
async function secretsOf(wallet) {
  const { mnemonic, lspNodeId } = wallet.options
  const seed = pbkdf2Sync(mnemonic, 'mnemonic', 2048, 64, 'sha512')
  const [{ channelId, fundingTxid }] = await wallet.channels()
  const bytes = (hex) => Buffer.from(hex, 'hex')
  return {
    never: [
      ['mnemonic', mnemonic],
      ['seed', seed],
      ['half of the seed', seed.subarray(0, 32)],
    ],
    unsealed: [
      ...wallet.preimages.map((preimage, i) => [`preimage ${i}`, bytes(preimage)]),
      ['node id', bytes(wallet.nodeId)],
      ["the LSP's node id", bytes(lspNodeId)],
      ['channel', bytes(channelId)],
      ['funding transaction', bytes(fundingTxid)],
      ['a row of the ledger', 'ledger/'],
      ["LDK's monitor", 'monitor/'],
      ["LDK's manager", 'manager'],
      ['the field of a ledger entry', 'payment_id'],
    ],
  }
}

test('a dump of the database tells neither mnemonic nor seed, preimage, node id, or what a row is', async () => {
  const wallet = await rich()
  const { never, unsealed } = await secretsOf(wallet)
  const bytes = await dump(database)
  assert.ok(bytes.length > 10_000, `${bytes.length} bytes`)
  assert.deepEqual(found(bytes, [...never, ...unsealed]), [])
  // What it should find is found.
  assert.deepEqual(found(Buffer.concat([bytes, Buffer.from(wallet.options.mnemonic)]), never), ['mnemonic'])
  const folder = join(shop.folder, 'unsealed')
  const open = await rich({ store: `file:${folder}` })
  const file = readdirSync(folder).find((name) => name.endsWith('.sqlite'))
  const inFiles = Buffer.concat([readFileSync(join(folder, file)), ...readdirSync(folder).filter((name) => name.endsWith('-wal')).map((name) => readFileSync(join(folder, name)))])
  const told = found(inFiles, (await secretsOf(open)).unsealed)
  for (const name of ["the LSP's node id", 'a row of the ledger', "LDK's monitor", "LDK's manager"]) assert.ok(told.includes(name), `${name} is not in ${told}`)
})

const flipped = (data, at) => {
  const other = Buffer.from(data)
  other[at] ^= 1
  return other
}

/** What somebody does to the rows of a wallet. `cold`: those of its ledger, which are verified when they are read. */
const DAMAGES = {
  'one bit of it is flipped': async (vault, row) => vault.put({ ...row, data: flipped(row.data, row.data.length >> 1) }),
  'its last bit is flipped': async (vault, row) => vault.put({ ...row, data: flipped(row.data, row.data.length - 1) }),
  'it is cut short': async (vault, row) => vault.put({ ...row, data: row.data.subarray(0, -1) }),
  'it is emptied': async (vault, row) => vault.put({ ...row, data: Buffer.alloc(0) }),
  'it is deleted': async (vault, row) => vault.delete(row.key),
  'it holds what another row of the wallet holds': async (vault, row, { rows }) => vault.put({ ...rows.find(({ key, data }) => !key.equals(row.key) && !data.equals(row.data)), key: row.key }),
  'its number is that of another commit': async (vault, row) => vault.put({ ...row, seq: Number(row.seq) - 1 }),
}

describe('a row of a wallet is refused, and nothing is changed or said, when', () => {
  let wallet, vault, rows, cold

  before(async () => {
    wallet = await rich()
    vault = await Vault.of(database)
    rows = await vault.rows()
    // A start reads all but the rows of the ledger: with each row away alone, it fails or it does not.
    cold = await coldRows()
  })

  const start = async () => {
    const node = wallet.node()
    try {
      await node.start()
      await node.stop()
      return 'started'
    } catch (error) {
      return error.code
    } finally {
      node.destroy()
    }
  }

  const list = async () => {
    const node = wallet.node()
    try {
      return (await node.listPayments()).length
    } catch (error) {
      return error.code
    } finally {
      node.destroy()
    }
  }

  /** With the rows as they are now: a start commits. */
  async function coldRows() {
    const kept = await vault.rows()
    const longest = Math.max(...kept.map(({ key }) => key.length))
    return kept.filter(({ key }) => key.length === longest)
  }

  const isWhole = async () => {
    await vault.restore(rows)
    assert.equal(await list(), 2)
  }

  for (const [damage, happens] of Object.entries(DAMAGES)) {
    test(damage, async (t) => {
      const began = process.hrtime.bigint()
      let hot = 0
      for (const row of rows) {
        await happens(vault, row, { rows })
        const changed = await vault.rows()
        const lease = await vault.lease()
        const isCold = cold.some(({ key }) => key.equals(row.key))
        const told = isCold ? await list() : await start()
        assert.equal(told, 'STATE_CORRUPT', `${row.key.toString('latin1')}, ${row.data.length} bytes`)
        assert.deepEqual(await vault.rows(), changed, 'nothing is written')
        assert.equal((await vault.lease()).seq, lease.seq)
        hot += isCold ? 0 : 1
        await isWhole()
      }
      const said = (await shop.lab.get(`/messages?since=${began}`)).filter(({ peer }) => peer === wallet.nodeId)
      assert.deepEqual(said, [], 'nothing is said to the LSP')
      assert.ok(hot >= 3, `${hot} rows`)
      t.diagnostic(`${hot} rows, and ${rows.length - hot} of the ledger`)
    })
  }
})
