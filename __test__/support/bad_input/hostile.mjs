// Objects that are foreign code: getters that count, throw, lie or call back into mayfly, Proxies, odd prototypes, signals that
// are none of Node's. Each is read once, and what it does is its own affair.

import assert from 'node:assert/strict'
import { MdkNode, isMdkError, withNode } from '../../../index.mjs'
import { isSignedBy } from '../bolt11.mjs'
import { throwing } from '../options.mjs'
import { METHODS, MINTS, argumentsOf } from './calls.mjs'
import { accepts, helpful, refusesLater, refusesNow } from './cases.mjs'
import { GROUPS, OPTIONS, withOption } from './options.mjs'

/** Options that make a node. It makes room: a wallet's nodes must agree about their options. */
function taken(options) {
  const node = new MdkNode(options)
  assert.equal(node.state, 'idle')
  node.destroy()
}

const thrower = (thrown) => () => {
  throw thrown
}

/** An object whose getters count into `reads`. */
function counting(object, reads, prefix = '') {
  const counted = {}
  for (const [key, value] of Object.entries(object)) {
    const inner = typeof value === 'object' ? counting(value, reads, `${prefix}${key}.`) : value
    const get = () => {
      reads.set(prefix + key, (reads.get(prefix + key) ?? 0) + 1)
      return inner
    }
    Object.defineProperty(counted, key, { enumerable: true, get })
  }
  return counted
}

const everything = (options) => ({
  ...options,
  lspProtocol: 'auto',
  lease: { ttlMs: 8_000, attempts: 8, baseDelayMs: 250, maxWaitMs: 10_000, takeOver: 'expired', label: 'shop' },
  maxIdleMs: 30_000,
  destroyTimeoutMs: 250,
  maxSkimPpm: 30_000,
  maxSkimBaseMsat: 0,
  recover: 'force-close',
  timeouts: { chainMs: 5_000, syncMs: 20_000, storeMs: 5_000, connectMs: 3_000, lspMs: 25_000, lspRequestMs: 5_000, stopMs: 5_000, commitMs: 10_000 },
})

