// A real PostgreSQL for tests: its own folder, its own port, also as root; killed, frozen and started again as a test wants it, and gone
// with the process that started it, whatever ends that (postgres/keeper.mjs).

import { fork, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chownSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { identity, programs } from './postgres/binaries.mjs'
import { killAll, signalAll } from './postgres/processes.mjs'

const KEEPER = fileURLToPath(new URL('./postgres/keeper.mjs', import.meta.url))

/** Durable as it comes; small, since several of them run beside each other. */
const SETTINGS = {
  listen_addresses: '127.0.0.1',
  max_connections: 200,
  shared_buffers: '16MB',
  min_wal_size: '2MB',
  max_wal_size: '64MB',
  // Files in its own folder: whoever is killed leaves nothing in /dev/shm.
  dynamic_shared_memory_type: 'mmap',
  max_parallel_workers: 0,
  jit: 'off',
}

export class Postgres {
  #keeper
  #args
  #pid
  #password

  constructor(keeper, args, { folder, port, password }) {
    this.#keeper = keeper
    this.#args = args
    this.#password = password
    this.folder = folder
    this.port = port
  }

  /** `settings`: of postgresql.conf. */
  static async start({ settings = {} } = {}) {
    const folder = mkdtempSync(join(tmpdir(), 'mayfly-postgres-'))
    const who = identity()
    const { initdb, postgres, env } = await programs(folder)
    // From here on the folder goes with us.
    const keeper = fork(KEEPER, [JSON.stringify({ folder, program: postgres, identity: who, env })], { execArgv: [], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    try {
      const password = randomBytes(12).toString('hex')
      writeFileSync(join(folder, 'password'), password, { mode: 0o600 })
      if (who.uid !== undefined) for (const path of ['', 'password']) chownSync(join(folder, path), who.uid, who.gid)
      // No flush of what nobody would miss; the server itself flushes.
      const flags = ['-D', join(folder, 'data'), '-U', 'postgres', '-A', 'scram-sha-256', '--pwfile', join(folder, 'password'), '--no-locale', '-E', 'UTF8', '--wal-segsize=1', '--no-sync', '--no-instructions']
      const { status, stdout, stderr, error } = spawnSync(initdb, flags, { ...who, env, cwd: folder, encoding: 'utf8' })
      if (status !== 0) throw new Error(`initdb failed: ${error?.message ?? ''}${stderr}${stdout}`)
      const port = await freePort()
      const all = { ...SETTINGS, ...settings, port, unix_socket_directories: folder }
      const args = ['-D', join(folder, 'data'), ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])]
      const server = new Postgres(keeper, args, { folder, port, password })
      await server.#begin()
      return server
    } catch (error) {
      keeper.disconnect()
      throw error
    }
  }

  async #begin() {
    const ended = once(this.#keeper, 'exit').then(() => [{ failed: 'its keeper has ended' }])
    const answer = Promise.race([once(this.#keeper, 'message'), ended])
    this.#keeper.send({ start: this.#args })
    const [{ pid, failed }] = await answer
    if (failed !== undefined) throw new Error(`PostgreSQL does not start: ${failed}`)
    this.#pid = pid
  }

  /** Where the superuser finds a database; `port`: of something in between. */
  url({ database = 'postgres', user = 'postgres', password = this.#password, port = this.port } = {}) {
    return `postgres://${user}:${password}@127.0.0.1:${port}/${database}`
  }

  /** Rows of a statement. */
  sql(text, { values, ...place } = {}) {
    return sql(this.url(place), text, values)
  }

  /** SIGKILL to all of its processes: what was not flushed is lost. */
  async kill9() {
    const pid = this.#pid
    // Another process may be called so from now on.
    this.#pid = undefined
    if (pid !== undefined) await killAll(pid)
  }

  /** Up again, with what it had; killed before, if it runs. */
  async restart() {
    await this.kill9()
    await this.#begin()
  }

  /** All of its processes stand still: connections are taken by the kernel, and nobody answers. */
  hang() {
    if (this.#pid !== undefined) signalAll(this.#pid, 'SIGSTOP')
  }

  thaw() {
    if (this.#pid !== undefined) signalAll(this.#pid, 'SIGCONT')
  }

  /** It does not keep this process alive, and goes with it. */
  unref() {
    this.#keeper.unref()
    this.#keeper.channel.unref()
    return this
  }

  /** What it logged. */
  log() {
    return readFileSync(join(this.folder, 'log'), 'utf8')
  }

  /** Resolves when it is gone, and its folder. */
  async stop() {
    if (this.#keeper.exitCode !== null || this.#keeper.signalCode !== null) return
    const exited = once(this.#keeper, 'exit')
    if (this.#keeper.connected) this.#keeper.disconnect()
    await exited
  }
}

/** Rows of a statement, on a connection of its own: a server that was restarted is none to trip over. */
export async function sql(url, text, values) {
  const client = new pg.Client({ connectionString: url })
  // A server that is killed tells the connection, too; the statement says it.
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query(text, values)).rows
  } finally {
    await client.end().catch(() => {})
  }
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}
