// L402 in its simplest honest form: the token says which payment opens the door, signed by the shop; the preimage proves it.

import { createHash, createHmac, timingSafeEqual } from 'node:crypto'

/** The header of a 402 answer. */
export function challenge(secret, { bolt11, paymentHash }) {
  return `L402 token="${token(secret, paymentHash)}", invoice="${bolt11}"`
}

/** What an agent reads from it. */
export function readChallenge(header) {
  const read = (name) => new RegExp(`${name}="([^"]+)"`).exec(header)?.[1]
  return { token: read('token'), invoice: read('invoice') }
}

/** Whether `Authorization: L402 token:preimage` is paid for. */
export function isPaid(secret, header) {
  const match = /^L402 ([0-9a-f]{64})\.([0-9a-f]{64}):([0-9a-f]{64})$/.exec(header ?? '')
  if (match === null) return false
  const [, paymentHash, , preimage] = match
  const expected = Buffer.from(token(secret, paymentHash))
  const given = Buffer.from(`${match[1]}.${match[2]}`)
  const hash = createHash('sha256').update(Buffer.from(preimage, 'hex')).digest('hex')
  return timingSafeEqual(expected, given) && hash === paymentHash
}

function token(secret, paymentHash) {
  return `${paymentHash}.${createHmac('sha256', secret).update(paymentHash).digest('hex')}`
}
