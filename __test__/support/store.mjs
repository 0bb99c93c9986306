// Where the wallets of a test live: MAYFLY_TEST_STORE says in which kind of store, `file` by default. A test that must hold of
// several runs once for each, as pg_*.test.mjs do by a line.

import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { MdkNode } from '../../index.mjs'
import { ensureLab } from '../../scripts/setup.mjs'
import { newDatabase } from './pg/server.mjs'

export const KIND = process.env.MAYFLY_TEST_STORE ?? 'file'

/** The database of all wallets of this process, which a keyed hash tells apart. */
export const database = KIND === 'postgres' ? await newDatabase() : undefined

/** The `store` of a wallet that may keep its files in `path`. */
export const storeAt = {
  file: (path) => `file:${path}`,
  postgres: () => database.url(),
}[KIND]

/** The received payments as the store holds them: `[{ id, paymentHash, amountMsat }]`. */
export function ledgerOf(wallet) {
  return wallet.options.store.startsWith('file:') ? inFile(wallet) : sealed(wallet)
}

/** Past everything that mayfly does; the database must be whole. */
async function inFile(wallet) {
  if ((await sql(wallet, 'PRAGMA integrity_check'))[0].integrity_check !== 'ok') throw new Error('the database is damaged')
  const rows = await sql(wallet, "SELECT key, CAST(value AS TEXT) AS row FROM item WHERE key BETWEEN 'ledger/' AND 'ledger/~'")
  return rows.map(({ key, row }) => {
    const { payment_id: id, payment_hash: paymentHash, amount_msat: amountMsat } = JSON.parse(row)
    if (key !== `ledger/${paymentHash}`) throw new Error(`the row ${key} holds ${paymentHash}`)
    return { id, paymentHash, amountMsat }
  })
}

/** Only a node can read it. */
async function sealed(wallet) {
  const node = new MdkNode(wallet.options)
  try {
    const found = []
    for (;;) {
      const page = await node.listPayments({ limit: PAGE, ...(found.length > 0 && { before: found.at(-1).paymentHash }) })
      found.push(...page.map(({ paymentId: id, paymentHash, amountMsat }) => ({ id, paymentHash, amountMsat })))
      if (page.length < PAGE) return found
    }
  } finally {
    node.destroy()
  }
}

const PAGE = 100

/** As a holder that this process does not know of does it: the wallet of this process's only holder is another's. */
export const takeAway = {
  file: (wallet) => sql(wallet, 'UPDATE lease SET epoch = epoch + 1'),
  postgres: () => database.sql('UPDATE mayfly.lease SET epoch = epoch + 1 WHERE pid = $1 AND holder IS NOT NULL', [process.pid]),
}[KIND]

/** The file of a wallet that has one. */
export function databaseOf({ options }) {
  const folder = options.store.slice('file:'.length)
  return join(folder, readdirSync(folder).find((name) => name.endsWith('.sqlite')))
}

/** Runs a statement on it. */
export async function sql(wallet, statement) {
  const { stdout } = await promisify(execFile)(ensureLab(), ['sql', databaseOf(wallet), statement])
  return JSON.parse(stdout)
}
