// `npm run lint`: formatting, clippy, types, and that generated files are what their sources say. All run; any may fail.

import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { addonBinary, buildAddon, ensureAddon, ensureModules } from './setup.mjs'
import { exitCode, root } from './run.mjs'

const GENERATED = ['native.js', 'native.d.ts', 'index.d.ts']

ensureModules()
const failed = []
check('cargo fmt', () => exitCode('cargo', ['fmt', '--all', '--check']) === 0)
// The addon apart: its functions are called from JavaScript only, so its test build (which there is none of) would see them unused.
// The simulator apart: what it switches on in the core, nothing else may have.
check('clippy', () => clippy('--workspace') && clippy('--workspace', '--exclude', 'mayfly', '--all-targets') && clippy('--package', 'mayfly-sim', '--features', 'owned'))
check('generated files are up to date', generatedAreFresh)
check('types', () => {
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  return exitCode(process.execPath, [tsc, '--noEmit', '-p', 'tsconfig.json']) === 0
})

if (failed.length > 0) {
  console.error(`lint failed: ${failed.join(', ')}`)
  process.exitCode = 1
} else {
  console.log('lint: all good')
}

function clippy(...what) {
  return exitCode('cargo', ['clippy', ...what, '--', '-D', 'warnings']) === 0
}

function check(name, holds) {
  console.log(`lint: ${name}`)
  if (!holds()) failed.push(name)
}

/** Generates them anew and compares with what was there; what was there is lost only where it was stale. */
function generatedAreFresh() {
  const before = mkdtempSync(join(tmpdir(), 'mayfly-lint-'))
  try {
    for (const name of GENERATED) if (existsSync(join(root, name))) copyFileSync(join(root, name), join(before, name))
    if (addonBinary() === undefined) ensureAddon()
    else buildAddon()
    const stale = GENERATED.filter((name) => !same(join(before, name), join(root, name)))
    if (stale.length > 0) console.error(`stale: ${stale.join(', ')} (generated anew just now: look at the difference, commit it)`)
    return stale.length === 0
  } finally {
    rmSync(before, { recursive: true, force: true })
  }
}

function same(a, b) {
  return existsSync(a) && existsSync(b) && readFileSync(a).equals(readFileSync(b))
}
