// Invoices read by others than us: light-bolt11-decoder for the fields, OpenSSL for the signature.

import { ECDH, createPublicKey, verify } from 'node:crypto'
import { decode } from 'light-bolt11-decoder'

const BECH32 = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l'
const CHECKSUM_WORDS = 6
/** 64 bytes and the recovery id. */
const SIGNATURE_WORDS = 104

/** The invoice's sections by name; route hints are a list. */
export function readInvoice(bolt11) {
  const { sections } = decode(bolt11)
  const routeHints = sections.filter(({ name }) => name === 'route_hint').map(({ value }) => value)
  return { ...Object.fromEntries(sections.map(({ name, value }) => [name, value])), routeHints }
}

/** Whether that node signed it: an invoice names its payee by its signature only (BOLT 11). */
export function isSignedBy(bolt11, nodeId) {
  const separator = bolt11.lastIndexOf('1')
  const words = [...bolt11.slice(separator + 1, -CHECKSUM_WORDS)].map((letter) => BECH32.indexOf(letter))
  const message = Buffer.concat([Buffer.from(bolt11.slice(0, separator)), toBytes(words.slice(0, -SIGNATURE_WORDS))])
  const signature = toBytes(words.slice(-SIGNATURE_WORDS)).subarray(0, 64)
  return verify('sha256', message, { key: publicKey(nodeId), dsaEncoding: 'ieee-p1363' }, signature)
}

function publicKey(nodeId) {
  const point = ECDH.convertKey(nodeId, 'secp256k1', 'hex', undefined, 'uncompressed')
  const [x, y] = [point.subarray(1, 33), point.subarray(33)].map((half) => half.toString('base64url'))
  return createPublicKey({ format: 'jwk', key: { kty: 'EC', crv: 'secp256k1', x, y } })
}

/** 5-bit words to bytes, the last one filled with zero bits. */
function toBytes(words) {
  const bits = words.map((word) => word.toString(2).padStart(5, '0')).join('')
  return Buffer.from((bits.match(/.{1,8}/g) ?? []).map((byte) => parseInt(byte.padEnd(8, '0'), 2)))
}
