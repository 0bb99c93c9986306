// What a worker can be in the middle of when it is told to end, and what must hold of it then and afterwards. Each may have
//   worker    the state of worker-process.mjs; by default its own name
//   skip      why it can't be made here
//   payment   one waits for it at the LSP: whatever becomes of the worker, the wallet receives it, once
//   prepare   (t, { wallet, place }): what hangs, `{ options, env, dies }`; `still` is checked when the worker is gone
//   failpoint where its thread is stopped
//   outcomes  of the calls that were under way
//   stuck     a native thread hangs for ever: shutting down can't end it, and says so. The process ends all the same
//   silent    its store says nothing more: the lease can't be given back, and ends with its time
//   asks      it may be in the middle of a claim or a commit, which nobody can take back from a store that is elsewhere; it says so

import assert from 'node:assert/strict'
import { MdkNode } from '../../../index.mjs'
import { SilentNameServer, noHangs } from '../hang.mjs'
import { silentHandshake } from '../silence.mjs'
import { KIND } from '../store.mjs'
import { Worker } from './worker.mjs'

/** How long a process may linger that is told to end, and one in which something hangs for ever. */
export const GONE_MS = 1_000
export const GONE_FROM_STUCK_MS = 3_000

const ended = (count) => Array(count).fill('NODE_DESTROYED')

/** Long pauses: the wait is not over by itself. */
export const PATIENT = { attempts: 8, baseDelayMs: 2_000, maxWaitMs: 60_000 }

export const STATES = {
  idle: { outcomes: [] },

  'waiting for a contended lock': {
    worker: 'contended',
    asks: true,
    outcomes: ended(2),
    async prepare(t, { wallet }) {
      const holder = await hold(t, wallet)
      return { options: { lease: PATIENT }, still: () => holder.undisturbed() }
    },
  },

  'booting while Esplora hangs': {
    worker: 'esplora',
    asks: true,
    outcomes: ended(2),
    async prepare(t) {
      const { address } = await silentHandshake(t)
      return { options: { esploraUrl: `http://${address}` } }
    },
  },

  'booting while the LSP hangs': {
    worker: 'lsp',
    asks: true,
    outcomes: ended(2),
    async prepare(t) {
      const { address } = await silentHandshake(t)
      return { options: { lspAddress: address } }
    },
  },

  'booting while the name server hangs': {
    worker: 'dns',
    asks: true,
    skip: noHangs,
    outcomes: ended(2),
    async prepare(t) {
      const { env } = await SilentNameServer.start(t)
      return { options: { lspAddress: 'lsp.example:9735' }, env }
    },
  },

  'booting while the store hangs': {
    worker: 'store',
    asks: true,
    outcomes: ended(2),
    stuck: true,
    prepare: async (t, { place }) => place.hanging(),
  },

  running: { outcomes: ended(1) },

  'running, and the store falls silent': { worker: 'running', outcomes: ended(1), silent: true },

  'mid-payment': { worker: 'paying', payment: true, asks: true },

  'mid-payment, and the store falls silent': { worker: 'paying', payment: true, silent: true },

  // receivePayment waits for its handler, which never ends.
  'mid-payment, in the handler': { worker: 'told', payment: true, asks: true, outcomes: [] },

  'mid-commit': {
    worker: 'committing',
    payment: true,
    outcomes: ended(1),
    stuck: true,
    // The third of a first payment is that of its claim.
    failpoint: KIND === 'file' ? 'MidCommit:3:block' : 'BeforeCommit:3:block',
  },
}

/** `destroyTimeoutMs` of the nodes: it is the shutdown's that counts, and nobody waits twice for what hangs. */
const OWN_DESTROY_TIMEOUT_MS = 10_000

/** Short, for a lease that can't be given back. */
const BRIEF = { ttlMs: 2_000 }

/** A worker that is in that state. `t`: a test's context, or anything with `after`. `more`: see Worker. */
export async function workerIn(t, name, { wallet, place, store, ...more }) {
  const { worker = name, failpoint, prepare, silent } = STATES[name]
  const { falls, ...silenced } = silent ? await store.silenced(t) : {}
  const { options = { ...silenced.options, ...(silent && { lease: BRIEF }) }, still, ...hanging } = (await prepare?.(t, { wallet, place })) ?? {}
  const started = new Worker(t, worker, { ...wallet.options, destroyTimeoutMs: OWN_DESTROY_TIMEOUT_MS, ...options }, { failpoint, ...hanging, ...more })
  await started.reached()
  falls?.()
  return { worker: started, still }
}

/** A node of this process that has the wallet. */
export async function hold(t, wallet) {
  const node = wallet.node()
  t.after(() => node.destroy())
  await node.startReceiving()
  const { epoch } = node.stats()
  return {
    /** It answers, and it never let go: nobody else has raised the epoch. */
    async undisturbed() {
      assert.equal(node.state, 'running')
      assert.equal(node.stats().epoch, epoch)
      assert.equal((await node.getBalance()).lightningMsat, 0)
      node.destroy()
      assert.deepEqual(node.lastDestroy.unfinished, [])
      assert.equal(await nextEpoch(wallet), epoch + 1)
    },
  }
}

/** The first attempt of another gets the wallet; or one of many, if its lease has to end by itself. */
export async function nextEpoch(wallet, lease = { attempts: 1 }) {
  const next = new MdkNode({ ...wallet.options, lease })
  try {
    await next.start()
    return next.stats().epoch
  } finally {
    next.destroy()
  }
}
