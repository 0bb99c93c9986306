// How long a worker lingers that is told to end: from SIGTERM until its process is gone, by what it is in the middle of.

import { openShop } from '../__test__/support/shop.mjs'
import { Books, LAB_ARGS } from '../__test__/support/books.mjs'
import { GONE_FROM_STUCK_MS, GONE_MS, STATES, workerIn } from '../__test__/support/no_lingering/states.mjs'
import { STORES } from '../__test__/support/no_lingering/stores.mjs'
import { samples } from './support/samples.mjs'

export const title = 'From SIGTERM to gone'

const AMOUNT_MSAT = 3_000_000
/** The defaults of `installShutdownHooks`. */
const SHUTDOWN = { killAfterMs: 3_000, destroyTimeoutMs: 1_000 }
/** Longer is no measurement but a hang. */
const HANGS_MS = 10_000
/** Here the machine's stalls are part of what is measured. */
const NO_PULSE = { own: (stalls) => stalls }

export async function run(context) {
  const times = context.count({ quick: 3, full: 30 })
  const shop = await openShop(LAB_ARGS)
  try {
    const rows = []
    for (const [name, state] of Object.entries(STATES)) {
      // What ships has no failpoints.
      if (state.failpoint || state.skip || state.silent) continue
      const took = []
      while (took.length < times) took.push(await once(shop, name))
      rows.push(samples(name, 'ms', took, { target: state.stuck ? GONE_FROM_STUCK_MS : GONE_MS, at: 'p99' }))
    }
    return rows
  } finally {
    await shop.close()
  }
}

async function once(shop, name) {
  const ends = []
  const t = { after: (end) => ends.unshift(end) }
  try {
    const place = STORES.file.open(t)
    const wallet = await shop.wallet({ options: { store: place.store } })
    if (STATES[name].payment) await new Books(wallet).payToLsp(AMOUNT_MSAT)
    const { worker, still } = await workerIn(t, name, { wallet, place, store: STORES.file, shutdown: SHUTDOWN })
    const ms = await worker.endsBy('SIGTERM', { withinMs: HANGS_MS, pulse: NO_PULSE })
    await still?.()
    return ms
  } finally {
    for (const end of ends) await end()
  }
}
