// What a user, a broken environment file or a foreign library may pass where something else is expected. Each value has a name,
// which a failing case shows. Whether one is right somewhere is said by the place that takes it, never here.

import { MNEMONIC, hostile } from '../options.mjs'

/** Texts that must never stand in an error: they land in the wrong option when environment variables get mixed up. */
export const SECRETS = {
  mnemonic: MNEMONIC,
  'database URL': 'postgres://wallet:hunter2-hunter2@db.example/wallet',
  'private key': '5dd0b8a1c5cf6f1cb8a8c2d4d1b0c27d2f0e6b1c7e0f4a3b9d8c7e6f5a4b3c2d',
}

/** Texts longer than this, in UTF-16 units, are refused before they are copied. */
export const MAX_TEXT = 16_384

const revoked = () => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

const late = Promise.reject(new Error('nobody waits for this'))
late.catch(() => {})

const NUMBERS = [
  0, -0, 1, -1, 2, 0.5, 1.000_000_1, 100, 1_000, 65_535, 65_536, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, 2 ** 53, -(2 ** 53), 2 ** 63,
  2 ** 64, 1e300, NaN, Infinity, -Infinity, Number.MIN_VALUE, Number.MAX_VALUE, Number.EPSILON,
]

const TEXTS = {
  empty: '',
  'a space': ' ',
  'a line end': '\r\n',
  'a null byte': '\0',
  'a null byte inside': 'a\0b',
  'a byte order mark': '\ufeff',
  'a zero-width space': '\u200b',
  'right to left': '\u202eabc\u202c',
  'a terminal escape': '\x1b[31mred\x1b[0m',
  emoji: '🦋',
  'a high surrogate alone': '\ud83e',
  'a low surrogate alone': 'a\udd8bb',
  'surrogates in the wrong order': '\udd8b\ud83e',
  'the word undefined': 'undefined',
  'the word null': 'null',
  'the word true': 'true',
  'digits': '5',
  'zero as text': '0',
  'a number with an exponent': '1e3',
  'a hexadecimal number': '0x10',
  'a fraction as text': '0.5',
  'quotes alone': '""',
  'JSON': '{"scid":"1x2x3"}',
  'an object made text': '[object Object]',
  'a shell variable': '${MNEMONIC}',
  'a format string': '%s%n{}',
  '639 bytes': 'x'.repeat(639),
  '640 bytes': 'x'.repeat(640),
  '640 bytes of 320 characters': 'é'.repeat(320),
  '640 bytes of 160 emoji': '🦋'.repeat(160),
  'the longest text that is read': 'x'.repeat(MAX_TEXT),
  'one more than is read': 'x'.repeat(MAX_TEXT + 1),
  '10 MB': 'x'.repeat(10 << 20),
  '20 MB of two bytes each': '文'.repeat(10 << 20),
  ...SECRETS,
}

const OTHERS = {
  undefined,
  null: null,
  true: true,
  false: false,
  'a bigint': 5n,
  'a negative bigint': -1n,
  'a bigint of 65 bits': 2n ** 64n,
  'a symbol': Symbol('5'),
  'a registered symbol': Symbol.for('mayfly.MdkError'),
  'an object': {},
  'an object without a prototype': Object.create(null),
  'a frozen object': Object.freeze({}),
  'an array': [],
  'an array of one': [5],
  'a boxed string': new String('5'),
  'a boxed number': new Number(5),
  'a boxed boolean': new Boolean(true),
  'a boxed bigint': Object(5n),
  'an object with valueOf': { valueOf: () => 5 },
  'an object with toString': { toString: () => '5' },
  'an object with toPrimitive': { [Symbol.toPrimitive]: () => 5 },
  'a date': new Date(0),
  'an invalid date': new Date(NaN),
  'a regular expression': /5/,
  'a map': new Map([['ttlMs', 5]]),
  'a set': new Set(['ttlMs']),
  'a promise': Promise.resolve(5),
  'a rejected promise': late,
  'an error': new Error('5'),
  'a buffer': Buffer.from('5'),
  'an array buffer': new ArrayBuffer(5),
  'a URL object': new URL('http://127.0.0.1/'),
  'an abort controller': new AbortController(),
  'a function': () => 5,
  'an async function': async () => 5,
  'a generator function': function* () {},
  'a class': class {},
  'a Proxy of a function': new Proxy(() => 5, {}),
  'a Proxy': new Proxy({}, {}),
  'a Proxy whose traps throw': hostile(),
  'a revoked Proxy': revoked(),
  'the global object': globalThis,
  'the environment': process.env,
}

/** `[name, value]` of everything. */
export const VALUES = [
  ...NUMBERS.map((value) => [Object.is(value, -0) ? 'the number -0' : `the number ${value}`, value]),
  ...Object.entries(TEXTS).map(([name, value]) => [`the text “${name}”`, value]),
  ...Object.entries(OTHERS),
]
