// Options that are valid and reach nothing: minting works with them, and whoever connects is refused at once.

export const MNEMONIC = 'abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about'
export const LSP_NODE_ID = '0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798'
export const JIT_ROUTE = { scid: '512345x1203x5', cltvExpiryDelta: 80 }

export function options(more = {}) {
  return {
    network: 'regtest',
    mnemonic: MNEMONIC,
    esploraUrl: 'http://127.0.0.1:1',
    lspNodeId: LSP_NODE_ID,
    lspAddress: '127.0.0.1:1',
    store: 'memory:',
    jitRoute: JIT_ROUTE,
    ...more,
  }
}

/** The same without a JIT route, so that minting has to ask the LSP. */
export function unrouted(more = {}) {
  const { jitRoute, ...rest } = options(more)
  return rest
}

/** An object whose `key` throws when it is read. */
export function throwing(key, object = {}) {
  return Object.defineProperty({ ...object }, key, {
    enumerable: true,
    get() {
      throw new Error('do not read me')
    },
  })
}

/** A Proxy all of whose traps throw. */
export function hostile() {
  const trap = () => {
    throw new Error('do not touch me')
  }
  return new Proxy({}, { get: trap, has: trap, ownKeys: trap, getPrototypeOf: trap, getOwnPropertyDescriptor: trap })
}
