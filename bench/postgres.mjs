// A wallet in a PostgreSQL that is far away: how often something waits for it, counted between the two, and what that takes; and how
// many commits a server takes from wallets that do nothing else.

import { MdkNode } from '../index.mjs'
import { ackAll, payMany } from '../scripts/support/stream.mjs'
import { kindOf } from '../__test__/support/pg/turns.mjs'
import { secure } from '../__test__/support/pg/certificate.mjs'
import { Proxy } from '../__test__/support/pg/proxy.mjs'
import { Database } from '../__test__/support/pg/server.mjs'
import { Postgres } from '../scripts/support/postgres.mjs'
import { runChild } from './support/children.mjs'
import { commitsAtOnce } from './support/commits.mjs'
import { receiveOnce } from './support/receive.mjs'
import { derived, median, samples, smallest } from './support/samples.mjs'
import { fulfilledAt } from './support/wire.mjs'

export const title = 'PostgreSQL under latency (round trip to the server)'

const FAR_MS = 20
/** TCP's handshake, which the proxy does not see and does not delay. */
const TCP = 1
/** From nothing to the rows. */
const COLD_CONNECT = 7
/** Of each wallet of a crowd, one after the other. */
const PAYMENTS = 8

export async function run(context) {
  const leaving = []
  // Its time for flushes tells whether the disk is the limit.
  const server = await Postgres.start({ settings: { track_wal_io_timing: 'on' } })
  try {
    const sslrootcert = await secure(server)
    const database = await Database.create(server.url(), 'wallets')
    const proxy = await Proxy.to({ after: (leave) => leaving.push(leave) }, database.port)
    const ways = {
      'without TLS': { sslmode: 'disable' },
      'with TLS': { sslmode: 'verify-full', sslrootcert },
      'with direct TLS': { sslmode: 'verify-full', sslrootcert, sslnegotiation: 'direct' },
    }
    const far = (way) => database.url({ port: proxy.port, parameters: ways[way] })
    const received = await receives(context, proxy, far('without TLS'))
    const commitBytes = Math.round(median(received.warm.get(FAR_MS).map(bytesPerCommit)))
    return [
      ...(await connects(context, proxy, Object.keys(ways).map((way) => [way, far(way)]))),
      ...Object.entries(received).flatMap(([kind, of]) => receiveRows(kind, of)),
      ...(await crowdRows(context, database, commitBytes)),
    ]
  } finally {
    for (const leave of leaving) leave()
    await server.stop()
  }
}

/** A start over each way, by a process that has no connection yet. */
async function connects(context, proxy, ways) {
  const runs = context.count({ quick: 2, full: 7, slow: true })
  const rows = []
  for (const [way, store] of ways) {
    const { options } = await context.newWallet({ store })
    proxy.roundTrip(FAR_MS)
    const boots = []
    while (boots.length < runs) {
      const { turns } = proxy
      const { said } = await runChild('boot.cjs', { options, method: 'start' })
      // All that it asked but the claim came after it.
      boots.push({ ...said, roundTrips: TCP + proxy.turns - turns - (said.stats.storeRoundTrips - 1) })
    }
    proxy.roundTrip(0)
    rows.push(
      samples(`connect, claim, load ${way}: store round trips`, '', boots.map(({ roundTrips }) => roundTrips), { target: COLD_CONNECT }),
      samples(`- start() ${way}, ${FAR_MS} ms`, 'ms', boots.map(({ began, ready }) => ready - began)),
    )
  }
  return rows
}

/** Payments, cold and warm, with and without latency in turn: `{ cold, warm }` of `Map(roundTripMs → receives)`. */
async function receives(context, proxy, store) {
  const runs = context.count({ quick: 2, full: 9, slow: true })
  const warm = await context.newWallet({ store })
  await receiveOnce(context, warm)
  const received = { cold: new Map(), warm: new Map() }
  for (let i = 0; i < runs; i++) {
    for (const ms of [0, FAR_MS]) {
      const wallets = { cold: await context.newWallet({ store }), warm }
      proxy.roundTrip(ms)
      for (const kind of Object.keys(wallets)) {
        const turns = proxy.keepTurns()
        const one = await receiveOnce(context, wallets[kind])
        received[kind].set(ms, [...(received[kind].get(ms) ?? []), { ...one, turns: [...turns] }])
      }
      proxy.roundTrip(0)
    }
  }
  return received
}

