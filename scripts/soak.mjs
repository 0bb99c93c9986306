// `npm run soak`: what `npm test` shows in a minute, for as long as you like: starts, payments and destroys in one process,
// wallets side by side, processes that end in every way, handlers killed at random instants or told to end at them, on files and on
// PostgreSQL, handlers frozen for longer than their lease, a crowd of processes at one wallet, a destroy() while each service hangs, a wallet with many payments, and a million simulated crashes, other ones each round. Figures go by while it runs;
// the exit code says whether all held.

import { parseArgs } from 'node:util'
import { ensureAddon, ensureLab, ensureSim } from './setup.mjs'
import { exitCode } from './run.mjs'

/** More than any round runs: no round has the seeds of another, or of `npm test`. */
const SEEDS_A_ROUND = 1_000_000

const HELP = `npm run soak -- [options]
  --cycles <n>     starts and destroys in one process (1000)
  --pay-every <n>  one payment in so many of them (1: in each)
  --wallets <n>    wallets at once in one process (100)
  --kills <n>      handlers killed at random instants (2000)
  --terms <n>      handlers told to end at random instants, for each platform's time (200)
  --freezes <n>    handlers frozen at random instants for longer than their lease (1000, which take most of an hour)
  --contenders <n> processes that contend for one wallet, for 200 turns (64)
  --hangs <n>      destroys while a service hangs, for each service (1000)
  --payments <n>   payments of one wallet, whose starts must stay as small (1000)
  --points <n>     crash points of the simulator (1000000, which takes two cores some hours)
  --rounds <n>     all of it so often (1)`

const chosen = choose()
if (chosen !== undefined) soak(chosen)

function soak({ cycles, payEvery, wallets, kills, terms, freezes, contenders, hangs, payments, points, rounds }) {
  ensureAddon()
  ensureLab()
  const simulator = ensureSim()
  const env = { SOAK_CYCLES: cycles, SOAK_PAY_EVERY: payEvery, SOAK_WALLETS: wallets, KILLS: kills, TERMS: terms, FREEZES: freezes, CONTENDERS: contenders, CONTENTION_TURNS: 200, HANGS: hangs, SOAK_PAYMENTS: payments, EXITS: 'all', KILL_PASSINGS: 6, SHARED_ROUNDS: 300 }
  // One after the other: each is a load of its own.
  const files = ['cycles', 'crowd', 'exits', 'kill_random', 'platform_budgets', 'hanging_services', 'flat', 'pg_crowd', 'pg_kill_failpoints', 'pg_kill_random', 'pg_no_lingering', 'pg_platform_budgets', 'pg_freeze', 'pg_contention'].map((name) => `__test__/${name}.test.mjs`)
  const args = ['--test', '--test-concurrency=1', '--test-reporter=spec', ...files]
  for (let round = 1; round <= rounds && !process.exitCode; round++) {
    console.log(`soak: round ${round} of ${rounds}`)
    process.exitCode = exitCode(process.execPath, args, { env })
    process.exitCode ||= exitCode(simulator, ['--points', String(points), '--from', String(round * SEEDS_A_ROUND)])
  }
}

/** undefined when there is nothing to do. */
function choose() {
  const text = (value) => ({ type: 'string', default: value })
  try {
    const { values } = parseArgs({
      options: { cycles: text('1000'), 'pay-every': text('1'), wallets: text('100'), kills: text('2000'), terms: text('200'), freezes: text('1000'), contenders: text('64'), hangs: text('1000'), payments: text('1000'), points: text('1000000'), rounds: text('1'), help: { type: 'boolean' } },
    })
    if (values.help) return void console.log(HELP)
    const count = (name) => {
      if (/^[1-9]\d{0,6}$/.test(values[name])) return Number(values[name])
      throw new Error(`--${name} takes a positive integer, not ${values[name]}`)
    }
    return { cycles: count('cycles'), payEvery: count('pay-every'), wallets: count('wallets'), kills: count('kills'), terms: count('terms'), freezes: count('freezes'), contenders: count('contenders'), hangs: count('hangs'), payments: count('payments'), points: count('points'), rounds: count('rounds') }
  } catch (error) {
    console.error(`${error.message}\n\n${HELP}`)
    process.exitCode = 2
    return undefined
  }
}
