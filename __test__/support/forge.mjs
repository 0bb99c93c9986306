// A payer that cheats: it rewrites an invoice. LDK's payer reads what it pays from a signed invoice, so the lie is signed
// with the wallet's own key, which only a test has.

import { createECDH, createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'

const BECH32 = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l'
const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
const CHECKSUM_WORDS = 6
const SIGNATURE_WORDS = 104
const TIMESTAMP_WORDS = 7

/** The same invoice over another amount (of BOLT 11: `105n`), signed by the wallet of `mnemonic`. */
export function withAmount(bolt11, amount, mnemonic) {
  return forged(bolt11, mnemonic, { amount })
}

/** The same invoice with other fields: `{ p: words }` replaces the payment hash's 5-bit words (BOLT 11's letters). */
export function withFields(bolt11, fields, mnemonic) {
  return forged(bolt11, mnemonic, { fields })
}

/** So many random 5-bit words; the last ones hold no bits that a field of 32 bytes lacks. */
export function randomField() {
  return [...regroup(randomBytes(32), 8, 5)]
}

/** A number as a field's words. */
export function numberField(value) {
  const words = []
  for (let rest = value; rest > 0; rest = Math.floor(rest / 32)) words.unshift(rest % 32)
  return words
}

function forged(bolt11, mnemonic, { amount, fields = {} }) {
  const separator = bolt11.lastIndexOf('1')
  const prefix = amount ? bolt11.slice(0, separator).replace(/\d+[munp]$/, amount) : bolt11.slice(0, separator)
  const words = [...bolt11.slice(separator + 1, -(CHECKSUM_WORDS + SIGNATURE_WORDS))].map((letter) => BECH32.indexOf(letter))
  return sealed(prefix, replaced(words, fields), mnemonic)
}

/** The timestamp, then one tagged field after the other: a letter, two words of length, so many words. */
function replaced(words, fields) {
  const result = words.slice(0, TIMESTAMP_WORDS)
  for (let at = TIMESTAMP_WORDS; at < words.length; ) {
    const [tag, length] = [words[at], words[at + 1] * 32 + words[at + 2]]
    const value = fields[BECH32[tag]] ?? words.slice(at + 3, at + 3 + length)
    result.push(tag, value.length >> 5, value.length & 31, ...value)
    at += 3 + length
  }
  return result
}

function sealed(prefix, data, mnemonic) {
  const signature = sign(Buffer.concat([Buffer.from(prefix), regroup(data, 5, 8)]), nodeKey(mnemonic))
  const words = [...data, ...regroup(signature, 8, 5)]
  return `${prefix}1${[...words, ...checksum(prefix, words)].map((word) => BECH32[word]).join('')}`
}

/** BIP 39's seed, its BIP 32 master key, and of that LDK's own tree: the node's key is its m/0'. */
export function nodeKey(mnemonic) {
  const seed = pbkdf2Sync(mnemonic, 'mnemonic', 2048, 64, 'sha512')
  const ldk = master(master(seed).key)
  const index = Buffer.from([0x80, 0, 0, 0])
  const child = createHmac('sha512', ldk.chain).update(Buffer.concat([Buffer.alloc(1), ldk.key, index])).digest()
  return toBytes32((toBigInt(child.subarray(0, 32)) + toBigInt(ldk.key)) % ORDER)
}

function master(seed) {
  const both = createHmac('sha512', 'Bitcoin seed').update(seed).digest()
  return { key: both.subarray(0, 32), chain: both.subarray(32) }
}

/** ECDSA with the recovery id that BOLT 11 wants and OpenSSL does not tell. */
function sign(message, key) {
  const digest = toBigInt(createHash('sha256').update(message).digest())
  const nonce = createECDH('secp256k1')
  const point = nonce.generateKeys()
  const k = toBigInt(nonce.getPrivateKey())
  const r = toBigInt(point.subarray(1, 33)) % ORDER
  const s = (inverse(k) * (digest + r * toBigInt(key))) % ORDER
  const odd = point[64] & 1
  const [low, id] = s > ORDER / 2n ? [ORDER - s, odd ^ 1] : [s, odd]
  return Buffer.concat([toBytes32(r), toBytes32(low), Buffer.from([id])])
}

function inverse(value) {
  let [result, base, power] = [1n, value, ORDER - 2n]
  for (; power > 0n; power >>= 1n) {
    if (power & 1n) result = (result * base) % ORDER
    base = (base * base) % ORDER
  }
  return result
}

/** From groups of so many bits to others, the last one filled with zeros. */
function regroup(values, from, to) {
  const bits = [...values].map((value) => value.toString(2).padStart(from, '0')).join('')
  const groups = bits.match(new RegExp(`.{1,${to}}`, 'g')) ?? []
  return Buffer.from(groups.map((group) => parseInt(group.padEnd(to, '0'), 2)))
}

/** BIP 173's. */
function checksum(prefix, words) {
  const codes = [...Buffer.from(prefix)]
  const values = [...codes.map((code) => code >> 5), 0, ...codes.map((code) => code & 31), ...words, 0, 0, 0, 0, 0, 0]
  let sum = 1
  for (const value of values) {
    const top = sum >>> 25
    sum = ((sum & 0x1ffffff) << 5) ^ value
    ;[0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3].forEach((generator, bit) => {
      if ((top >>> bit) & 1) sum ^= generator
    })
  }
  sum ^= 1
  return [5, 4, 3, 2, 1, 0].map((place) => (sum >>> (5 * place)) & 31)
}

const toBigInt = (bytes) => BigInt(`0x${Buffer.from(bytes).toString('hex')}`)
const toBytes32 = (value) => Buffer.from(value.toString(16).padStart(64, '0'), 'hex')
