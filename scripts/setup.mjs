// Makes ready what tests, demo and lab need: node_modules, the addon (dev profile) and the lab's binary. Quick when all is
// fresh. `--addon` or `--lab` makes only that, `--force` makes it again.

import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { root, run } from './run.mjs'

/** What the addon is built from. */
export const ADDON_SOURCES = ['src', 'core/src', 'build.rs', 'Cargo.toml', 'core/Cargo.toml', 'Cargo.lock', 'package.json']
const LAB_SOURCES = ['lab', 'core/src', 'Cargo.toml', 'core/Cargo.toml', 'Cargo.lock']
const LAB_BINARY = join(root, 'target/debug/mayfly-lab')
/** Both profiles' binaries have the same name: which one lies there. */
const PROFILE = join(root, 'target/addon-profile')
const INSTALLED = join(root, 'node_modules/.mayfly-lock')

export function ensureModules() {
  const lock = createHash('sha256').update(readFileSync(join(root, 'package-lock.json'))).digest('hex')
  if (existsSync(INSTALLED) && readFileSync(INSTALLED, 'utf8') === lock) return
  console.log('setup: npm ci')
  run('npm', ['ci', '--no-audit', '--no-fund'])
  writeFileSync(INSTALLED, lock)
}

/** The addon for this machine: the dev profile for tests, demo and lab, `release` for the bench and the package. */
export function ensureAddon({ force = false, release = false } = {}) {
  ensureModules()
  const binary = addonBinary()
  const built = existsSync(PROFILE) ? readFileSync(PROFILE, 'utf8') : undefined
  if (!force && binary !== undefined && built === profile(release) && isFresh(join(root, binary), ADDON_SOURCES)) return
  console.log(`setup: building the addon (${profile(release)} profile; the first time takes minutes)`)
  buildAddon({ release })
}

/**
 * `napi build`, whose outputs are the binary, the loader and its types. The dev profile is built with the whole workspace: Cargo
 * then picks one set of features for each dependency, and addon, lab and tests share one compilation of them.
 */
export function buildAddon({ release = false } = {}) {
  const cli = join(root, 'node_modules/@napi-rs/cli/dist/cli.js')
  const flags = release ? ['--release'] : ['--', '--workspace']
  run(process.execPath, [cli, 'build', '--platform', '--js', 'native.js', '--dts', 'native.d.ts', ...flags])
  run(process.execPath, [join(root, 'scripts/compose-types.mjs')])
  writeFileSync(PROFILE, profile(release))
}

function profile(release) {
  return release ? 'release' : 'dev'
}

/** The lab's binary. */
export function ensureLab({ force = false } = {}) {
  if (!force && isFresh(LAB_BINARY, LAB_SOURCES)) return LAB_BINARY
  console.log('setup: building the lab')
  run('cargo', ['build', '--workspace'])
  return LAB_BINARY
}

/** The simulator's binary: optimised, with what it alone may switch on in the core. Cargo knows whether it is fresh. */
export function ensureSim() {
  run('cargo', ['build', '--quiet', '--profile', 'sim', '--package', 'mayfly-sim', '--features', 'owned'])
  return join(root, 'target/sim/mayfly-sim')
}

/** The addon's file name for this machine in a folder, if there is one. */
export function addonBinary(folder = root) {
  if (!existsSync(folder)) return undefined
  const platform = `${process.platform}-${process.arch}`
  return readdirSync(folder).find((name) => name.startsWith(`mayfly.${platform}`) && name.endsWith('.node'))
}

/** Whether it exists and no source is newer. */
export function isFresh(output, sources) {
  if (!existsSync(output)) return false
  const made = statSync(output).mtimeMs
  return sources.every((source) => newest(join(root, source)) <= made)
}

function newest(path) {
  if (!existsSync(path)) return 0
  const stat = statSync(path)
  if (!stat.isDirectory()) return stat.mtimeMs
  return Math.max(stat.mtimeMs, ...readdirSync(path).map((name) => newest(join(path, name))))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const flags = new Set(process.argv.slice(2))
  const force = flags.has('--force')
  const all = !flags.has('--addon') && !flags.has('--lab')
  if (all || flags.has('--addon')) ensureAddon({ force })
  if (all || flags.has('--lab')) ensureLab({ force })
  console.log('setup: ready')
}
