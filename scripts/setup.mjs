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
const INSTALLED = join(root, 'node_modules/.mayfly-lock')

export function ensureModules() {
  const lock = createHash('sha256').update(readFileSync(join(root, 'package-lock.json'))).digest('hex')
  if (existsSync(INSTALLED) && readFileSync(INSTALLED, 'utf8') === lock) return
  console.log('setup: npm ci')
  run('npm', ['ci', '--no-audit', '--no-fund'])
  writeFileSync(INSTALLED, lock)
}

/** The addon for this machine, dev profile. */
export function ensureAddon({ force = false } = {}) {
  ensureModules()
  const binary = addonBinary()
  if (!force && binary !== undefined && isFresh(join(root, binary), ADDON_SOURCES)) return
  console.log('setup: building the addon (dev profile; the first time takes minutes)')
  buildAddon([])
}

/** `napi build`, whose outputs are the binary, the loader and its types. */
export function buildAddon(flags) {
  const cli = join(root, 'node_modules/@napi-rs/cli/dist/cli.js')
  run(process.execPath, [cli, 'build', '--platform', '--js', 'native.js', '--dts', 'native.d.ts', ...flags])
  run(process.execPath, [join(root, 'scripts/compose-types.mjs')])
}

/** The lab's binary. */
export function ensureLab({ force = false } = {}) {
  if (!force && isFresh(LAB_BINARY, LAB_SOURCES)) return LAB_BINARY
  console.log('setup: building the lab')
  run('cargo', ['build', '-p', 'mayfly-lab'])
  return LAB_BINARY
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
