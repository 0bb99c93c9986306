// What a wallet in PostgreSQL costs: round trips, which every network multiplies, counted by a proxy that adds 20 ms to each; and commits
// per second of one wallet and of many, with the server, the lab and all nodes on this machine.

import { MdkNode } from '../index.mjs'
import { Postgres } from '../scripts/support/postgres.mjs'
import { ackAll, payMany } from '../scripts/support/stream.mjs'
import { Proxy } from '../__test__/support/pg/proxy.mjs'
import { runChild } from './support/children.mjs'
import { derived, samples } from './support/samples.mjs'

export const title = 'PostgreSQL'

const ROUND_TRIP_MS = 20
/** What a request of each kind, and of no other, has in it. */
const CLAIM = 'epoch = l.epoch + 1'
const LOAD = 'LEFT JOIN LATERAL'
const COMMIT = 'seq = seq + 1'
/** Of each wallet, one after the other. */
const PAYMENTS = 8
/** 7 with the handshakes of TCP and TLS 1.3; this server is on loopback, so it has no TLS, which is 2. */
const COLD_TARGET = 7 - 2

export async function run(context) {
  const ends = []
  const server = await Postgres.start()
  try {
    const proxy = await Proxy.to({ after: (end) => ends.push(end) }, server.port)
    const wallet = await context.newWallet({ store: server.url({ port: proxy.port }) })
    proxy.count(CLAIM, LOAD, COMMIT)
    const rows = [...(await boots(context, wallet, proxy)), ...(await receives(context, wallet, proxy))]
    for (const count of context.count({ quick: [1, 8], full: [1, 8, 64] })) rows.push(...(await crowd(context, server, count)))
    return rows
  } finally {
    for (const end of ends) end()
    await server.stop()
  }
}

/** Each in a process of its own: connect, log in, claim and load. */
async function boots(context, wallet, proxy) {
  const runs = context.count({ quick: 3, full: 11, slow: true })
  const all = []
  proxy.roundTrip(ROUND_TRIP_MS)
  while (all.length < runs) {
    const before = { turns: proxy.turns, claims: proxy.counted.get(CLAIM) }
    const loading = proxy.sees(LOAD).then(() => proxy.turns - before.turns)
    const { said } = await runChild('boot.cjs', { options: wallet.options, method: 'start' })
    // TCP's handshake is none of the proxy's turns.
    all.push({ cold: 1 + (await loading), claims: proxy.counted.get(CLAIM) - before.claims, ms: said.ready - said.began, claimMs: said.stats.phases.claimedMs })
  }
  proxy.roundTrip(0)
  return [
    samples('cold: TCP connect to channel state in memory, round trips', '', all.map(({ cold }) => cold), { target: COLD_TARGET }),
    samples('- claim and load of them', '', all.map(({ claims }) => claims), { target: 1 }),
    samples(`- in ms, at ${ROUND_TRIP_MS} ms per round trip`, 'ms', all.map(({ claimMs }) => claimMs)),
    samples(`start(), at ${ROUND_TRIP_MS} ms per round trip to the store`, 'ms', all.map(({ ms }) => ms)),
  ]
}

/** What the server was asked for each commit of a node that receives. */
async function receives(context, wallet, proxy) {
  const lab = await context.lab()
  return whileRunning(wallet, async (node) => {
    const before = { commits: node.stats().commits, bytes: node.stats().commitBytes, asked: proxy.counted.get(COMMIT) }
    for (let i = 0; i < PAYMENTS; i++) await ackAll(node, await payMany(lab, node, 1))
    const commits = node.stats().commits - before.commits
    return [
      derived('round trips per commit', '', (proxy.counted.get(COMMIT) - before.asked) / commits, commits, { target: 1 }),
      derived('bytes per commit, before they are sealed', 'B', (node.stats().commitBytes - before.bytes) / commits, commits),
    ]
  })
}

/** So many wallets receive side by side, one payment after the other each. */
async function crowd(context, server, count) {
  const lab = await context.lab()
  const wallets = []
  while (wallets.length < count) wallets.push(await context.newWallet({ store: server.url() }))
  const all = await Promise.all(wallets.map((wallet) => whileRunning(wallet, async (node) => {
    // Its channel opens before the others are measured.
    await ackAll(node, await payMany(lab, node, 1))
    const [before, began] = [node.stats(), performance.now()]
    for (let i = 0; i < PAYMENTS; i++) await ackAll(node, await payMany(lab, node, 1))
    const after = node.stats()
    return { commits: after.commits - before.commits, ms: after.commitMs - before.commitMs, began, ended: performance.now() }
  })))
  const commits = all.reduce((sum, one) => sum + one.commits, 0)
  const seconds = (Math.max(...all.map(({ ended }) => ended)) - Math.min(...all.map(({ began }) => began))) / 1_000
  const what = count === 1 ? 'one wallet' : `${count} wallets at once`
  return [
    derived(`${what}: commits per second`, '', commits / seconds, commits),
    derived(`- ${what}: a commit takes`, 'ms', all.reduce((sum, one) => sum + one.ms, 0) / commits, commits),
  ]
}

async function whileRunning({ options }, body) {
  const node = new MdkNode(options)
  try {
    await node.startReceiving()
    const result = await body(node)
    await node.stop()
    return result
  } finally {
    node.destroy()
  }
}
