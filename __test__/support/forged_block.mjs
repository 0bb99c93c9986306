// A block whose only spend has a broken signature, and whose everything else is right: commitments, coinbase, proof of work.
// Only Bitcoin's scripts can tell it from a good one.

import { createHash } from 'node:crypto'

const hash = (...parts) => {
  const once = createHash('sha256').update(Buffer.concat(parts)).digest()
  return createHash('sha256').update(once).digest()
}

const ZEROS = Buffer.alloc(32)
const HEADER = 80
/** BIP 141: what stands before the commitment to all witnesses. */
const COMMITMENT_TAG = Buffer.from('6a24aa21a9ed', 'hex')
/** How a coinbase ends: its witness, one item of 32 zeros, and its lock time. */
const COINBASE_END = Buffer.concat([Buffer.from([1, 32]), ZEROS, Buffer.alloc(4)])

/** The records of an export: a length of 4 bytes, then a block. */
export function blocksOf(bytes) {
  const blocks = []
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32LE(at)
    blocks.push(bytes.subarray(at + 4, at + 4 + length))
    at += 4 + length
  }
  return blocks
}

export function recordOf(block) {
  const length = Buffer.alloc(4)
  length.writeUInt32LE(block.length)
  return Buffer.concat([length, block])
}

/** How many transactions are in it (fewer than 253). */
export const countOf = (block) => block[HEADER]

/** `block`, which holds a coinbase and a payment of one P2WPKH coin, with `change` applied to the payment's signature. */
export function forged(block, change) {
  const split = block.indexOf(COINBASE_END, HEADER) + COINBASE_END.length
  const coinbase = Buffer.from(block.subarray(HEADER + 1, split))
  const payment = Buffer.from(block.subarray(split))
  // At its end: two items, the signature and a public key of 33 bytes, and the lock time.
  const key = payment.length - 4 - 34
  const signature = [...Array(10).keys()].map((n) => key - 65 - n).find((at) => payment[at - 1] === key - at && payment[at - 2] === 2)
  change(payment.subarray(signature, key))

  const witnessRoot = hash(ZEROS, hash(payment))
  hash(witnessRoot, ZEROS).copy(coinbase, coinbase.indexOf(COMMITMENT_TAG) + COMMITMENT_TAG.length)
  const header = Buffer.from(block.subarray(0, HEADER))
  const coinbaseId = hash(stripped(coinbase, coinbase.length - COINBASE_END.length))
  hash(coinbaseId, hash(stripped(payment, signature - 2))).copy(header, 36)
  // Regtest: a hash whose first bit, written as usual, is 0.
  for (let nonce = 0; ; nonce++) {
    header.writeUInt32LE(nonce, 76)
    if (hash(header)[31] < 0x7f) break
  }
  return Buffer.concat([header, block.subarray(HEADER, HEADER + 1), coinbase, payment])
}

/** A transaction without marker, flag and the witness that begins at `witness`: what its id is made of. */
function stripped(tx, witness) {
  return Buffer.concat([tx.subarray(0, 4), tx.subarray(6, witness), tx.subarray(tx.length - 4)])
}
