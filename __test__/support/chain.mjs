// What a test asks the chain, and how a wallet looks at it.

import assert from 'node:assert/strict'
import { until } from './until.mjs'

/**
 * Starts and stops the wallet once, as a cron would, and says what it then owns. What is on chain is tended beside the start: it
 * is done when the wallet has stopped, and moves money only within what comes back.
 */
export async function glance(wallet) {
  const node = wallet.node()
  try {
    await node.startReceiving()
    const running = await node.getBalance()
    const channels = await node.listChannels()
    await node.stop()
    const stopped = await node.getBalance()
    assert.equal(stopped.lightningMsat, running.lightningMsat, 'what the store says')
    const { lightningMsat, pendingCloseSats, onchainSats } = stopped
    return { lightningMsat, pendingCloseSats, onchainSats, channels }
  } finally {
    node.destroy()
  }
}

/** The same of a wallet that has nothing to tend: what the running node says is what the store says. */
export async function steady(wallet) {
  const node = wallet.node()
  try {
    await node.startReceiving()
    const running = await node.getBalance()
    await node.stop()
    assert.deepEqual(money(await node.getBalance()), money(running))
  } finally {
    node.destroy()
  }
}

const money = ({ lightningMsat, pendingCloseSats, onchainSats }) => ({ lightningMsat, pendingCloseSats, onchainSats })

export async function esplora(lab, path, init) {
  const response = await fetch(lab.info.esploraUrl + path, init)
  assert.ok(response.ok, `${path}: ${response.status} ${await response.clone().text()}`)
  return response
}

export const transaction = async (lab, txid) => (await esplora(lab, `/tx/${txid}`)).json()

/** The transaction that spends an output, once there is one in the mempool or the chain. */
export async function spendOf(lab, txid, vout) {
  const spend = await until(`a spend of ${txid}:${vout}`, async () => {
    const found = await (await esplora(lab, `/tx/${txid}/outspend/${vout}`)).json()
    return found.spent && found
  })
  return transaction(lab, spend.txid)
}

/** The wallet's only channel, as the LSP has it, with what spends it. */
export async function onlyChannel(wallet) {
  const [channel, ...more] = await wallet.channels()
  assert.deepEqual(more, [])
  const { vout } = await transaction(wallet.lab, channel.fundingTxid)
  const output = vout.findIndex(({ value }) => value === channel.sats)
  return { ...channel, spend: () => spendOf(wallet.lab, channel.fundingTxid, output) }
}

export const mine = (wallet, blocks) => wallet.lab.post('/mine', { blocks })

/** LDK takes what is six blocks deep for final: then a closed channel's money is the wallet's. */
export const FINAL = 6

/** A wallet with a confirmed channel that holds so many satoshi. */
export async function paidWallet(shop, sats) {
  const wallet = await shop.wallet()
  await wallet.sell(sats * 1000)
  await mine(wallet, 1)
  return { wallet, channel: await onlyChannel(wallet) }
}
