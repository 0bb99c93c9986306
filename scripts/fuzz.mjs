// `npm run fuzz`: a million broken inputs through every parser (core/src/fuzz), of which `cargo test` runs a share. An input that
// fails is printed with the command that runs it again; one that ends the process is found by running up to it once more.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { root } from './run.mjs'

const HELP = `npm run fuzz -- [options]
  --count <n>     so many inputs over all targets (default 1000000), or for the one of --target
  --seed <n>      the same inputs as last time; another one each time otherwise
  --target <name> only this one
  --from <n>      the target's inputs from this number on`

const chosen = choose()
if (chosen !== undefined) process.exitCode = fuzz(chosen)

function fuzz({ seed, count, target, from }) {
  const binary = build()
  if (binary === undefined) return 1
  const env = { MAYFLY_FUZZ_SEED: seed, MAYFLY_FUZZ_COUNT: count }
  if (target !== undefined) env.MAYFLY_FUZZ_TARGET = target
  if (from !== undefined) env.MAYFLY_FUZZ_FROM = from
  const only = (target ? ` --target ${target}` : '') + (from ? ` --from ${from}` : '')
  console.log(`fuzz: seed ${seed}; again: npm run fuzz -- --seed ${seed} --count ${count}${only}`)
  const began = Date.now()
  const ended = run(binary, env)
  if (ended.status === 0) {
    console.log(`fuzz: nothing found, ${Math.round((Date.now() - began) / 1000)} s`)
    return 0
  }
  if (ended.signal) nameTheKiller(binary, env, ended.signal)
  return 1
}

function run(binary, env, ...args) {
  const options = { cwd: join(root, 'core'), stdio: 'inherit', env: { ...process.env, RUST_BACKTRACE: '0', ...env } }
  return spawnSync(binary, ['fuzz::', '--nocapture', ...args], options)
}

/**
 * The test binary's path; undefined when it does not build. As `cargo test` has it: LDK and the parsers of others are optimised
 * there, and optimising ours as well takes minutes to build and saves one of two.
 */
function build() {
  const args = ['test', '-p', 'mayfly-core', '--lib', '--no-run', '--message-format', 'json-render-diagnostics']
  const { status, stdout } = spawnSync('cargo', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 1 << 28 })
  if (status !== 0) return undefined
  const messages = stdout.trim().split('\n').map((line) => JSON.parse(line))
  return messages.find(({ executable, target }) => executable && target.name === 'mayfly_core')?.executable
}

/** A stack that overflowed or memory that ran out leaves no time to say which input did it: each is noted before it starts. */
function nameTheKiller(binary, env, signal) {
  console.error(`fuzz: an input ended the process (${signal}); running up to it again to find it`)
  const trace = mkdtempSync(join(tmpdir(), 'mayfly-fuzz-'))
  try {
    run(binary, { ...env, MAYFLY_FUZZ_TRACE: trace }, '--test-threads=1')
    const newest = readdirSync(trace).map((name) => join(trace, name)).sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs)[0]
    console.error(newest ? `fuzz: it was ${readFileSync(newest, 'utf8')}` : 'fuzz: it was a seed or a regression of the first target')
  } finally {
    rmSync(trace, { recursive: true, force: true })
  }
}

/** undefined when there is nothing to do. */
function choose() {
  const text = { type: 'string' }
  try {
    const { values } = parseArgs({ options: { count: text, seed: text, target: text, from: text, help: { type: 'boolean' } } })
    if (values.help) return void console.log(HELP)
    const { count = '1000000', seed = String(Date.now()), target, from } = values
    for (const [name, value] of Object.entries({ count, seed, from })) {
      if (value !== undefined && !/^\d{1,15}$/.test(value)) throw new Error(`--${name} takes a whole number, not ${value}`)
    }
    if (from !== undefined && target === undefined) throw new Error('--from counts the inputs of one target: give --target, too')
    return { count, seed, target, from }
  } catch (error) {
    console.error(`${error.message}\n\n${HELP}`)
    process.exitCode = 2
    return undefined
  }
}
