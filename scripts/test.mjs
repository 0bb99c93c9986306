// `npm test`: the Rust tests, then the tests through the addon; both always run, and their own summaries end the output.
// Arguments are test files: only those run, through the addon.

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { ensureAddon, ensureLab } from './setup.mjs'
import { exitCode, root } from './run.mjs'

const only = process.argv.slice(2)
ensureAddon()
ensureLab()

const rust = only.length > 0 ? 0 : exitCode('cargo', ['test', '--workspace'])
const files = only.length > 0 ? only : readdirSync(join(root, '__test__')).filter((name) => name.endsWith('.test.mjs')).map((name) => `__test__/${name}`)
const node = exitCode(process.execPath, ['--test', '--test-reporter=spec', ...files.sort()])
if (rust !== 0) console.error('cargo test failed: see above')
process.exitCode = rust || node
