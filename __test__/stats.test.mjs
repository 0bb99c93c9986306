// What a node says that a session cost, against what the services and the log saw of it.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setLogListener } from '../index.mjs'
import { openShop } from './support/shop.mjs'
import { until, within } from './support/until.mjs'

let shop, lab

before(async () => {
  shop = await openShop()
  lab = shop.lab
})
after(async () => {
  setLogListener(null)
  await shop?.close()
})

const sum = (numbers) => numbers.reduce((total, one) => total + one, 0)

/** What went through that link since the last reset. */
async function passed(link) {
  const { connections, roundTrips } = (await lab.get('/stats'))[link]
  const used = connections.filter(({ bytesUp }) => bytesUp > 0)
  return { connections: used.length, up: sum(used.map(({ bytesUp }) => bytesUp)), down: sum(used.map(({ bytesDown }) => bytesDown)), roundTrips }
}

/** Ends of phases come through the event loop: that of the release is the last of a session. */
const released = (records) => until('the release', () => records.some(({ message }) => message === 'release'))

test('a session counts what passed between it and the store, the chain and the LSP', async () => {
  const wallet = await shop.wallet()
  const { bolt11 } = await wallet.invoice(21_000)
  await lab.post('/stats/reset')
  const records = []
  setLogListener((record) => records.push(record), { default: 'off', 'mayfly::checkpoint': 'debug', 'mayfly::store': 'debug' })
  const node = wallet.node()
  assert.equal(node.stats(), null, 'no session yet')
  const paying = lab.pay(bolt11)
  const received = await node.receivePayment(() => {}, { minMs: 15_000 })
  assert.deepEqual(received.map(({ amountMsat }) => amountMsat), [21_000])
  await paying
  const stats = node.stats()
  node.destroy()
  await released(records)
  setLogListener(null)

  const [lsp, chain] = [await passed('lsp'), await passed('esplora')]
  assert.deepEqual([stats.lspConnections, stats.lspBytesSent, stats.lspBytesReceived], [lsp.connections, lsp.up, lsp.down])
  assert.deepEqual([stats.lspReconnects, stats.lspRefusals], [0, 0])
  assert.ok(stats.lspRoundTrips > 0)
  assert.equal(stats.chainRequests, chain.roundTrips)
  assert.ok(stats.chainBytes > 0 && stats.chainBytes < chain.down, 'without headers')

  const commits = records.filter(({ message }) => message === 'commit')
  assert.equal(stats.commits, commits.length)
  assert.equal(stats.commitBytes, sum(commits.map(({ fields }) => fields.bytes)))
  assert.ok(stats.longestCommitMs > 0 && stats.longestCommitMs <= stats.commitMs)
  const [claim] = records.filter(({ message }) => message === 'claim')
  assert.deepEqual([stats.epoch, stats.rowsLoaded, stats.claimAttempts, stats.heldMs], [claim.fields.epoch, claim.fields.rows, 1, 0])
  // The claim, the commits, one look whether the invoice was paid before, the release.
  assert.equal(stats.storeRoundTrips, 1 + commits.length + 1 + 1)
})

test('a connection that is made again for a call in progress is counted, and so is the next session from nothing', async () => {
  const wallet = await shop.wallet()
  const node = wallet.node()
  try {
    await node.startReceiving()
    const waiting = node.nextEvent(60_000)
    const connections = node.stats().lspConnections
    await lab.post('/faults', { link: 'lsp', reset: true })
    await lab.post('/faults', { link: 'lsp', reset: false })
    await until('the connection to be made again', () => node.stats().lspReconnects === 1)
    assert.ok(node.stats().lspConnections > connections)
    const { epoch } = node.stats()
    await node.stop()
    assert.equal(await within('the wait to end', waiting), null)
    await node.startReceiving()
    const again = node.stats()
    assert.deepEqual([again.epoch, again.lspReconnects, again.lspConnections], [epoch + 1, 0, 1])
  } finally {
    node.destroy()
  }
})

test('waiting for a wallet that another process has is counted: attempts, and the pauses between them', async () => {
  const wallet = await shop.wallet()
  const holder = wallet.start('listen')
  await holder.first('running')
  const node = wallet.node({ lease: { attempts: 3, baseDelayMs: 20 } })
  const records = []
  setLogListener((record) => records.push(record), { default: 'off', 'mayfly::store': 'debug' })
  try {
    await assert.rejects(node.start(), { code: 'WALLET_LOCKED' })
    const { claimAttempts, heldMs, storeRoundTrips, epoch, phases } = node.stats()
    assert.deepEqual([claimAttempts, storeRoundTrips, epoch, phases.claimedMs], [3, 3, 0, undefined])
    // 20 and 40 ms, of which a clock may round off a little.
    assert.ok(heldMs >= 59, `${heldMs} ms`)
    await until('the end of the claim', () => records.some(({ message }) => message === 'claim'))
    const told = records.map(({ message, fields }) => [message, fields.holderPid ?? fields.outcome])
    const held = ['another holder has the wallet', holder.pid]
    assert.deepEqual(told, [held, held, held, ['claim', 'WALLET_LOCKED']])
  } finally {
    setLogListener(null)
    node.destroy()
    await holder.kill()
  }
})
