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
  for (const name of ["the LSP's node id", "LDK's monitor", "LDK's manager"]) assert.ok(told.includes(name), `${name} is not in ${told}`)
})

const flipped = (data, at) => {
  const other = Buffer.from(data)
  other[at] ^= 1
  return other
}

/** The rows of the ledger are not loaded by a start: they are verified when they are read, as far as they are there. */
const isCold = ({ key }) => key.toString('latin1').startsWith('ledger/')

/** What somebody does to a row of a wallet. `cold`: to one of the ledger, too. */
const DAMAGES = {
  'one bit of it is flipped': { cold: true, happens: (vault, row) => vault.put({ ...row, data: flipped(row.data, row.data.length >> 1) }) },
  'its last bit is flipped': { cold: true, happens: (vault, row) => vault.put({ ...row, data: flipped(row.data, row.data.length - 1) }) },
  'it is cut short': { cold: true, happens: (vault, row) => vault.put({ ...row, data: row.data.subarray(0, -1) }) },
  'it is emptied': { cold: true, happens: (vault, row) => vault.put({ ...row, data: Buffer.alloc(0) }) },
  'it is deleted': { happens: (vault, row) => vault.delete(row.key) },
  'it holds what another row of the wallet holds': {
    cold: true,
    happens: (vault, row, { rows }) => vault.put({ ...rows.find(({ data }) => !data.equals(row.data)), key: row.key }),
  },
  'it holds what the same row of another wallet holds': { happens: (vault, row, { foreign }) => vault.put({ ...foreign(row), key: row.key }) },
  'its number is that of a commit that never was': { happens: async (vault, row) => vault.put({ ...row, seq: Number((await vault.lease()).seq) + 1 }) },
}

describe('a row of a wallet is refused, and nothing is changed or said, when', () => {
  let wallet, vault, rows, samples, others

  before(async () => {
    others = await (await vaultOf(await rich())).rows()
    wallet = await rich()
    vault = await vaultOf(wallet)
    rows = await vault.rows()
    // One of each class, which is what stands before the last part of its name.
    const classOf = ({ key }) => key.toString('latin1').split('/').slice(0, 2).join('/')
    samples = [...new Map(rows.map((row) => [classOf(row), row])).values()]
  })

  /** This process is the last that had it. */
  async function vaultOf(wallet) {
    assert.equal(await start(wallet), 'started')
    return Vault.of(database)
  }

  const outcome = async (wallet, doing) => {
    const node = wallet.node()
    try {
      return await doing(node)
    } catch (error) {
      return error.code
    } finally {
      node.destroy()
    }
  }

  const start = (wallet) => outcome(wallet, async (node) => {
    await node.start()
    await node.stop()
    return 'started'
  })
  const list = () => outcome(wallet, async (node) => (await node.listPayments()).length)

  const isWhole = async () => {
    await vault.restore(rows)
    assert.equal(await list(), 2)
  }

  /** A row of the same length as that one has, if there is one. */
  const foreign = (row) => others.find(({ data }) => data.length === row.data.length) ?? others.find((other) => isCold(other) === isCold(row))

  for (const [damage, { cold, happens }] of Object.entries(DAMAGES)) {
    test(damage, async (t) => {
      const began = process.hrtime.bigint()
      const tried = { hot: 0, cold: 0 }
      for (const row of samples.filter((row) => cold || !isCold(row))) {
        await happens(vault, row, { rows, foreign })
        const changed = await vault.rows()
        const { seq } = await vault.lease()
        const told = isCold(row) ? await list() : await start(wallet)
        assert.equal(told, 'STATE_CORRUPT', `${row.key.toString('latin1')}, ${row.data.length} bytes`)
        assert.deepEqual(await vault.rows(), changed, 'nothing is written')
        assert.equal((await vault.lease()).seq, seq)
        tried[isCold(row) ? 'cold' : 'hot'] += 1
        await isWhole()
      }
      const said = (await shop.lab.get(`/messages?since=${began}`)).filter(({ peer }) => peer === wallet.nodeId)
      assert.deepEqual(said, [], 'nothing is said to the LSP')
      assert.ok(tried.hot >= 4, `${tried.hot} rows`)
      if (cold) assert.ok(tried.cold >= 2, `${tried.cold} rows of the ledger`)
      t.diagnostic(JSON.stringify(tried))
    })
  }

  test('it is an older one of itself, alone or with all others', async (t) => {
    const older = await vault.rows()
    const { seq } = await vault.lease()
    await wallet.sell(AMOUNT_MSAT)
    assert.equal(await start(wallet), 'started')
    const newer = await vault.rows()
    const now = await vault.lease()
    let tried = 0
    for (const row of older.filter((row) => !isCold(row))) {
      const same = newer.find(({ key }) => key.equals(row.key))
      if (same?.data.equals(row.data)) continue
      await vault.put(row)
      assert.equal(await start(wallet), 'STATE_CORRUPT', `${row.key.toString('latin1')}`)
      await vault.restore(newer)
      tried += 1
    }
    assert.ok(tried >= 3, `${tried} rows`)
    // A whole backup, which no row can tell: this process has seen more.
    await vault.restore(older)
    await vault.setSeq(seq)
    assert.equal(await start(wallet), 'STATE_CORRUPT')
    await vault.restore(newer)
    await vault.setSeq(now.seq)
    assert.equal(await start(wallet), 'started')
    t.diagnostic(`${tried} rows`)
  })
})