/** Options of the constructor. */
export function hostileOptions(options) {
  const unknown = (key, inside) => (inside === undefined ? { ...options, [key]: 1 } : withOption(options, `${inside}.${key}`, 1))
  return [
    [
      'every option is read exactly once',
      () => {
        const reads = new Map()
        taken(counting(everything(options), reads))
        assert.deepEqual([...reads.keys()].toSorted(), Object.keys(OPTIONS).toSorted())
        assert.deepEqual([...reads].filter(([, times]) => times !== 1), [])
      },
    ],
    [
      'a getter that gives something else the second time is believed the first',
      async () => {
        let reads = 0
        const node = new MdkNode({ ...options, get network() { return reads++ === 0 ? 'regtest' : 'mainnet' } })
        assert.match((await node.getInvoice(1, 'x', 60)).bolt11, /^lnbcrt/)
        assert.equal(reads, 1)
      },
    ],
    [
      'a Proxy that behaves is only listed and read',
      () => {
        const traps = new Set()
        const handler = new Proxy({}, { get: (_, trap) => (traps.add(trap), undefined) })
        taken(new Proxy(options, handler))
        assert.deepEqual([...traps].filter((trap) => !['ownKeys', 'getOwnPropertyDescriptor', 'get', 'getPrototypeOf'].includes(trap)), [])
      },
    ],
    ...Object.keys(OPTIONS).flatMap((path) => {
      const [outer, inner] = path.split('.')
      const base = withOption(options, path, undefined)
      const make = (get) => {
        const object = inner === undefined ? { ...base } : { ...base[outer] }
        Object.defineProperty(object, inner ?? outer, { enumerable: true, get })
        return () => new MdkNode(inner === undefined ? object : { ...options, [outer]: object })
      }
      const odd = { 'an error': new Error('hunter2'), undefined, 'a Proxy': new Proxy({}, { get: thrower(1), getPrototypeOf: thrower(2) }), itself: selfThrowing() }
      return Object.entries(odd).map(([what, thrown]) => [
        `the getter of ${path} throws ${what}`,
        () => assert.match(refusesNow(make(thrower(thrown)), 'INVALID_OPTION', path).message, /its getter throws$/),
      ])
    }),
    ...['get', 'ownKeys', 'getOwnPropertyDescriptor'].flatMap((trap) => [
      [`a Proxy whose ${trap} throws`, () => refusesNow(() => new MdkNode(new Proxy(options, { [trap]: thrower(new Error('mine')) })), 'INVALID_OPTION', trap === 'get' ? 'network' : 'options')],
      ...Object.keys(GROUPS).map((group) => [
        `a Proxy whose ${trap} throws as ${group}`,
        () => {
          const proxy = new Proxy(everything(options)[group], { [trap]: thrower(new Error('mine')) })
          const first = Object.keys(OPTIONS).find((path) => path.startsWith(`${group}.`))
          refusesNow(() => new MdkNode({ ...options, [group]: proxy }), 'INVALID_OPTION', trap === 'get' ? first : group)
        },
      ]),
    ]),
    ...['__proto__x', 'constructor', 'toString', 'Network', 'esploraURL', 'lspNodeID', 'network ', 'recover', 'maxIdleSecs', 'vssUrl', 'mdkApiKey', 'rgsUrl', 'größe', '', '0'].flatMap((key) =>
      [undefined, ...Object.keys(GROUPS)].map((inside) => [
        `the unknown key ${JSON.stringify(key)} in ${inside ?? 'the options'}`,
        () => refusesNow(() => new MdkNode(unknown(key, inside)), 'INVALID_OPTION', inside === undefined ? key : `${inside}.${key}`),
      ]),
    ),
    ['an own __proto__, as JSON.parse makes it', () => refusesNow(() => new MdkNode({ ...options, ['__proto__']: 1 }), 'INVALID_OPTION', '__proto__')],
    ...[undefined, ...Object.keys(GROUPS)].map((inside) => [
      `a key that is no name in ${inside ?? 'the options'}`,
      () => {
        for (const key of [options.mnemonic, 'k'.repeat(1 << 20)]) refusesNow(() => new MdkNode(unknown(key, inside)), 'INVALID_OPTION', inside ?? 'options')
      },
    ]),
    ...Object.entries({
      'symbol keys, which nobody mistypes': { ...options, [Symbol('network')]: 1 },
      'keys that are not enumerable': Object.defineProperty({ ...options }, 'hidden', { value: 1 }),
      'an inherited unknown key': Object.assign(Object.create({ foo: 1 }), options),
      'inherited options': Object.create(options),
      'no prototype': Object.assign(Object.create(null), options),
      'frozen options': Object.freeze({ ...options }),
      'an instance with getters': new (class {
        constructor() {
          Object.assign(this, options)
        }
        get destroyTimeoutMs() {
          return 250
        }
      })(),
      'JSON there and back': JSON.parse(JSON.stringify(options)),
    }).map(([what, given]) => [`taken: ${what}`, () => taken(given)]),
    [
      'what happens to the options afterwards changes nothing',
      async () => {
        const own = { ...options, jitRoute: { ...options.jitRoute } }
        const node = new MdkNode(own)
        Object.assign(own, { network: 'mainnet', mnemonic: '' })
        own.jitRoute.scid = '1x1x1'
        const { bolt11, scid } = await node.getInvoice(1, 'x', 60)
        assert.match(bolt11, /^lnbcrt/)
        assert.equal(scid, options.jitRoute.scid)
      },
    ],
    [
      'a getter that makes, uses and breaks other nodes',
      () => {
        const busy = {
          ...options,
          get network() {
            const other = new MdkNode(options)
            other.getInvoice(1, 'x', 60).catch(() => {})
            other.destroy()
            assert.throws(() => new MdkNode({}))
            return 'regtest'
          },
        }
        taken(busy)
      },
    ],
  ]
}

