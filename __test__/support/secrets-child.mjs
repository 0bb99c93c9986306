// One process that lives a whole wallet's life at trace level, what fails included, and tells its parent all that mayfly told it.

import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { MdkNode, deriveNodeId, setLogListener, withNode } from '../../index.mjs'

const { options, passwords } = JSON.parse(process.env.SECRET_LIFE)
const say = (channel, text) => process.send({ channel, text })
const shown = (value) => inspect(value, { depth: 9, showHidden: true, getters: true })

setLogListener((record) => say('records', JSON.stringify(record)), 'trace')

/** Runs what must fail. */
async function fails(what, call) {
  try {
    await call()
  } catch (error) {
    say('errors', `${what}: ${shown(error)} ${error.stack} ${JSON.stringify(error)}`)
    return
  }
  throw new Error(`${what} did not fail`)
}

/** Asks for a payment; the parent pays. */
async function sell(node) {
  const { bolt11, paymentHash } = await node.getInvoice(30_000_000, 'One report', 900)
  process.send({ invoice: bolt11, paymentHash })
}

async function life() {
  const node = new MdkNode(options)
  node.getNodeId()
  await sell(node)
  await node.receivePayment(() => {}, { minMs: 30_000 })
  // The second payment meets a bug right after its preimage is known.
  await sell(node)
  await fails('a panic', () => node.receivePayment(() => {}, { minMs: 30_000 }))
  await node.receivePayment(() => {}, { minMs: 30_000 })
  await node.watch()
  say('values', shown([await node.getBalance(), await node.listPayments(), node.stats(), node, await node.listChannels()]))
  const [channel] = await node.listChannels()
  await node.closeChannel(channel.channelId)
  await node.startReceiving()
  node.destroy()
  say('values', shown([node, node.lastDestroy, node.stats()]) + JSON.stringify(node))
  await fails('a call after destroy', () => node.start())
}

async function failures() {
  const file = join(mkdtempSync(join(tmpdir(), 'mayfly-secrets-')), 'no-folder')
  writeFileSync(file, '')
  const { database } = passwords
  const starts = {
    'an Esplora with a password that is not there': { esploraUrl: `http://user:${passwords.esplora}@127.0.0.1:1` },
    'an LSP that is not there': { lspAddress: '127.0.0.1:1', timeouts: { lspMs: 300 } },
    'a store that is no folder': { store: `file:${file}` },
    'a PostgreSQL that is not there': { store: `postgres://user:${database}@127.0.0.1:1/wallet` },
    'one that would have TLS': { store: `postgresql://user:${database}@127.0.0.1:1/wallet?sslmode=require` },
  }
  for (const [what, more] of Object.entries(starts)) {
    await fails(what, () => withNode({ ...options, ...more }, (node) => node.start()))
  }
  for (const store of [
    `postgres://user:${database}@db.example/wallet?tls=yes`,
    `postgresql://user:${database}@db.example:5432/wallet?sslmode=${database}`,
    `postgres:user:${database}@db.example`,
    `postgres://user:a/${database}?b@db.example/wallet`,
    `postgres://db.example/wallet?password=${database}`,
    ` postgres://user:${database}@db.example/wallet`,
    `"postgres://user:${database}@db.example/wallet"`,
    `vss+https://${database}@vss.example/`,
    `file:postgres://user:${database}@db.example/wallet#`,
    `DATABASE_URL=postgres://user:${database}@db.example/wallet`,
  ]) {
    await fails(`the store ${store.replaceAll(database, '…')}`, () => new MdkNode({ ...options, store }))
  }
  // Environment variables get mixed up.
  for (const [key, value] of Object.entries(options)) {
    if (typeof value !== 'string' || key === 'mnemonic') continue
    await fails(`the mnemonic as ${key}`, () => new MdkNode({ ...options, [key]: options.mnemonic }))
  }
  await fails('a mnemonic with a word too few', () => new MdkNode({ ...options, mnemonic: options.mnemonic.replace(/ \w+$/, '') }))
  await fails('a mnemonic as a network', () => deriveNodeId(options.mnemonic, options.mnemonic))
  await fails('a mnemonic as a key', () => new MdkNode({ ...options, [options.mnemonic]: 1 }))
  await fails('a mnemonic as a level', () => setLogListener(() => {}, options.mnemonic))
  await fails('a mnemonic as a target', () => setLogListener(() => {}, { [options.mnemonic]: 'info' }))
}

await life()
await failures()
// So that the parent knows that it hears these, too.
console.log('the canary on stdout')
console.error('the canary on stderr')
// Records come through the event loop.
for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
process.send({ ended: true }, () => process.disconnect())
