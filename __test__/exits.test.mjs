// A process that ends without destroy(), from whatever state its node is in and in whatever way: at once, with the exit code and
// the last words that Node itself gives such an end, and with a wallet that the next process takes whole.
//
// `npm test` shows each state with two of the ways; EXITS=all (`npm run soak`) shows all of them.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { startLab } from '../scripts/support/lab.mjs'
import { MdkNode, generateMnemonic } from '../index.mjs'
import { Exit } from './support/exits.mjs'
import { PATIENCE_MS, folder, receiveOne, within } from './support/life.mjs'
import { Relay } from './support/relay.mjs'
import { silentHandshake as silentService } from './support/silence.mjs'

/** What the node waits for, it would wait for much longer than the test does. */
const LONG_MS = 60_000
const PATIENT = {
  lease: { attempts: 100, baseDelayMs: 1_000, maxWaitMs: LONG_MS },
  timeouts: { chainMs: LONG_MS, syncMs: LONG_MS, lspMs: LONG_MS, stopMs: LONG_MS },
}
/** Cases at a time: most of a case is waiting for processes. */
const SIDE_BY_SIDE = 4

/** Each way out, and how such a process ends. */
const WAYS = {
  exit: { code: 7, signal: null },
  exception: { code: 1, signal: null },
  rejection: { code: 1, signal: null },
  SIGINT: { code: null, signal: 'SIGINT' },
  SIGTERM: { code: null, signal: 'SIGTERM' },
  repl: { code: 0, signal: null },
}
const HOWS = Object.keys(WAYS)

/** At which message from the LSP a payment is cut short: another one for each way out. */
const MESSAGES = ['UpdateAddHTLC', 'CommitmentSigned', 'RevokeAndACK']

let lab
before(async () => (lab = await startLab()))
after(() => lab.stop())

/** For each state: what the node says that it is, what is prepared before the process runs, and how it then comes there. */
const STATES = {
  idle: { is: 'idle' },
  minted: { is: 'idle' },
  locked: {
    is: 'starting',
    async prepare(t, options) {
      const holder = nodeOf(t, options)
      await holder.startReceiving()
      const afterwards = async () => {
        assert.equal(holder.state, 'running', 'the holder goes on')
        await holder.stop()
      }
      return { afterwards }
    },
  },
  'silent Esplora': {
    is: 'starting',
    async prepare(t) {
      const { address, reached } = await silentService(t)
      return { options: { esploraUrl: `http://${address}` }, reached }
    },
  },
  'silent LSP': {
    is: 'starting',
    async prepare(t) {
      const { address, reached } = await silentService(t)
      return { options: { lspAddress: address }, reached }
    },
  },
  running: { is: 'running' },
  looping: { is: 'running' },
  paid: {
    is: 'running',
    async reach(exit) {
      const paying = lab.pay(await exit.said('bolt11'))
      paying.catch(() => {}) // looked at in the end
      return { paying }
    },
  },
  stopping: {
    is: 'stopping',
    async prepare(t) {
      const relay = await Relay.to(t, lab.info.lspAddress)
      // A silent relay does not tell the LSP that its client is gone.
      return { options: { lspAddress: relay.address }, relay, reached: () => relay.goodbye(), afterwards: () => relay.cut() }
    },
    async reach(exit, { relay }) {
      await exit.said('running')
      relay.hush()
      exit.tell()
    },
  },
}

function nodeOf(t, options) {
  const node = new MdkNode({ ...options, lease: { attempts: 1 } })
  t.after(() => node.destroy())
  return node
}

/** A wallet with a channel and money in it. */
async function earned(t) {
  const options = lab.options({ mnemonic: generateMnemonic(), store: `file:${folder(t)}` })
  const node = nodeOf(t, options)
  await receiveOne(lab, node)
  const { lightningMsat } = await node.getBalance()
  node.destroy()
  return { options, lightningMsat }
}

/** The next process has the wallet at the first attempt, with all that was in it; a payment that was cut short arrives. */
async function isWhole(t, { options, lightningMsat }, paying) {
  const next = nodeOf(t, options)
  const received = await next.receivePayment(() => {}, { minMs: paying ? PATIENCE_MS : 1 })
  if (paying) {
    assert.deepEqual(received.map(({ amountMsat }) => amountMsat), [21_000])
    const paid = await within(paying, 'the payer to have its preimage')
    assert.ok(paid.preimage, `the payment failed: ${paid.error}`)
  } else {
    assert.deepEqual(received, [])
  }
  const balance = await next.getBalance()
  assert.equal(balance.lightningMsat, lightningMsat + (paying ? 21_000 : 0))
  assert.equal(balance.pendingCloseSats, 0)
  next.destroy()
}

/** How Node ends that way with nothing loaded. */
async function plainEnd(t, how) {
  const plain = new Exit(t, { how, state: 'nothing' })
  await plain.said('there')
  return plain.ends()
}

describe('a process that ends without destroy()', { concurrency: SIDE_BY_SIDE }, () => {
  for (const [number, [state, { is, prepare, reach }]] of Object.entries(STATES).entries()) {
    const shown = HOWS.filter((_, way) => process.env.EXITS === 'all' || way % 3 === number % 3)
    for (const how of shown) {
      test(`${state}, by ${how}: at once, as Node ends, and the wallet is whole`, async (t) => {
        const wallet = await earned(t)
        const given = await prepare?.(t, wallet.options) ?? {}
        const exit = new Exit(t, {
          how,
          state,
          options: { ...wallet.options, ...PATIENT, ...given.options },
          at: `Received message ${MESSAGES[HOWS.indexOf(how) % MESSAGES.length]}`,
        })
        const reached = await reach?.(exit, given)
        assert.equal(await exit.said('there'), is)
        await given.reached?.()
        const [end, plain] = await Promise.all([exit.ends(), plainEnd(t, how)])
        assert.deepEqual({ code: end.code, signal: end.signal }, WAYS[how])
        assert.deepEqual(end, plain, 'the same as without mayfly, and nothing more on stderr')
        await given.afterwards?.()
        await isWhole(t, wallet, reached?.paying)
      })
    }
  }
})