/** Last arguments of methods. */
export function hostileCalls(options, node) {
  const cases = []
  for (const method of Object.keys(METHODS)) {
    const call = (given, self = node) => self[method](...argumentsOf(method), given)
    const add = (what, run) => cases.push([`${method}: ${what}`, run])
    add('a getter that throws', async () => {
      for (const key of ['timeoutMs', 'signal']) {
        assert.match((await refusesLater(() => call(throwing(key)), 'INVALID_ARGUMENT', key)).message, /its getter throws$/)
      }
    })
    add('each key is read once', async () => {
      const reads = new Map()
      await refusesLater(() => call(counting({ timeoutMs: 5 }, reads, ''), destroyed(options)), 'NODE_DESTROYED')
      assert.deepEqual([...reads], [['timeoutMs', 1]])
    })
    add('unknown keys', async () => {
      for (const key of ['timeout', 'timeoutMS', 'Signal', '__proto__x', '']) await refusesLater(() => call({ [key]: 1 }), 'INVALID_ARGUMENT', key)
      for (const key of [options.mnemonic, 'k'.repeat(1 << 20)]) await refusesLater(() => call({ [key]: 1 }), 'INVALID_ARGUMENT', 'options')
    })
    add('an AbortSignal instead of options', () => refusesLater(() => call(AbortSignal.abort()), 'INVALID_ARGUMENT', 'options'))
    add('a signal that throws when it is listened to', () =>
      refusesLater(() => call({ signal: foreign({ addEventListener: thrower(new Error('mine')) }) }), 'INVALID_ARGUMENT', 'signal'))
    add('a signal that throws when its reason is asked for', async () => {
      const signal = foreign({ aborted: true })
      Object.defineProperty(signal, 'reason', { get: thrower(new Error('mine')) })
      assert.equal((await refusesLater(() => call({ signal }), 'ABORTED')).cause, undefined)
    })
    add('a signal that fires while it is listened to', () =>
      refusesLater(() => call({ signal: foreign({ addEventListener: (_type, fire) => fire() }) }), 'ABORTED'))
    add('a getter that destroys the node', () => {
      const own = new MdkNode(options)
      return refusesLater(() => call({ get timeoutMs() { own.destroy(); return 5 } }, own), 'NODE_DESTROYED')
    })
    add('keys that are symbols, and no prototype', () => {
      const signal = AbortSignal.abort()
      return refusesLater(() => call(Object.assign(Object.create(null), { signal, [Symbol('x')]: 1 })), 'ABORTED')
    })
    if (MINTS.includes(method)) {
      add('a signal that throws when it is let go', () =>
        accepts(() => call({ signal: foreign({ removeEventListener: thrower(new Error('mine')) }) })))
    }
  }
  return [
    ...cases,
    ['receivePayment: an AbortSignal instead of options', () => refusesLater(() => node.receivePayment(() => {}, AbortSignal.abort()), 'INVALID_ARGUMENT', 'options')],
    ['receivePayment: a signal that throws when it is listened to', () =>
      refusesLater(() => node.receivePayment(() => {}, { signal: foreign({ addEventListener: thrower(1) }) }), 'INVALID_ARGUMENT', 'signal')],
    ['receivePayment: getters that throw', async () => {
      for (const key of ['minMs', 'quietMs', 'deadlineMs', 'signal']) await refusesLater(() => node.receivePayment(() => {}, throwing(key)), 'INVALID_ARGUMENT', key)
    }],
    ['events: an AbortSignal instead of options', () => refusesNow(() => node.events(AbortSignal.abort()), 'INVALID_ARGUMENT', 'options')],
    ['events: unknown keys', () => {
      for (const key of ['timeoutMs', 'Signal', '']) refusesNow(() => node.events({ [key]: 1 }), 'INVALID_ARGUMENT', key)
      for (const key of [options.mnemonic, 'k'.repeat(1 << 20), '\u202ex']) refusesNow(() => node.events({ [key]: 1 }), 'INVALID_ARGUMENT', 'options')
    }],
    ['events: a signal that throws when it is listened to', () => {
      const iterator = node.events({ signal: foreign({ addEventListener: thrower(1) }) })
      return refusesLater(() => iterator.next(), 'INVALID_ARGUMENT', 'signal')
    }],
  ]
}

