// P1: with a known JIT route an invoice is pure computation, and what comes out is what any BOLT 11 reader expects.

import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { MdkNode, deriveNodeId, generateMnemonic } from '../index.mjs'
import { footprint, locksHeld } from '../scripts/support/footprint.mjs'
import { isSignedBy, readInvoice } from './support/bolt11.mjs'

const LSP = '0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798'
const ROUTE = { scid: '512345x1203x5', cltvExpiryDelta: 80 }
/** 512345 · 2^40 + 1203 · 2^16 + 5 */
const ROUTE_HEX = '07d1590004b30005'

let folder, server, accepted, options

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'mayfly-mint-'))
  accepted = []
  // LSP and Esplora in one: whoever comes is seen.
  server = createServer((socket) => {
    accepted.push(socket.remotePort)
    socket.destroy()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const address = `127.0.0.1:${server.address().port}`
  options = (more) => ({
    network: 'regtest',
    mnemonic: generateMnemonic(),
    esploraUrl: `http://${address}`,
    lspNodeId: LSP,
    lspAddress: address,
    jitRoute: ROUTE,
    store: `file:${join(folder, 'not-there')}`,
    ...more,
  })
})

after(() => {
  server.close()
  rmSync(folder, { recursive: true, force: true })
})

/** Threads by name; those of Node itself come and go as they like. */
function nodeThreads() {
  const names = readdirSync('/proc/self/task').map((id) => readFileSync(`/proc/self/task/${id}/comm`, 'utf8'))
  return names.filter((name) => name.startsWith('mayfly')).length
}

test('minting opens no socket and no file, starts no thread and takes no lock, from the constructor to the invoice', async (t) => {
  const own = options()
  // What Node and the addon load lazily for the first call of all.
  await new MdkNode(own).getInvoice(1, '', 1)
  const at = footprint()
  if (at === null) return t.skip('counted in /proc, which is not here')
  const seen = []
  const node = new MdkNode(own)
  seen.push(footprint())
  const pending = node.getInvoice(21_000, 'One report', 900)
  seen.push(footprint())
  await pending
  seen.push(footprint())
  await node.getVariableAmountJitInvoice('A gift', 900)
  await node.getInvoiceWithScid('1x2x3', 21_000, 'One report', 900)
  await node.getVariableAmountJitInvoiceWithScid('1x2x3', 'A gift', 900)
  seen.push(footprint())
  for (const count of seen) assert.deepEqual(count, at)
  assert.equal(nodeThreads(), 0)
  assert.equal(locksHeld(), 0)
  assert.equal(node.state, 'idle')
})

test('minting calls neither the LSP nor Esplora', async () => {
  const node = new MdkNode(options())
  await node.getInvoice(21_000, 'One report', 900)
  // Connections are accepted in their order: when this one is, any earlier one has been.
  const ours = connect(server.address().port, '127.0.0.1')
  await once(ours, 'connect')
  const { localPort } = ours
  await once(ours.resume(), 'close')
  assert.deepEqual(accepted, [localPort])
})

test('minting makes no call to the store: it works with one that can not be reached, and makes no folder', async () => {
  const file = join(folder, 'a-regular-file')
  const missing = join(folder, 'missing')
  writeFileSync(file, 'untouched')
  for (const path of [join(file, 'wallet'), missing, join(missing, 'deeper')]) {
    const node = new MdkNode(options({ store: `file:${path}` }))
    await node.getInvoice(21_000, 'One report', 900)
    node.destroy()
  }
  assert.equal(readFileSync(file, 'utf8'), 'untouched')
  assert.equal(existsSync(missing), false)
  // The same store, asked in earnest, says that it can't be reached: it was really not asked before.
  const node = new MdkNode(options({ store: `file:${join(file, 'wallet')}` }))
  await assert.rejects(node.getBalance(), { code: 'STORE_UNAVAILABLE' })
  node.destroy()
})

test('a thousand concurrent getInvoice calls on one node give a thousand payment hashes and secrets', async () => {
  const node = new MdkNode(options())
  const invoices = await Promise.all(Array.from({ length: 1_000 }, (_, i) => node.getInvoice(1_000 + i, `No. ${i}`, 900)))
  assert.equal(new Set(invoices.map(({ paymentHash }) => paymentHash)).size, 1_000)
  const read = invoices.map(({ bolt11 }) => readInvoice(bolt11))
  assert.equal(new Set(read.map(({ payment_secret }) => payment_secret)).size, 1_000)
  read.forEach(({ amount, description }, i) => assert.deepEqual([amount, description], [String(1_000 + i), `No. ${i}`]))
})

