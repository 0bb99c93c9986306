// destroy() while a service hangs (P2): it must not wait for it, and never longer than its deadline.

import { Disk, SilentNameServer, noHangs } from '../__test__/support/hang.mjs'
import { runChild } from './support/children.mjs'
import { receiveOnce } from './support/receive.mjs'
import { derived, largest, samples } from './support/samples.mjs'

export const title = 'destroy() while a service hangs (one channel)'

const STATES = {
  'chain, starting': 'Esplora silent during the start',
  'chain, running': 'Esplora silent, running',
  'lsp, handshake': 'LSP silent after the first act of the handshake',
  'lsp, running': 'LSP silent, running',
  'dns, starting': 'name server silent during the start',
  'disk, claiming': 'disk dead in the flush of the claim',
}

/** The default of `destroyTimeoutMs`, given so that both are sure to mean the same. */
const DEADLINE_MS = 250
/** What the machine may take to wake a thread. */
const TOLERANCE_MS = 20

export async function run(context) {
  const lab = await context.lab()
  const wallet = await context.newWallet()
  await receiveOnce(context, wallet)
  const times = context.count({ quick: 10, full: 100 })
  const rows = []
  for (const [state, name] of Object.entries(STATES)) {
    const below = noHangs ? undefined : BELOW[state]
    if (BELOW[state] && !below) continue
    const ends = []
    try {
      const { options = {}, env, stuck } = (await below?.({ after: (end) => ends.push(end) }, wallet)) ?? {}
      const input = { options: { ...wallet.options, destroyTimeoutMs: DEADLINE_MS, ...options }, state, times, controlUrl: lab.info.controlUrl }
      const { said } = await runChild('hanging.cjs', input, { env })
      const over = Math.max(0, largest(said.took) - DEADLINE_MS)
      rows.push(
        samples(name, 'ms', said.took, stuck ? {} : { target: 2 }),
        derived(`- over the deadline of ${DEADLINE_MS} ms, at most`, 'ms', over, times, { target: TOLERANCE_MS }),
        samples('- left unfinished', '', said.unfinished, { target: stuck ? 1 : 0 }),
      )
    } finally {
      for (const end of ends) await end()
    }
  }
  return rows
}

/** What hangs below the process, and not behind a link of the lab. `stuck`: nobody can end what waits for it. */
const BELOW = {
  async 'dns, starting'(t) {
    const { env } = await SilentNameServer.start(t)
    return { options: { lspAddress: 'lsp.example:9735' }, env }
  },
  'disk, claiming': async (t, { options }) => ({ env: new Disk(t, options.store.slice('file:'.length)).env, stuck: true }),
}
