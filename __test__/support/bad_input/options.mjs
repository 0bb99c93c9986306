// Every option of `new MdkNode`: what it takes. A value is refused under the option's own name, unless the row says otherwise.

import { JIT_ROUTE, MNEMONIC } from '../options.mjs'
import { SECRETS } from './values.mjs'

const { MAX_SAFE_INTEGER } = Number
/** Control characters, and others that nobody sees. */
const HIDDEN = /[\p{Cc}\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]/u

/** A whole number of a range. Its edges are tried beside the values that all options get. */
export const whole = (min, max) => ({
  takes: (value) => typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max,
  edges: [min - 1, min, max, max + 1, min + 0.5, String(min)],
})
/** One of these texts, exactly. */
const oneOf = (...texts) => ({ takes: (value) => texts.includes(value), edges: [...texts, ...texts.map((text) => text.toUpperCase())] })
/** What the user calls something: any short text that can be seen and is no URL, address or key. */
const label = {
  takes: (value) =>
    typeof value === 'string' && value.isWellFormed() && Buffer.byteLength(value) <= 64 && !HIDDEN.test(value) && !/:\/\/|@|^[0-9a-f]{64}$/i.test(value),
  edges: ['x'.repeat(64), 'x'.repeat(65), 'é'.repeat(32), 'é'.repeat(33), 'a@b', 'x://y', 'ab'.repeat(32)],
}
/** A text with a form: none of the values is one; `forms.mjs` has those that are. */
const formed = (...texts) => ({ takes: (value) => texts.includes(value), edges: texts })
/** An object of options: `inside` is what it must have. */
const group = (inside = []) => ({
  edges: [],
  takes: (value) => isObject(value) && inside.length === 0 && keysOf(value).length === 0,
  /** The first unknown key, else the first missing one. */
  names: (value, path) => {
    if (!isObject(value)) return path
    const [key] = [...keysOf(value), ...inside]
    return `${path}.${key}`
  },
})

const required = (row) => ({ ...row, required: true })

/** By the path that an error's `option` has. */
export const OPTIONS = {
  network: required(oneOf('testnet', 'signet', 'regtest')),
  mnemonic: required(formed(MNEMONIC)),
  esploraUrl: required(formed()),
  lspNodeId: required(formed()),
  lspAddress: required(formed()),
  lspProtocol: oneOf('auto', 'lsps4'),
  jitRoute: group(['scid']),
  'jitRoute.scid': required(formed('1x2x3')),
  'jitRoute.cltvExpiryDelta': required(whole(1, 2_016)),
  // Any text may be a secret in the wrong place; this one is in its right one.
  store: required(formed(SECRETS['database URL'])),
  lease: group(),
  'lease.ttlMs': whole(2_000, 600_000),
  'lease.attempts': whole(1, 1_000),
  'lease.baseDelayMs': whole(1, 60_000),
  'lease.maxWaitMs': whole(0, 900_000),
  'lease.takeOver': oneOf('expired', 'unrenewed'),
  'lease.label': label,
  maxIdleMs: whole(0, 86_400_000),
  destroyTimeoutMs: whole(1, 10_000),
  maxSkimPpm: whole(0, 1_000_000),
  maxSkimBaseMsat: whole(0, MAX_SAFE_INTEGER),
  recover: oneOf('force-close'),
  timeouts: group(),
  'timeouts.chainMs': whole(1, 900_000),
  'timeouts.storeMs': whole(1, 900_000),
  'timeouts.connectMs': whole(1, 900_000),
  'timeouts.lspMs': whole(1, 900_000),
  'timeouts.lspRequestMs': whole(1, 900_000),
  'timeouts.stopMs': whole(1, 900_000),
  'timeouts.syncMs': whole(1, 900_000),
  'timeouts.commitMs': whole(1, 900_000),
}

/** The interface that declares each group. */
export const GROUPS = { jitRoute: 'JitRoute', lease: 'LeaseOptions', timeouts: 'TimeoutOptions' }

/** What stands beside an option of a group: the waits that contain others are at their longest. */
const BESIDE = { jitRoute: JIT_ROUTE, lease: {}, timeouts: { lspMs: 900_000, commitMs: 900_000, syncMs: 900_000 } }

/** `options` with `value` at `path`. */
export function withOption(options, path, value) {
  const [outer, inner] = path.split('.')
  if (inner === undefined) return { ...options, [outer]: value }
  return { ...options, [outer]: { ...BESIDE[outer], [inner]: value } }
}

/** The name under which `value` is refused at `path`; undefined when it is taken. */
export function verdict(path, value) {
  const { takes, names = (_value, path) => path, required = false } = OPTIONS[path]
  if (value === undefined) return required ? path : undefined
  return takes(value) ? undefined : names(value, path)
}

/** Whether it counts as an object of options: what is an array, a function or can't be read does not. */
function isObject(value) {
  try {
    return typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value) !== undefined
  } catch {
    return false
  }
}

function keysOf(value) {
  return Object.keys(value)
}