test('a thousand nodes of one wallet live in one process and mint a thousand different payment hashes', async () => {
  const own = options()
  const nodes = Array.from({ length: 1_000 }, () => new MdkNode(own))
  const hashes = await Promise.all(nodes.map(async (node) => (await node.getInvoice(21_000, 'One report', 900)).paymentHash))
  assert.equal(new Set(hashes).size, 1_000)
  if (footprint() !== null) assert.equal(nodeThreads(), 0)
  for (const node of nodes) node.destroy()
  await assert.rejects(nodes[999].getInvoice(21_000, 'One report', 900), { code: 'NODE_DESTROYED' })
})

test('an independent decoder reads every field of an invoice as it was asked for', async () => {
  const own = options()
  const sentAt = Math.floor(Date.now() / 1_000)
  const minted = await new MdkNode(own).getInvoice(21_000, 'Ein Bericht · 一份报告', 901)
  const readAt = Math.floor(Date.now() / 1_000)
  const invoice = readInvoice(minted.bolt11)

  assert.equal(invoice.coin_network.bech32, 'bcrt')
  assert.equal(invoice.amount, '21000')
  assert.equal(invoice.description, 'Ein Bericht · 一份报告')
  assert.equal(invoice.expiry, 901)
  assert.equal(invoice.min_final_cltv_expiry, 144)
  assert.equal(invoice.payment_hash, minted.paymentHash)
  assert.match(invoice.payment_secret, /^[0-9a-f]{64}$/)
  assert.ok(invoice.timestamp >= sentAt && invoice.timestamp <= readAt, `timestamp ${invoice.timestamp}`)
  assert.deepEqual(minted, {
    bolt11: minted.bolt11,
    paymentHash: invoice.payment_hash,
    expiresAt: (invoice.timestamp + 901) * 1_000,
    scid: ROUTE.scid,
    amountMsat: 21_000,
  })

  const { extra_bits: extra, ...features } = invoice.feature_bits
  const wanted = { var_onion_optin: 'required', payment_secret: 'required', basic_mpp: 'supported' }
  for (const [name, value] of Object.entries(features)) assert.equal(value, wanted[name] ?? 'unsupported', name)
  assert.equal(extra.has_required, false)
  assert.deepEqual(extra.bits.filter(Boolean), [])

  assert.deepEqual(invoice.routeHints, [
    [
      {
        pubkey: LSP,
        short_channel_id: ROUTE_HEX,
        fee_base_msat: 0,
        fee_proportional_millionths: 0,
        cltv_expiry_delta: ROUTE.cltvExpiryDelta,
      },
    ],
  ])
  assert.equal(isSignedBy(minted.bolt11, deriveNodeId(own.mnemonic, 'regtest')), true)
  assert.equal(isSignedBy(minted.bolt11, LSP), false)
})

test('an invoice without an amount says none and takes no parts', async () => {
  const minted = await new MdkNode(options()).getVariableAmountJitInvoice('A gift', 900)
  const invoice = readInvoice(minted.bolt11)
  assert.equal('amountMsat' in minted && minted.amountMsat !== undefined, false)
  assert.equal(invoice.amount, undefined)
  assert.equal(invoice.feature_bits.basic_mpp, 'unsupported')
  assert.equal(invoice.feature_bits.payment_secret, 'required')
  assert.equal(invoice.min_final_cltv_expiry, 144)
  assert.equal(invoice.routeHints[0][0].short_channel_id, ROUTE_HEX)
})

test('every network has its own prefix', async () => {
  for (const [network, prefix] of [['mainnet', 'bc'], ['testnet', 'tb'], ['signet', 'tbs'], ['regtest', 'bcrt']]) {
    // Mainnet refuses a wallet in a temporary folder; this one is never opened.
    const { bolt11 } = await new MdkNode(options({ network, store: 'file:/var/lib/mayfly-is-not-here' })).getInvoice(21_000, 'x', 900)
    assert.match(bolt11, new RegExp(`^ln${prefix}210n1`))
    // The decoder takes signet for a longer testnet.
    if (network !== 'signet') assert.equal(readInvoice(bolt11).coin_network.bech32, prefix)
  }
})

test('an invoice through a given scid has that scid in its hint', async () => {
  const minted = await new MdkNode(options()).getInvoiceWithScid('1x2x3', 21_000, 'One report', 900)
  assert.equal(minted.scid, '1x2x3')
  assert.equal(readInvoice(minted.bolt11).routeHints[0][0].short_channel_id, '0000010000020003')
})
