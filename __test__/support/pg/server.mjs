// The PostgreSQL that tests share: the one that `npm test` started, or one of this process. Each test has a database of its own in it.

import { Postgres, sql } from '../../../scripts/support/postgres.mjs'

let own
let count = 0

/** The superuser's URL of the shared server. */
export async function shared() {
  if (process.env.MAYFLY_TEST_POSTGRES) return process.env.MAYFLY_TEST_POSTGRES
  own ??= Postgres.start().then((server) => server.unref())
  return (await own).url()
}

/** A new, empty database. */
export async function newDatabase() {
  const server = await shared()
  count += 1
  return Database.create(server, `test_${process.pid}_${count}`)
}

/** One of any server's databases, as its superuser sees it. */
export class Database {
  /** `server`: the superuser's URL of it. */
  static async create(server, name) {
    await sql(server, `CREATE DATABASE ${name}`)
    const url = new URL(server)
    url.pathname = `/${name}`
    return new Database(url)
  }

  #url

  constructor(url) {
    this.#url = url
    this.name = url.pathname.slice(1)
    this.port = Number(url.port)
  }

  /** `port`: of something in between. */
  url({ port = this.port, user, password, parameters = {} } = {}) {
    const url = new URL(this.#url)
    url.port = String(port)
    if (user !== undefined) url.username = user
    if (password !== undefined) url.password = password
    for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
    return url.href
  }

  sql(text, values) {
    return sql(this.url(), text, values)
  }
}
