// What a test looks at when a wallet's bitcoin moves on chain.

import assert from 'node:assert/strict'
import { esplora, glance, spendOf } from './chain.mjs'

/** Nobody's, on regtest. */
export const ELSEWHERE = 'bcrt1qpyysjzgfpyysjzgfpyysjzgfpyysjzgfrwg6xw'

/** Starts the wallet, and asserts that it owns that and nothing else. */
export async function assertMoney(wallet, { lightningMsat = 0, pendingCloseSats = 0, onchainSats = 0 }) {
  const seen = await glance(wallet)
  assert.deepEqual(
    { lightningMsat: seen.lightningMsat, pendingCloseSats: seen.pendingCloseSats, onchainSats: seen.onchainSats },
    { lightningMsat, pendingCloseSats, onchainSats },
  )
}

/** What a transaction pays to an address, by a wallet that only knows the address. */
export function paidTo(tx, address) {
  const script = scriptOf(address)
  return tx.vout.filter((output) => output.scriptpubkey === script).reduce((sum, { value }) => sum + value, 0)
}

/** The values that an address has, unspent. */
export async function unspentAt(lab, address) {
  const found = await (await esplora(lab, `/address/${address}/utxo`)).json()
  return found.map(({ value }) => value)
}

/** The sweep of a closed channel's output of that worth, once it is sent, and what it brings home. */
export async function sweepOf(lab, commitment, sats) {
  const output = commitment.vout.findIndex(({ value }) => value === sats)
  assert.ok(output >= 0, `${commitment.txid} pays the wallet ${sats} sat`)
  const sweep = await spendOf(lab, commitment.txid, output)
  return { sweep, sats: sweep.vout.reduce((sum, { value }) => sum + value, 0) }
}

/** A commitment that is final left the wallet that output: it is swept by the next start, and the sweep mined. Returns its fee. */
export async function sweptHome(wallet, commitment, sats) {
  await glance(wallet)
  const { sweep } = await sweepOf(wallet.lab, commitment, sats)
  await wallet.lab.post('/mine', { blocks: 1 })
  return sweep.fee
}

const BECH32 = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l'

/** A version 0 witness program's script, in hex. */
function scriptOf(address) {
  const words = [...address.slice(address.lastIndexOf('1') + 1, -6)].map((letter) => BECH32.indexOf(letter))
  assert.equal(words[0], 0, 'a witness program of version 0')
  const bits = words.slice(1).map((word) => word.toString(2).padStart(5, '0')).join('')
  const bytes = Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => parseInt(byte, 2)))
  return Buffer.concat([Buffer.from([0, bytes.length]), bytes]).toString('hex')
}
