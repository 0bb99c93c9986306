// What `npm pack` ships, installed where nothing else is: it loads and compiles without a checkout and without Rust.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { before, after, test } from 'node:test'
import { releaseAddon } from '../scripts/release.mjs'
import { addonBinary } from '../scripts/setup.mjs'
import { failpointsIn } from '../scripts/support/failpoints.mjs'
import { root } from './support/child.mjs'
import { options } from './support/options.mjs'

/** Node, npm and the shell that npm wants; no cargo. */
const PATH = [dirname(process.execPath), '/usr/bin', '/bin'].join(':')
const CARGO_PATHS = /cargo|rustup/

let folder
let shipped

function run(command, args, cwd = folder) {
  const env = { ...process.env, PATH, npm_config_offline: 'true' }
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, env, encoding: 'utf8' })
  assert.equal(status, 0, `${command} ${args.join(' ')}\n${stdout}\n${stderr}`)
  return stdout
}

before(() => {
  assert.doesNotMatch(PATH, CARGO_PATHS)
  folder = mkdtempSync(join(tmpdir(), 'mayfly-pack-'))
  const [packed] = JSON.parse(run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], root))
  shipped = packed.files.map(({ path }) => path)
  writeFileSync(join(folder, 'package.json'), '{ "name": "user", "private": true }')
  run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', join(folder, packed.filename)])
})

after(() => rmSync(folder, { recursive: true, force: true }))

test('it ships what is needed and nothing else', () => {
  const needless = shipped.filter((path) => !/^(index\.(js|mjs|d\.ts|d\.mts)|native\.js|wrapper\/\w+\.js|bin\/mayfly\.mjs|mayfly\.[\w-]+\.node|package\.json|LICENSE-\w+|README\.md)$/.test(path))
  assert.deepEqual(needless, [])
  for (const path of ['index.js', 'index.mjs', 'index.d.ts', 'index.d.mts', 'native.js']) assert.ok(shipped.includes(path), path)
  assert.ok(shipped.some((path) => path.endsWith('.node')))
})

test('failpoints are found in the addon of the tests, and in no release', (t) => {
  assert.deepEqual(failpointsIn(join(root, addonBinary())), ['MAYFLY_FAILPOINT', 'AfterCommitBeforeRelease'])
  // What Cargo builds for the package alone, which is what a release is.
  const tree = spawnSync('cargo', ['tree', '-p', 'mayfly', '-e', 'normal', '--offline', '-f', '{p} [{f}]'], { cwd: root, encoding: 'utf8' })
  assert.match(tree.stdout, /mayfly-core [^\n]*\[\]/, tree.stderr)
  const release = releaseAddon()
  if (release === undefined) return t.diagnostic('no release was built here; `npm pack` looks into each')
  assert.deepEqual(failpointsIn(release), [])
})

test('its command runs from where it is installed', () => {
  assert.match(run('npx', ['--no', 'mayfly', 'migrate', '--print']), /^CREATE TABLE IF NOT EXISTS mayfly\.lease/m)
})

test('it is required and imported', () => {
  const use = `new MdkNode(${JSON.stringify(options())}).getInvoice(1000, 'x', 900).then((invoice) => console.log(invoice.amountMsat))`
  assert.equal(run(process.execPath, ['-e', `const { MdkNode } = require('mayfly'); ${use}`]), '1000\n')
  assert.equal(run(process.execPath, ['--input-type=module', '-e', `import { MdkNode } from 'mayfly'; ${use}`]), '1000\n')
})

test('a strict TypeScript handler compiles against it, as a CommonJS and as an ES module', () => {
  mkdirSync(join(folder, 'src'))
  for (const name of ['handler.cts', 'handler.mts']) cpSync(join(root, '__test__/handler.ts'), join(folder, 'src', name))
  // Without @types/node: the DOM library has AbortSignal too.
  const compilerOptions = { strict: true, noEmit: true, target: 'es2022', lib: ['es2022', 'dom'], module: 'nodenext', types: [] }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['src'] }))
  run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', '.'])
})
