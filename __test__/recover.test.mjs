// `recover: 'force-close'`: channels whose state is lost are closed by the LSP, those whose state is current are left alone.

import assert from 'node:assert/strict'
import { cpSync, rmSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { openShop } from './support/shop.mjs'
import { until } from './support/until.mjs'

let shop
before(async () => {
  shop = await openShop()
})
after(() => shop.close())

const folderOf = (wallet) => wallet.options.store.slice('file:'.length)

/** The transactions in the mempool that were not there before. */
async function published(before) {
  return (await shop.lab.get('/chain')).mempool.filter((txid) => !before.includes(txid))
}

/** A session with the word, which receives nothing. */
async function recover(wallet) {
  const node = wallet.node({ recover: 'force-close' })
  try {
    return await node.receivePayment(() => assert.fail('nothing was paid'), { minMs: 500 })
  } finally {
    node.destroy()
  }
}

async function balance(wallet) {
  const node = wallet.node()
  try {
    await node.start()
    await node.stop()
    return await node.getBalance()
  } finally {
    node.destroy()
  }
}

const open = async (wallet) => (await wallet.channels()).map(({ channelId }) => channelId)
const closed = (wallet) => until('the LSP to close', async () => (await wallet.channels()).length === 0)

test('a wallet whose state is current keeps its channels, also with the word', async () => {
  const wallet = await shop.wallet()
  await wallet.sell(21_000_000)
  const before = (await shop.lab.get('/chain')).mempool
  const channels = await open(wallet)
  await recover(wallet)
  assert.deepEqual(await open(wallet), channels)
  assert.deepEqual(await published(before), [])
  await wallet.sell(22_000_000)
  assert.deepEqual(await open(wallet), channels)
})

test('without its store a wallet gives its channel up: the LSP closes it, and the next payment opens another', async () => {
  const wallet = await shop.wallet()
  await wallet.sell(21_000_000)
  const [lost] = await open(wallet)
  rmSync(folderOf(wallet), { recursive: true })
  const before = (await shop.lab.get('/chain')).mempool
  await recover(wallet)
  await closed(wallet)
  assert.equal((await published(before)).length, 1, "the LSP's commitment, and nothing else")
  // The word is not needed any more.
  await wallet.sell(23_000_000)
  const [fresh, ...more] = await open(wallet)
  assert.notEqual(fresh, lost)
  assert.deepEqual(more, [])
})

test('with an older store the channel is given up at its newest state, and the money comes back on chain', async () => {
  const wallet = await shop.wallet()
  await wallet.sell(21_000_000)
  const old = `${folderOf(wallet)}.old`
  cpSync(folderOf(wallet), old, { recursive: true })
  await wallet.sell(22_000_000)
  await wallet.sell(23_000_000)
  rmSync(folderOf(wallet), { recursive: true })
  cpSync(old, folderOf(wallet), { recursive: true })

  const before = (await shop.lab.get('/chain')).mempool
  await recover(wallet)
  await closed(wallet)
  assert.equal((await published(before)).length, 1, "the LSP's commitment, and nothing else")
  await shop.lab.post('/mine', { blocks: 6 })
  // 110 sat are the fee of the sweep to an address of the wallet's own.
  assert.deepEqual(await balance(wallet), { lightningMsat: 0, spendableMsat: 0, onchainSats: 0, pendingCloseSats: 65_890 })
  await shop.lab.post('/mine', { blocks: 1 })
  assert.deepEqual(await balance(wallet), { lightningMsat: 0, spendableMsat: 0, onchainSats: 65_890, pendingCloseSats: 0 })
  await wallet.sell(24_000_000)
})

test('of two channels only the one whose state is lost is given up', async () => {
  const wallet = await shop.wallet()
  await wallet.sell(21_000_000)
  const [first] = await open(wallet)
  // More than the first can take: a second channel, big enough for the third payment.
  const { inbound } = await inboundOf(wallet, first)
  await shop.lab.post('/lsp/options', { openSat: 400_000 })
  await wallet.sell(inbound + 1_000_000)
  const [second] = (await open(wallet)).filter((id) => id !== first)
  assert.ok(second, 'a second channel')
  const old = `${folderOf(wallet)}.old`
  cpSync(folderOf(wallet), old, { recursive: true })
  // More than the first can take, again: only the second moves.
  await wallet.sell(inbound + 1_000_000)
  rmSync(folderOf(wallet), { recursive: true })
  cpSync(old, folderOf(wallet), { recursive: true })

  const before = (await shop.lab.get('/chain')).mempool
  await recover(wallet)
  await until('the LSP to close one', async () => (await wallet.channels()).length === 1)
  assert.deepEqual(await open(wallet), [first])
  assert.equal((await published(before)).length, 1)
  await wallet.sell(25_000_000)
  assert.deepEqual(await open(wallet), [first], 'it carries on')
})

/** What a channel of a wallet can receive. */
async function inboundOf(wallet, channelId) {
  const node = wallet.node()
  const channel = (await node.listChannels()).find((one) => one.channelId === channelId)
  node.destroy()
  return { inbound: channel.inboundMsat }
}
