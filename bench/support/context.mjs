// What a measurement works with: how much to measure, wallets, the lab, fresh processes. The lab is started by the first
// measurement that asks for it, so that those without a network have the machine to themselves.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startLab } from '../../scripts/support/lab.mjs'
// Before anything here listens for the exit: children are ended first, then their folder goes.
import './children.mjs'
import { openDoor } from './door.mjs'

/** Enough to mint without any service: a valid node id (secp256k1's generator), and nobody who listens. */
const NOWHERE = {
  network: 'regtest',
  esploraUrl: 'http://127.0.0.1:1',
  lspNodeId: '0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798',
  lspAddress: '127.0.0.1:1',
  store: 'memory:',
  jitRoute: { scid: '1x1x1', cltvExpiryDelta: 144 },
}

/**
 * @param {{ quick: boolean, n?: number, payments: number, dev: boolean }} how `n` replaces the number of samples of everything that takes long;
 * `payments` is the longest past of a wallet; `dev`: nothing is to be built as it ships
 */
export async function createContext({ quick, n, payments, dev }) {
  // Not before here: the environment decides which addon it loads.
  const { MdkNode, generateMnemonic } = await import('../../index.mjs')
  const folder = mkdtempSync(join(tmpdir(), 'mayfly-bench-'))
  const removeFolder = () => rmSync(folder, { recursive: true, force: true })
  // Also when a signal ends us: see scripts/bench.mjs.
  process.once('exit', removeFolder)
  let lab
  let door
  let wallets = 0

  return {
    /** How many samples: of fast things always many, of slow ones what the caller asked for. */
    count: ({ quick: few, full, slow = false }) => (slow && n) || (quick ? few : full),
    payments,
    dev,
    lab: async () => (lab ??= await startLab()),
    door: async () => (door ??= await openDoor()),
    /** Options that mint, and do nothing else. */
    offlineOptions: () => ({ ...NOWHERE, mnemonic: generateMnemonic() }),
    /** A new wallet of the lab, its JIT route learnt; so its store exists, a new one if none is given. `epoch`: of its last claim. */
    async newWallet({ store = `file:${join(folder, `wallet-${wallets++}`)}` } = {}) {
      lab ??= await startLab()
      const options = lab.options({ mnemonic: generateMnemonic(), store })
      const node = new MdkNode(options)
      try {
        const jitRoute = await node.getJitRoute()
        await node.stop()
        return { nodeId: node.getNodeId(), options: { ...options, jitRoute }, epoch: node.stats().epoch }
      } finally {
        node.destroy()
      }
    },
    /** An invoice of that wallet; no I/O. */
    mint: ({ options }) => new MdkNode(options).getInvoice(21_000, 'One report', 900),
    async close() {
      await door?.close()
      await lab?.stop()
      removeFolder()
    },
  }
}