function receiveRows(kind, of) {
  const all = of.get(FAR_MS)
  const row = (what, unit, pick, how) => samples(`${kind}: ${what}`, unit, all.map(pick), how)
  const slope = (pick) => {
    const at = (ms) => pick(of.get(ms).map(({ oursMs }) => oursMs))
    return (at(FAR_MS) - at(0)) / FAR_MS
  }
  const count = (turns, ...kinds) => turns.filter((turn) => kinds.includes(kindOf(turn))).length
  const waited = (one) => one.turns.filter(({ answeredAt }) => answeredAt <= fulfilledAt(one.messages))
  return [
    ...[...of].map(([ms, some]) => samples(`${kind}: webhook → preimage, ${ms} ms`, 'ms', some.map(({ preimageMs }) => preimageMs))),
    row('store round trips, TCP connect to fulfilled', '', (one) => TCP + waited(one).length),
    row('- connect and log in', '', (one) => TCP + count(waited(one), 'login')),
    row('- boot: connected to channel state in memory', '', (one) => count(waited(one), 'claim'), { target: 1 }),
    row('- commits before the fulfilment is sent', '', (one) => count(waited(one), 'commit')),
    row('- checks of the lease', '', (one) => count(waited(one), 'check')),
    row('- was it paid before?', '', (one) => count(waited(one), 'read')),
    derived(`${kind}: - slope: loaded addon to fulfilled`, 'RTT', slope(median), all.length, { least: slope(smallest) }),
    row('round trips per commit', '', ({ turns, ended }) => count(turns, 'commit') / ended.commits, { target: 1 }),
    row('store operations in all, without checks', '', ({ turns }) => count(turns, 'claim', 'commit', 'read', 'release')),
    row('bytes per commit, rows', 'B', bytesPerCommit),
    row('bytes per commit, sealed, on the wire', 'B', sealedPerCommit),
  ]
}

const bytesPerCommit = ({ ended }) => ended.commitBytes / ended.commits

function sealedPerCommit({ turns }) {
  const commits = turns.filter((turn) => kindOf(turn) === 'commit')
  return commits.reduce((sum, { request }) => sum + request.length, 0) / commits.length
}

/** No latency: what this machine takes, where all of it runs. */
async function crowdRows(context, database, bytes) {
  const seconds = context.count({ quick: 2, full: 10 })
  const rows = []
  for (const wallets of context.count({ quick: [1, 8], full: [1, 8, 64] })) {
    const one = await commitsAtOnce(database, { wallets, seconds, bytes, dev: context.dev })
    const row = (what, unit, value) => derived(`${wallets} at once: ${what}`, unit, value, one.ms.length)
    rows.push(
      await receiving(context, database, wallets),
      row(`commits of ${bytes} B per second, nothing else`, '', one.ms.length / one.seconds),
      samples(`${wallets} at once: - one of them`, 'ms', one.ms),
      row('- flushes of the log per commit', '', one.flushes / one.ms.length),
      row('- share of the time in these flushes', '', one.flushMs / 1_000 / one.seconds),
      row('- processor time of wallets per commit', 'ms', one.cpuMs / one.ms.length),
    )
  }
  return rows
}

/** So many wallets receive side by side, one payment after the other each. */
async function receiving(context, database, count) {
  const lab = await context.lab()
  const wallets = []
  while (wallets.length < count) wallets.push(await context.newWallet({ store: database.url() }))
  const all = await Promise.all(wallets.map(async ({ options }) => {
    const node = new MdkNode(options)
    try {
      await node.startReceiving()
      // Its channel opens before it is measured.
      await ackAll(node, await payMany(lab, node, 1))
      const [before, began] = [node.stats().commits, performance.now()]
      for (let i = 0; i < PAYMENTS; i++) await ackAll(node, await payMany(lab, node, 1))
      const [commits, ended] = [node.stats().commits - before, performance.now()]
      await node.stop()
      return { commits, began, ended }
    } finally {
      node.destroy()
    }
  }))
  const commits = all.reduce((sum, one) => sum + one.commits, 0)
  const ms = Math.max(...all.map(({ ended }) => ended)) - Math.min(...all.map(({ began }) => began))
  return derived(`${count} at once: commits per second while they receive`, '', (commits * 1_000) / ms, commits)
}
