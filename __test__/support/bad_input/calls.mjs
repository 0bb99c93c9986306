// Every argument of every method and function: what it takes, and how to see that it was taken.

import { types } from 'node:util'
import { readInvoice } from '../bolt11.mjs'
import { MNEMONIC } from '../options.mjs'
import { whole } from './options.mjs'
import { MAX_TEXT } from './values.mjs'

const { MAX_SAFE_INTEGER } = Number

/** Of the network of the options, and of another. */
const ADDRESS = 'bcrt1q6rz28mcfaxtmd6v789l9rrlrusdprr9pz3cppk'
const OF_MAINNET = 'bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu'

const isText = (value) => typeof value === 'string' && value.isWellFormed() && value.length <= MAX_TEXT
const optional = (row) => ({ ...row, takes: (value) => value === undefined || row.takes(value) })
// Without touching it: it may be a Proxy.
const isSignal = (value) => Object.prototype.isPrototypeOf.call(AbortSignal.prototype, types.isProxy(value) ? null : value)
const none = { takes: () => false, edges: [] }

/** By the name that an error's `option` has. `edges` are tried beside the values that all arguments get. */
export const ARGUMENTS = {
  amountMsat: { ...whole(1, MAX_SAFE_INTEGER), valid: 21_000 },
  // Bytes, not characters; and no text of a payer's screen holds a null byte.
  description: {
    takes: (value) => isText(value) && Buffer.byteLength(value) <= 639 && !value.includes('\0'),
    edges: ['é'.repeat(319), 'é'.repeat(319) + 'x', 'é'.repeat(320), '🦋'.repeat(159), '🦋'.repeat(159) + 'xyz', '🦋'.repeat(160)],
    valid: 'One report',
  },
  expirySecs: { ...whole(1, 365 * 24 * 60 * 60), valid: 900 },
  scid: { takes: (value) => value === '1x2x3', edges: ['1x2x3'], valid: '1x2x3' },
  paymentHash: {
    takes: (value) => typeof value === 'string' && /^[0-9a-fA-F]{64}$/.test(value),
    edges: ['0'.repeat(63), '0'.repeat(65), 'Ab'.repeat(32), 'g'.repeat(64), 'é'.repeat(32)],
    valid: '0'.repeat(64),
  },
  // Any text may be an id; one that no event has is refused when the store was asked.
  eventId: { takes: isText, edges: [], valid: 'an id' },
  channelId: { takes: (value) => typeof value === 'string' && /^[0-9a-f]{64}$/i.test(value), edges: ['AB'.repeat(32)], valid: '00'.repeat(32) },
  force: { takes: (value) => value === undefined || typeof value === 'boolean', edges: [] },
  address: { takes: (value) => value === ADDRESS || value === ADDRESS.toUpperCase(), edges: [ADDRESS, ADDRESS.toUpperCase(), ` ${ADDRESS}`, OF_MAINNET], valid: ADDRESS },
  feeRate: { takes: (value) => value === undefined || (typeof value === 'number' && value >= 1 && value <= 1000), edges: [1.5, 999.9, 1000.1], valid: 2 },
  timeoutMs: { ...optional(whole(0, MAX_SAFE_INTEGER)), valid: 0 },
  minMs: optional(whole(0, MAX_SAFE_INTEGER)),
  quietMs: optional(whole(0, MAX_SAFE_INTEGER)),
  deadlineMs: optional(whole(0, MAX_SAFE_INTEGER)),
  signal: { takes: (value) => value === undefined || isSignal(value), edges: [new AbortController().signal] },
  words: { ...optional(none), takes: (value) => [undefined, 12, 24].includes(value), edges: [11, 12, 13, 15, 18, 21, 23, 24, 25] },
  mnemonic: { takes: (value) => value === MNEMONIC, edges: [], valid: MNEMONIC },
  network: { takes: (value) => ['mainnet', 'testnet', 'signet', 'regtest'].includes(value), edges: ['mainnet', 'MAINNET', 'bitcoin'], valid: 'regtest' },
}

/** The methods whose last argument is `CallOptions`, with the arguments before it. */
export const METHODS = {
  getInvoice: ['amountMsat', 'description', 'expirySecs'],
  getVariableAmountJitInvoice: ['description', 'expirySecs'],
  getInvoiceWithScid: ['scid', 'amountMsat', 'description', 'expirySecs'],
  getVariableAmountJitInvoiceWithScid: ['scid', 'description', 'expirySecs'],
  nextEvent: ['timeoutMs'],
  ackEvent: ['eventId'],
  start: [],
  stop: [],
  startReceiving: [],
  stopReceiving: [],
  getJitRoute: [],
  getBalance: [],
  listChannels: [],
  getPayment: ['paymentHash'],
  listPayments: [],
  watch: [],
  closeChannel: ['channelId'],
  getOnchainAddress: [],
  sendAllOnchain: ['address', 'feeRate'],
}

/** The methods that are called with a known route here, and so only compute. */
export const MINTS = Object.keys(METHODS).filter((name) => name.includes('Invoice'))

/** Methods that have their own cases, with the parameters that these cover. */
export const APART = { getNodeId: [], stats: [], destroy: [], events: ['options'], receivePayment: ['onPayment', 'options'] }

/** Free functions, the same. */
export const FUNCTIONS = {
  generateMnemonic: ['words'],
  deriveNodeId: ['mnemonic', 'network'],
  setLogListener: ['callback', 'minLevel'],
  withNode: ['options', 'body'],
  shutdownWorker: ['options'],
  installShutdownHooks: ['options'],
  isMdkError: ['value'],
}

/** The arguments of `method`, with `changed` ones. */
export function argumentsOf(method, changed = {}) {
  return METHODS[method].map((name) => (name in changed ? changed[name] : ARGUMENTS[name].valid))
}

/** Whether the invoice says what was asked for: nothing rounded, cut or replaced. */
export function saysWhatWasAsked(minted, method, changed) {
  const asked = Object.fromEntries(METHODS[method].map((name, i) => [name, argumentsOf(method, changed)[i]]))
  const invoice = readInvoice(minted.bolt11)
  const said = { description: invoice.description, expirySecs: invoice.expiry }
  // The decoder takes a leading byte order mark away.
  asked.description = asked.description.replace(/^\ufeff/, '')
  if ('amountMsat' in asked) said.amountMsat = Number(invoice.amount)
  if ('scid' in asked) said.scid = minted.scid
  return [said, asked]
}
