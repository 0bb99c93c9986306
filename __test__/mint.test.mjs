// Minting with a known route is pure computation: what it does not touch is counted, and what it makes is read by a decoder
// that is not ours.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { footprint } from '../scripts/support/footprint.mjs'
import { deriveNodeId, generateMnemonic, MdkNode } from '../index.mjs'

const { decode } = createRequire(import.meta.url)('light-bolt11-decoder')

const LSP = '027cf7c81dc777e46572ff964f17650a0f6f783319fcc140fb9a69425e2fbdc93c'
let folder
before(() => (folder = mkdtempSync(join(tmpdir(), 'mayfly-mint-'))))
after(() => rmSync(folder, { recursive: true, force: true }))

/** Nothing that these point to exists or answers. */
const options = (more) => ({
  network: 'regtest',
  mnemonic: generateMnemonic(),
  esploraUrl: 'http://127.0.0.1:9',
  lspNodeId: LSP,
  lspAddress: '127.0.0.1:9',
  store: `file:${folder}/absent/wallet`,
  jitRoute: { scid: '512345x1203x5', cltvExpiryDelta: 72 },
  ...more,
})

/** The one section of that name. */
const section = (decoded, name) => decoded.sections.find((candidate) => candidate.name === name)

test('from the constructor through the invoice: no socket, no thread, no file, and no folder', { skip: footprint() === null && 'no /proc here' }, async () => {
  await new MdkNode(options()).getInvoice(1_000, 'warm', 60)
  const before = footprint()
  const node = new MdkNode(options())
  const invoice = await node.getInvoice(21_000, 'One report', 900)
  assert.match(invoice.bolt11, /^lnbcrt210n1/)
  assert.deepEqual(footprint(), before)
  assert.equal(node.state, 'idle')
  assert.equal(existsSync(join(folder, 'absent')), false)
  node.destroy()
  assert.deepEqual(footprint(), before)
})

test('a store that can never be opened is no hindrance', async () => {
  const file = join(folder, 'a-file')
  writeFileSync(file, '')
  const node = new MdkNode(options({ store: `file:${file}/wallet` }))
  assert.match((await node.getInvoice(1_000, 'x', 60)).bolt11, /^lnbcrt/)
  await assert.rejects(node.getBalance(), { code: 'STORE_UNAVAILABLE' }) // the same folder, when it is really needed
  node.destroy()
})

test('1,000 invoices at once from one node all differ', async () => {
  const node = new MdkNode(options())
  const invoices = await Promise.all(Array.from({ length: 1_000 }, (_, i) => node.getInvoice(1_000 + i, `no. ${i}`, 60)))
  assert.equal(new Set(invoices.map((invoice) => invoice.paymentHash)).size, 1_000)
  assert.equal(new Set(invoices.map((invoice) => invoice.bolt11)).size, 1_000)
  node.destroy()
})

test('1,000 nodes in one process mint, and no thread comes of it', async () => {
  const before = footprint()
  const nodes = Array.from({ length: 1_000 }, () => new MdkNode(options()))
  const invoices = await Promise.all(nodes.map((node) => node.getInvoice(1_000, 'x', 60)))
  assert.equal(new Set(invoices.map((invoice) => invoice.paymentHash)).size, 1_000)
  assert.deepEqual(footprint()?.threads, before?.threads)
  for (const node of nodes) node.destroy()
})

test('an independent decoder finds every field as it should be', async () => {
  const given = options()
  const before = Math.floor(Date.now() / 1000)
  const node = new MdkNode(given)
  const invoice = await node.getInvoice(21_000, 'Ein Bericht – “πράγμα” 🦟', 900)
  node.destroy()
  const decoded = decode(invoice.bolt11)
  assert.equal(section(decoded, 'coin_network').value.bech32, 'bcrt')
  assert.equal(section(decoded, 'amount').value, '21000')
  assert.equal(section(decoded, 'description').value, 'Ein Bericht – “πράγμα” 🦟')
  assert.equal(section(decoded, 'payment_hash').value, invoice.paymentHash)
  assert.match(section(decoded, 'payment_secret').value, /^[0-9a-f]{64}$/)
  assert.equal(section(decoded, 'expiry').value, 900)
  assert.equal(section(decoded, 'min_final_cltv_expiry').value, 144)
  const timestamp = section(decoded, 'timestamp').value
  assert.ok(timestamp >= before && timestamp <= Math.ceil(Date.now() / 1000))
  assert.equal(invoice.expiresAt, (timestamp + 900) * 1000)
  const features = section(decoded, 'feature_bits').value
  assert.deepEqual([features.var_onion_optin, features.payment_secret, features.basic_mpp], ['required', 'required', 'supported'])
  const [hint, ...others] = section(decoded, 'route_hint').value
  assert.deepEqual(others, [], 'one hop')
  const scid = ((512345n << 40n) | (1203n << 16n) | 5n).toString(16).padStart(16, '0')
  assert.deepEqual(hint, { pubkey: LSP, short_channel_id: scid, fee_base_msat: 0, fee_proportional_millionths: 0, cltv_expiry_delta: 72 })
  assert.deepEqual([invoice.scid, invoice.amountMsat], ['512345x1203x5', 21_000])
})

test('an invoice without an amount says none, and does not ask for parts', async () => {
  const node = new MdkNode(options())
  const invoice = await node.getVariableAmountJitInvoice('whatever you like', 60)
  node.destroy()
  const decoded = decode(invoice.bolt11)
  assert.equal(section(decoded, 'amount'), undefined)
  assert.equal(invoice.amountMsat, undefined)
  assert.ok(!['supported', 'required'].includes(section(decoded, 'feature_bits').value.basic_mpp))
})

test('a caller can bring a route of its own', async () => {
  const node = new MdkNode(options({ jitRoute: undefined }))
  const fixed = await node.getInvoiceWithScid('7x8x9', 5_000, 'x', 60)
  const open = await node.getVariableAmountJitInvoiceWithScid('7x8x9', 'x', 60)
  node.destroy()
  for (const invoice of [fixed, open]) {
    const [hint] = section(decode(invoice.bolt11), 'route_hint').value
    assert.equal(BigInt(`0x${hint.short_channel_id}`), (7n << 40n) | (8n << 16n) | 9n)
    assert.equal(invoice.scid, '7x8x9')
  }
})

test('each network mints with its own prefix', async () => {
  for (const [network, prefix] of [['mainnet', 'lnbc'], ['testnet', 'lntb'], ['signet', 'lntbs'], ['regtest', 'lnbcrt']]) {
    const store = network === 'mainnet' ? `file:${process.cwd()}/absent-wallet` : `file:${folder}/absent`
    const node = new MdkNode(options({ network, store }))
    assert.ok((await node.getInvoice(1_000, 'x', 60)).bolt11.startsWith(`${prefix}10n1`), network)
    node.destroy()
  }
})

test('the node id is the same as ldk-node derives, on every network', () => {
  const mnemonic = `${'abandon '.repeat(11)}about`
  for (const network of ['mainnet', 'testnet', 'signet', 'regtest']) assert.equal(deriveNodeId(mnemonic, network), LSP)
})