/** Nodes that are not quite: subclasses, bare prototypes, Proxies. */
export function hostileNodes(options, node) {
  const mints = async (made) => assert.ok(isSignedBy((await made.getInvoice(1, 'x', 60)).bolt11, made.getNodeId()))
  return [
    ['a subclass is a node', () => mints(new (class Shop extends MdkNode {})(options))],
    ['a node made by Reflect.construct is a node', () => mints(Reflect.construct(MdkNode, [options], class extends MdkNode {}))],
    ['a frozen node is a node', () => mints(Object.freeze(new MdkNode(options)))],
    ['a bound method works', async () => assert.equal((await node.getInvoice.bind(node)(1, 'x', 60)).amountMsat, 1)],
    ['a detached method is refused', async () => {
      const { getInvoice, getNodeId } = node
      await refusesLater(() => getInvoice(1, 'x', 60), 'INVALID_ARGUMENT', 'this')
      refusesNow(() => getNodeId(), 'INVALID_ARGUMENT', 'this')
    }],
    ...Object.entries({
      'the bare prototype': MdkNode.prototype,
      'an object with its prototype': Object.create(MdkNode.prototype),
      'an object that inherits from a node': Object.create(node),
      'a Proxy of a node': new Proxy(node, {}),
      'a copy of a node': { ...node },
      'a clone of a node': structuredClone(node),
    }).map(([what, self]) => [
      `${what} is no node`,
      async () => {
        await refusesLater(() => node.getInvoice.call(self, 1, 'x', 60), 'INVALID_ARGUMENT', 'this')
        refusesNow(() => node.getNodeId.call(self), 'INVALID_ARGUMENT', 'this')
      },
    ]),
    ['withNode passes on what its body throws, also undefined', async () => {
      for (const thrown of [undefined, null, 5, new Proxy({}, { get: thrower(1), getPrototypeOf: thrower(2) })]) {
        const outcome = await withNode(options, thrower(thrown)).then(() => 'resolved', (error) => [error])
        assert.ok(Array.isArray(outcome) && outcome[0] === thrown)
      }
    }],
    ['isMdkError of what is not ours', () => {
      const brand = Symbol.for('mayfly.MdkError')
      const other = [
        Object.defineProperty({}, brand, { get: thrower(1) }),
        { [brand]: 1 },
        { [brand]: 'true' },
        Object.assign(() => {}, { [brand]: true }),
        new Proxy(new Error('x'), { get: thrower(1) }),
        new Proxy({}, { has: thrower(1), getPrototypeOf: thrower(1) }),
      ]
      for (const value of other) assert.equal(isMdkError(value), false)
    }],
    ['isMdkError of what is ours, however it comes', () => {
      const error = refusesNow(() => new MdkNode({}), 'INVALID_OPTION', 'network')
      for (const value of [error, Object.freeze(error), Object.create(error), new Proxy(error, {})]) assert.equal(isMdkError(value), true)
      assert.equal(isMdkError(structuredClone(error)), false)
      helpful(error, 'INVALID_OPTION', 'network')
    }],
  ]
}

/** A signal that is not Node's own; polyfills and other realms have such. */
function foreign(more) {
  return { aborted: false, reason: undefined, addEventListener() {}, removeEventListener() {}, ...more }
}

/** A value whose text can't be had: asking for it throws the value again. */
function selfThrowing() {
  const value = Object.create(null, { toString: { value: () => thrower(value)() }, message: { get: () => thrower(value)() } })
  return value
}

function destroyed(options) {
  const node = new MdkNode(options)
  node.destroy()
  return node
}
