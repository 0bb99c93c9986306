// `npm run bench`: the numbers behind the promises, as a table and as .bench/<date>.json. How to read it: bench/README.md.
// A missed target is information; the exit code says only whether everything could be measured.

import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { releaseAddon } from './release.mjs'
import { addonBinary } from './setup.mjs'
import { root } from './run.mjs'

/** In this order: what needs no lab first, so that nothing runs beside it; what fills the LSP with channels or payments last. */
const MEASUREMENTS = ['mint', 'fresh', 'load', 'boot', 'watch', 'receive', 'cycles', 'latency', 'postgres', 'loop', 'destroy', 'hanging', 'lingering', 'channels', 'flat']

const HELP = `npm run bench -- [options]
  --quick        few samples
  --n <count>    so many samples of everything that takes long (fresh processes, boots, receives)
  --payments <n> so many payments in a wallet's past at most (4000; 10000 takes minutes)
  --only <names> some of: ${MEASUREMENTS.join(',')}
  --dev          the dev addon instead of the release build
  --json         print the JSON instead of the table`

const chosen = choose()
if (chosen !== undefined) await bench(chosen)

async function bench({ quick, n, payments, only, dev, json }) {
  const addon = prepare(dev)
  const [{ createContext }, { machine }, { toJson, toTable }] = await Promise.all([
    import('../bench/support/context.mjs'),
    import('../bench/support/machine.mjs'),
    import('../bench/support/report.mjs'),
  ])
  // Through process.exit, so that the exit listeners clean up; the lab ends with us.
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))
  const result = { date: new Date().toISOString(), quick, machine: machine(addon), groups: [] }
  const context = await createContext({ quick, n, payments, dev })
  try {
    for (const name of only) result.groups.push(await measured(name, context))
  } finally {
    await context.close()
  }
  const path = save(toJson(result))
  if (json) process.stdout.write(readFileSync(path))
  else console.log(`\n${toTable(result)}\n${path}`)
}

async function measured(name, context) {
  const began = performance.now()
  const { title, run } = await import(`../bench/${name}.mjs`)
  const group = { name, title, rows: [] }
  try {
    group.rows = await run(context)
  } catch (error) {
    process.exitCode = 1
    console.error(error)
    group.failed = error.message
  }
  group.seconds = Number(((performance.now() - began) / 1_000).toFixed(1))
  console.error(`bench: ${name}, ${group.seconds} s`)
  return group
}

/** Builds what is missing and decides which addon this process and all its children load. */
function prepare(dev) {
  // Their own processes: what builds print must not come between us and --json.
  const scripts = [['setup.mjs', ...(dev ? [] : ['--lab'])], ...(dev ? [] : [['release.mjs']])]
  for (const [script, ...args] of scripts) {
    const { status } = spawnSync(process.execPath, [join(root, 'scripts', script), ...args], { stdio: ['ignore', 2, 2] })
    if (status !== 0) process.exit(status ?? 1)
  }
  // The dev addon is where the loader finds it anyway.
  delete process.env.NAPI_RS_NATIVE_LIBRARY_PATH
  const binary = dev ? join(root, addonBinary()) : releaseAddon()
  if (!dev) process.env.NAPI_RS_NATIVE_LIBRARY_PATH = binary
  return { profile: dev ? 'dev' : 'release', binary: binary.slice(root.length + 1), bytes: statSync(binary).size }
}

function save(result) {
  const folder = join(root, '.bench')
  mkdirSync(folder, { recursive: true })
  const path = join(folder, `${result.date.replaceAll(':', '-')}.json`)
  writeFileSync(path, `${JSON.stringify(result, null, 2)}\n`)
  return path
}

/** undefined when there is nothing to do. */
function choose() {
  const flag = { type: 'boolean', default: false }
  const text = { type: 'string' }
  try {
    const { values } = parseArgs({ options: { quick: flag, dev: flag, json: flag, help: flag, n: text, payments: { ...text, default: '4000' }, only: text } })
    if (values.help) return void console.log(HELP)
    const n = values.n === undefined ? undefined : Number(values.n)
    if (n !== undefined && !(Number.isSafeInteger(n) && n > 0)) throw new Error(`--n takes a positive integer, not ${values.n}`)
    const payments = Number(values.payments)
    if (!(Number.isSafeInteger(payments) && payments > 1_000)) throw new Error(`--payments takes an integer above 1000, not ${values.payments}`)
    const only = values.only?.split(',') ?? MEASUREMENTS
    const unknown = only.filter((name) => !MEASUREMENTS.includes(name))
    if (unknown.length > 0) throw new Error(`--only does not know ${unknown.join(', ')}`)
    return { ...values, n, payments, only }
  } catch (error) {
    console.error(`${error.message}\n\n${HELP}`)
    process.exitCode = 2
    return undefined
  }
}
