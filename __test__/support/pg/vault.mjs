// What somebody sees and does who has the whole database: every byte of it, and any change to any row.

/** Bytes of all columns of all tables that are not PostgreSQL's own, one after the other. */
export async function dump(database) {
  const tables = await database.sql("SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')")
  const values = []
  for (const { name } of tables) for (const row of await database.sql(`SELECT * FROM ${name}`)) values.push(...Object.values(row))
  return Buffer.concat(values.filter((value) => value !== null).map((value) => (Buffer.isBuffer(value) ? value : Buffer.from(String(value)))))
}

/** Which of `secrets` (`[name, text or bytes]`) are in there, in whatever spelling. */
export function found(bytes, secrets) {
  const text = bytes.toString('latin1').toLowerCase()
  const spellings = (secret) => {
    if (typeof secret === 'string') return [secret.toLowerCase()]
    const turned = Buffer.from(secret).reverse()
    return [secret, turned].flatMap((each) => ['latin1', 'hex', 'base64'].map((encoding) => each.toString(encoding).replace(/=*$/, '').toLowerCase()))
  }
  return secrets.filter(([, secret]) => spellings(secret).some((spelling) => text.includes(spelling))).map(([name]) => name)
}

/** A wallet's rows. */
export class Vault {
  /** Of the wallet that this process has claimed last. */
  static async of(database) {
    const [{ wallet }] = await database.sql('SELECT wallet FROM mayfly.lease ORDER BY since DESC LIMIT 1')
    return new Vault(database, wallet)
  }

  constructor(database, wallet) {
    this.database = database
    this.wallet = wallet
  }

  /** `[{ key, seq, data }]` */
  rows() {
    return this.database.sql('SELECT key, seq, data FROM mayfly.item WHERE wallet = $1 ORDER BY key', [this.wallet])
  }

  async lease() {
    return (await this.database.sql('SELECT epoch, seq FROM mayfly.lease WHERE wallet = $1', [this.wallet]))[0]
  }

  setSeq(seq) {
    return this.database.sql('UPDATE mayfly.lease SET seq = $2 WHERE wallet = $1', [this.wallet, seq])
  }

  delete(key) {
    return this.database.sql('DELETE FROM mayfly.item WHERE wallet = $1 AND key = $2', [this.wallet, key])
  }

  /** In place of what is there under the row's key, if anything is. */
  put({ key, seq, data }) {
    return this.database.sql(
      'INSERT INTO mayfly.item (wallet, key, seq, data) VALUES ($1, $2, $3, $4) ON CONFLICT (wallet, key) DO UPDATE SET seq = $3, data = $4',
      [this.wallet, key, seq, data],
    )
  }

  /** As it was when those were its rows. */
  async restore(rows) {
    await this.database.sql('DELETE FROM mayfly.item WHERE wallet = $1', [this.wallet])
    for (const row of rows) await this.put(row)
  }
}
