// destroy() while a service hangs (P2): it must not wait for it, and never longer than its deadline.

import { runChild } from './support/children.mjs'
import { receiveOnce } from './support/receive.mjs'
import { derived, largest, samples } from './support/samples.mjs'

export const title = 'destroy() while a service hangs (one channel)'

const STATES = {
  'chain, starting': 'Esplora silent during the start',
  'chain, running': 'Esplora silent, running',
  'lsp, handshake': 'LSP silent after the first act of the handshake',
  'lsp, running': 'LSP silent, running',
}

/** The default of `destroyTimeoutMs`, given so that both are sure to mean the same. */
const DEADLINE_MS = 250

export async function run(context) {
  const lab = await context.lab()
  const wallet = await context.newWallet()
  await receiveOnce(context, wallet)
  const options = { ...wallet.options, destroyTimeoutMs: DEADLINE_MS }
  const times = context.count({ quick: 10, full: 50 })
  const rows = []
  for (const [state, name] of Object.entries(STATES)) {
    const { said } = await runChild('hanging.cjs', { options, state, times, controlUrl: lab.info.controlUrl })
    const over = Math.max(0, largest(said.took) - DEADLINE_MS)
    rows.push(
      samples(name, 'ms', said.took, { target: 2 }),
      derived(`- over the deadline of ${DEADLINE_MS} ms, at most`, 'ms', over, times, { target: 0 }),
      samples('- left unfinished', '', said.unfinished, { target: 0 }),
    )
  }
  return rows
}
