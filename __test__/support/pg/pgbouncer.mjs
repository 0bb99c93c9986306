// The real PgBouncer in transaction mode, where its program is.

import { spawn, spawnSync } from 'node:child_process'
import { chownSync, mkdirSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import { identity } from '../../../scripts/support/postgres/binaries.mjs'
import { folder } from '../life.mjs'
import { until } from '../until.mjs'

/** Debian puts it where a user's PATH does not look. */
const PATH = `${process.env.PATH}:/usr/sbin:/usr/local/sbin`

/** Why it can't be tested here; undefined if it can. */
export const noPgBouncer = spawnSync('pgbouncer', ['--version'], { env: { ...process.env, PATH } }).status === 0
  ? undefined
  : 'no program `pgbouncer` here: install PgBouncer to test behind it; a pooler in miniature stands in'

/** Resolves with its port. `url`: of the server behind it, as a user whom it lets in. */
export async function pgbouncer(t, url) {
  const { port, username, password } = new URL(url)
  const who = identity()
  const home = join(folder(t), 'pgbouncer')
  mkdirSync(home)
  const free = createServer().listen(0, '127.0.0.1')
  await once(free, 'listening')
  const own = free.address().port
  free.close()
  writeFileSync(join(home, 'users'), `"${username}" "${password}"\n`)
  writeFileSync(join(home, 'ini'), `[databases]
* = host=127.0.0.1 port=${port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${own}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${join(home, 'users')}
pool_mode = transaction
default_pool_size = 2
max_client_conn = 200
`)
  if (who.uid !== undefined) for (const name of ['', 'users', 'ini', '..']) chownSync(join(home, name), who.uid, who.gid)
  const child = spawn('pgbouncer', [join(home, 'ini')], { ...who, env: { ...process.env, PATH }, stdio: 'ignore' })
  t.after(() => child.kill('SIGKILL'))
  await until('PgBouncer', () => new Promise((resolve) => {
    const socket = connect(own, '127.0.0.1').once('connect', () => resolve(true)).once('error', () => resolve(child.exitCode !== null))
    socket.once('connect', () => socket.destroy())
  }))
  if (child.exitCode !== null) throw new Error(`PgBouncer has ended with ${child.exitCode}`)
  return own
}
