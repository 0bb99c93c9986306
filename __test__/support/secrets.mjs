// What a wallet's mnemonic leads to, computed without mayfly, and a search for it in whatever a process said.

import assert from 'node:assert/strict'
import { createECDH, createHmac, pbkdf2Sync } from 'node:crypto'

/** The order of secp256k1. */
const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n

const hmac = (key, ...data) => data.reduce((mac, part) => mac.update(part), createHmac('sha512', key)).digest()
const bytes = (number) => Buffer.from(number.toString(16).padStart(64, '0'), 'hex')
const number = (buffer) => BigInt(`0x${buffer.toString('hex')}`)

/** BIP 32, the root and hardened children. */
const root = (seed) => split(hmac('Bitcoin seed', seed))
const split = (mac) => ({ key: mac.subarray(0, 32), chain: mac.subarray(32) })
function child({ key, chain }, index) {
  const place = Buffer.alloc(4)
  place.writeUInt32BE(0x8000_0000 + index)
  const { key: tweak, chain: below } = split(hmac(chain, Buffer.from([0]), key, place))
  return { key: bytes((number(tweak) + number(key)) % ORDER), chain: below }
}

export function nodeIdOf(key) {
  const curve = createECDH('secp256k1')
  curve.setPrivateKey(key)
  return curve.getPublicKey('hex', 'compressed')
}

/** `{ name: bytes }` of every key of that wallet that is worth something; the derivation is ldk-node's. */
export function keysOf(mnemonic, nodeId) {
  const seed = pbkdf2Sync(mnemonic, 'mnemonic', 2048, 64, 'sha512')
  const master = root(seed)
  const ldk = root(master.key)
  assert.equal(nodeIdOf(child(ldk, 0).key), nodeId, 'this is the derivation')
  const keys = { seed, 'master key': master.key, 'master chain code': master.chain, "LDK's master key": ldk.key }
  // Node, destination, shutdown, channels, payments, peer storage, receive authentication.
  for (const index of [0, 1, 2, 3, 5, 6, 7]) keys[`LDK's key ${index}'`] = child(ldk, index).key
  const account = child(child(child(master, 84), 1), 0)
  return { ...keys, "the account's key": account.key, "the account's chain code": account.chain }
}

/** How bytes may be written in a text. */
const WRITTEN = {
  hex: (key) => key.toString('hex'),
  'upper case hex': (key) => key.toString('hex').toUpperCase(),
  base64: (key) => key.toString('base64').replace(/=+$/, '').slice(0, -1),
  base64url: (key) => key.toString('base64url').slice(0, -1),
  'a list': (key) => [...key.subarray(0, 12)].join(','),
  'a spaced list': (key) => [...key.subarray(0, 12)].join(', '),
}

/** Every text that must not be said: `[name, text]`. */
export function textsOf({ mnemonic, nodeId, preimages = [], passwords = [] }) {
  const words = mnemonic.split(' ')
  // Single words are English ("open", "channel"); two in their order are not said by chance.
  const pairs = words.slice(1).map((word, i) => [`words ${i + 1} and ${i + 2} of the mnemonic`, `${words[i]} ${word}`])
  const keys = Object.entries({ ...keysOf(mnemonic, nodeId), ...Object.fromEntries(preimages.map((hex, i) => [`preimage ${i}`, Buffer.from(hex, 'hex')])) })
  const written = keys.flatMap(([name, key]) => Object.entries(WRITTEN).map(([how, write]) => [`${name} as ${how}`, write(key)]))
  const plain = passwords.flatMap((password) => [
    [`the password ${password}`, password],
    [`the password ${password} in base64`, Buffer.from(password).toString('base64').slice(0, -4)],
  ])
  return [...pairs, ...written, ...plain]
}

/** Which of the texts stand in what was said: `{ channel: [said] }` → `[name, where]`. */
export function leaks(texts, said) {
  return Object.entries(said).flatMap(([channel, lines]) =>
    lines.flatMap((line) => texts.filter(([, text]) => line.includes(text)).map(([name]) => `${name} in ${channel}: ${line.slice(0, 100)}…`)),
  )
}
