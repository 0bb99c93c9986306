// A receive when LSP and Esplora are far away. Round trips on the critical path are the slope of time over latency: the
// machine's own time, which is the same at each latency, falls out. Counted beside it, at the longest latency, where
// what travels together stays together: round trips, commits, store operations, requests.

import { receiveOnce } from './support/receive.mjs'
import { derived, median, samples, smallest } from './support/samples.mjs'
import { roundTripsToFulfilled } from './support/wire.mjs'

export const title = 'Receive under latency (round trip per link)'

const ROUND_TRIPS_MS = [20, 50]
const LONGEST_MS = 50
const LINKS = { LSP: ['lsp'], Esplora: ['esplora'], both: ['lsp', 'esplora'] }
const NONE = 'none'

/** Round trips from TCP connect to fulfilled; the same without what runs beside the boot; commits before the fulfilment. */
const TARGETS = {
  cold: { wire: 6.5, notHidden: 4.5, commits: 3 },
  warm: { wire: 5.5, notHidden: 3.5, commits: 2 },
}

export async function run(context) {
  const runs = context.count({ quick: 2, full: 7, slow: true })
  const delays = context.count({ quick: [LONGEST_MS], full: ROUND_TRIPS_MS })
  const settings = [{ links: NONE, ms: 0 }]
  for (const ms of delays) settings.push(...Object.keys(LINKS).map((links) => ({ links, ms })))

  const warm = await context.newWallet()
  await receiveOnce(context, warm)
  const receives = { cold: new Map(), warm: new Map() }
  // All settings in each round: a machine that gets slower meanwhile slows each of them.
  for (let i = 0; i < runs; i++) {
    for (const { links, ms } of settings) {
      const wallets = { cold: await context.newWallet(), warm }
      await delay(context, LINKS[links] ?? [], ms)
      try {
        for (const kind of Object.keys(wallets)) {
          const one = await receiveOnce(context, wallets[kind])
          const key = keyOf(links, ms)
          receives[kind].set(key, [...(receives[kind].get(key) ?? []), one])
        }
      } finally {
        await delay(context, LINKS.both, 0)
      }
    }
  }
  return Object.entries(receives).flatMap(([kind, of]) => [
    ...times(kind, of, settings),
    ...slopes(kind, of),
    ...counts(kind, of.get(keyOf('both', LONGEST_MS))),
  ])
}

const keyOf = (links, ms) => `${links} ${ms}`

async function delay(context, links, roundTripMs) {
  const lab = await context.lab()
  for (const link of links) await lab.post('/faults', { link, latencyMs: roundTripMs / 2 })
}

function times(kind, of, settings) {
  return settings.map(({ links, ms }) => {
    const name = links === NONE ? 'no latency' : `${links} ${ms} ms`
    return samples(`${kind}: webhook → preimage, ${name}`, 'ms', of.get(keyOf(links, ms)).map((one) => one.preimageMs))
  })
}

/**
 * From the loaded addon to the fulfilment at the LSP: what latency acts on, and none of what Node itself takes. The second
 * figure is computed from the minima: on a busy machine the better one.
 */
function slopes(kind, of) {
  const n = of.get(keyOf(NONE, 0)).length
  const slope = (links, pick) => {
    const at = (...setting) => pick(of.get(keyOf(...setting)).map((one) => one.oursMs))
    return (at(links, LONGEST_MS) - at(NONE, 0)) / LONGEST_MS
  }
  const row = (what, value, target) =>
    derived(`${kind}: - ${what}`, 'RTT', value(median), n, { target, least: value(smallest) })
  const { wire, notHidden } = TARGETS[kind]
  return [
    row('slope, LSP alone: TCP connect to fulfilled', (pick) => slope('LSP', pick), wire),
    row('slope, Esplora alone: the boot', (pick) => slope('Esplora', pick)),
    row('slope, both', (pick) => slope('both', pick)),
    row('slope, both less Esplora alone', (pick) => slope('both', pick) - slope('Esplora', pick), notHidden),
  ]
}

/** Whole halves: what a machine adds makes a wait longer, never shorter. */
const inHalves = (ms) => Math.floor((2 * ms) / LONGEST_MS) / 2

/** After the boot: `init` was exchanged one round trip later, if acts one and two were done by then; then come the rest. */
function roundTripsAfterBoot({ messages, ended }) {
  const { syncedMs, connectedMs } = ended.phases
  const UNTIL_INIT_IS_HEARD = 3
  return inHalves(connectedMs - syncedMs) + roundTripsToFulfilled(messages, LONGEST_MS) - UNTIL_INIT_IS_HEARD
}

function counts(kind, all) {
  const of = (what, unit, pick, target) => samples(`${kind}: ${what}`, unit, all.map(pick), { target })
  const { wire, notHidden, commits } = TARGETS[kind]
  return [
    of('LSP round trips, TCP connect to fulfilled', '', ({ messages }) => roundTripsToFulfilled(messages, LONGEST_MS), wire),
    of('LSP round trips, boot done to fulfilled', '', roundTripsAfterBoot, notHidden),
    of('Esplora round trips until the boot is done', '', ({ ended }) => inHalves(ended.phases.syncedMs)),
    of('LSP connections', '', (one) => one.ended.lspConnections, 1),
    of('commits before the fulfilment is sent', '', (one) => one.told.commits, commits),
    of('commits in all', '', (one) => one.ended.commits),
    of('bytes per commit', 'B', (one) => one.ended.commitBytes / one.ended.commits),
    of('store operations (claims, commits, release)', '', (one) => one.claims + one.ended.commits + 1),
    of('Esplora requests', '', (one) => one.ended.chainRequests),
    of('Esplora round trips', '', (one) => one.esplora.roundTrips),
    of('bytes to and from the LSP', 'B', (one) => one.ended.lspBytesSent + one.ended.lspBytesReceived),
    of('bytes from Esplora', 'B', (one) => one.ended.chainBytes),
  ]
}
