// Nodes of one wallet in one process run as one, so they must agree about what it runs with: each option in which a second node
// differs is named, as long as the first one is there.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MdkNode, generateMnemonic, isMdkError } from '../index.mjs'
import { untilCollected } from './support/gc.mjs'
import { JIT_ROUTE, options as valid } from './support/options.mjs'

/** Another value than that of `options()` for each option that the nodes of a wallet must agree about. */
const DIFFERENT = {
  esploraUrl: 'http://127.0.0.1:2',
  lspNodeId: '02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5',
  lspAddress: '127.0.0.1:2',
  store: 'file:/nonexistent/mayfly',
  lease: { attempts: 1 },
  maxIdleMs: 1_000,
  maxSkimPpm: 1,
  maxSkimBaseMsat: 1,
  recover: 'force-close',
  timeouts: { chainMs: 1 },
}
/** What each node has for itself. */
const OWN = { jitRoute: { ...JIT_ROUTE, cltvExpiryDelta: 81 }, destroyTimeoutMs: 100 }

/** A wallet that no other test has. */
const options = (more) => valid({ mnemonic: generateMnemonic(), ...more })

function refused(given, option) {
  assert.throws(() => new MdkNode(given), (error) => {
    assert.ok(isMdkError(error), error.stack)
    assert.deepEqual([error.code, error.option, error.retryable], ['INVALID_OPTION', option, false], error.message)
    return true
  })
}

/** A node that has used its wallet. */
async function used(given) {
  const node = new MdkNode(given)
  await node.getBalance().catch(() => {}) // there may be no such store
  return node
}

for (const [option, value] of Object.entries(DIFFERENT)) {
  test(`another ${option} for a wallet that a node of this process uses throws INVALID_OPTION`, async () => {
    const given = options()
    const node = await used(given)
    refused({ ...given, [option]: value }, option)
    node.destroy()
    const other = await used({ ...given, [option]: value })
    refused(given, option)
    other.destroy()
  })
}

test('of two nodes that differ and have used nothing yet, the second to use the wallet is refused, and the first is not disturbed', async () => {
  const given = options()
  const [first, second] = [given, { ...given, maxSkimPpm: 1 }].map((each) => new MdkNode(each))
  await first.getBalance()
  for (const call of [() => second.getBalance(), () => second.start(), () => second.receivePayment(() => {})]) {
    await assert.rejects(call, { code: 'INVALID_OPTION', option: 'maxSkimPpm' })
  }
  assert.ok((await second.getInvoice(1_000, 'x', 900)).bolt11, 'minting uses nothing')
  await first.getBalance()
  first.destroy()
  await second.getBalance()
  second.destroy()
})

test('a node that only minted stands in nobody\'s way', async () => {
  const given = options()
  const minted = new MdkNode(given)
  await minted.getInvoice(1_000, 'x', 900)
  const other = await used({ ...given, maxSkimPpm: 1 })
  await minted.getInvoice(1_000, 'x', 900)
  minted.destroy()
  other.destroy()
})

test('the message says what to do', async () => {
  const given = options()
  const node = await used(given)
  assert.throws(() => new MdkNode({ ...given, esploraUrl: 'http://127.0.0.1:2' }), /esploraUrl.*destroy/s)
  node.destroy()
})

test('what each node has for itself may differ', async () => {
  const given = options()
  const nodes = [await used(given), await used({ ...given, ...OWN })]
  for (const node of nodes) node.destroy()
})

test('the same options, spelt as defaults or not at all, are the same', async () => {
  const given = options()
  const spelt = { lspProtocol: 'auto', lease: { attempts: 8 }, maxIdleMs: 30_000, maxSkimPpm: 30_000, timeouts: { chainMs: 5_000 } }
  const nodes = [await used(given), await used({ ...given, ...spelt })]
  for (const node of nodes) node.destroy()
})

test('the same wallet on another network is another wallet', async () => {
  const given = options()
  const nodes = [await used(given), await used({ ...given, network: 'signet', maxSkimPpm: 1 })]
  for (const node of nodes) node.destroy()
})

test("a node that was destroyed, or refused, stands in nobody's way", async () => {
  const given = options()
  for (let round = 0; round < 3; round++) {
    const node = await used({ ...given, maxSkimPpm: round })
    refused({ ...given, maxSkimPpm: 10 }, 'maxSkimPpm')
    node.destroy()
    node.destroy()
  }
})

test("a node that JavaScript lost stands in nobody's way once it is collected", async () => {
  const given = options()
  // Its own result is not kept.
  await used(given).then(() => {})
  const other = await untilCollected(() => {
    try {
      return new MdkNode({ ...given, maxSkimPpm: 1 })
    } catch (error) {
      assert.equal(error.option, 'maxSkimPpm')
    }
  }, 'the lost node to be collected')
  other.destroy()
})

test('the options that the nodes must agree about are all here', () => {
  const known = /known: (.*)$/.exec(rejected({ noSuchOption: 1 }).message)[1].split(', ')
  const identity = ['network', 'mnemonic']
  const spelling = ['lspProtocol'] // 'lsps4' is what 'auto' comes to
  assert.deepEqual(known.sort(), [...identity, ...spelling, ...Object.keys(DIFFERENT), ...Object.keys(OWN)].sort())
})

function rejected(more) {
  try {
    new MdkNode(valid(more))
  } catch (error) {
    return error
  }
  return assert.fail('it was expected to throw')
}
