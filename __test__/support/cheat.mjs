// The LSP as a thief (lab/README.md, "A cheating LSP"), and what a test asks of what it published.

import assert from 'node:assert/strict'
import { esplora, spendOf, transaction } from './chain.mjs'
import { until, within } from './until.mjs'

/**
 * Blocks that the LSP waits for its own money after its own close (`to_self_delay` of our `accept_channel`): how long a wallet
 * may be away after a theft. `PUNISHMENT_BLOCKS` in core.
 */
export const DELAY = 1008

/** From now on the LSP keeps each of its commitments with this wallet, the present one first. */
export const remember = (wallet) => wallet.lab.post('/lsp/remember', { nodeId: wallet.nodeId })

/** What it keeps, oldest first. */
export const states = (wallet) => wallet.lab.get(`/lsp/states?nodeId=${wallet.nodeId}`)

/** The oldest state that fits. */
export async function stateThat(wallet, fits) {
  const all = await states(wallet)
  const found = all.find(fits)
  assert.ok(found, `no such state among ${JSON.stringify(all)}`)
  return found
}

/** The LSP publishes that state; resolves with its commitment as Esplora shows it, in the mempool. */
export async function publish(wallet, { state, txid }) {
  await wallet.lab.post('/lsp/cheat', { nodeId: wallet.nodeId, state })
  return transaction(wallet.lab, txid)
}

/** An output of a commitment by its value, with what spends it. */
export function outputOf(wallet, commitment, sats) {
  const found = commitment.vout.flatMap(({ value }, index) => (value === sats ? [index] : []))
  assert.equal(found.length, 1, `one output of ${sats}: ${JSON.stringify(commitment.vout)}`)
  const [vout] = found
  return { vout, spend: () => spendOf(wallet.lab, commitment.txid, vout) }
}

export const height = async (lab) => (await lab.get('/chain')).height

/** Mines until the chain's tip is at `at`. */
export async function mineTo(lab, at) {
  const blocks = at - (await height(lab))
  assert.ok(blocks >= 0, `the chain is ${-blocks} blocks past ${at}`)
  if (blocks > 0) await lab.post('/mine', { blocks })
}

/** Mines the transaction; its height. */
export async function confirmed(lab, txid) {
  await lab.post('/mine', { blocks: 1 })
  const { status } = await transaction(lab, txid)
  assert.equal(status.confirmed, true, `${txid} is in the next block`)
  return status.block_height
}

/** Whether anything spends that output, in the mempool or the chain. */
export const isSpent = async (lab, txid, vout) => (await (await esplora(lab, `/tx/${txid}/outspend/${vout}`)).json()).spent

export const total = ({ vout }) => vout.reduce((sum, { value }) => sum + value, 0)

/** What a transaction pays to the miner, in sat per virtual byte. */
export const rate = ({ fee, weight }) => fee / (weight / 4)

/** Another transaction than `txid` spends that output. */
export function replaced(lab, commitment, vout, txid) {
  return until(`${txid} to be replaced`, async () => {
    const spend = await spendOf(lab, commitment.txid, vout)
    return spend.txid !== txid && spend
  })
}

/** Where a wallet that found something on chain can die before the network has its claim (core/src/failpoint.rs). */
const ON_THE_WAY = ['AfterLoad', 'AfterSync', 'BeforeCommit', 'MidCommit', 'AfterCommitBeforeRelease', 'BeforeBroadcast', 'AfterSend']

/** Starts the wallet once for each of those, and it dies there. */
export async function dieOnTheWay(wallet) {
  for (const point of ON_THE_WAY) {
    const killed = wallet.start('listen', {}, {}, { failpoint: `${point}:1:kill` })
    assert.equal((await within(`${killed} to die`, killed.exited)).signal, 'SIGKILL')
    assert.deepEqual(killed.tripped.map(({ failpoint }) => failpoint), [point])
  }
}
