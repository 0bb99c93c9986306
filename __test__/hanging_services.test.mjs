// destroy() while a service hangs, again and again in one process: it returns within its deadline, says what it left undone exactly
// where a disk hung, and leaves nothing behind. `npm run soak` does more of them.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { startLab } from '../scripts/support/lab.mjs'
import { percentile } from '../bench/support/samples.mjs'
import { MdkNode, generateMnemonic } from '../index.mjs'
import { Disk, SilentNameServer, noHangs } from './support/hang.mjs'
import { folder } from './support/life.mjs'
import { Child, all, beat } from './support/life-process.mjs'
import { Pulse } from './support/pulse.mjs'
import { silentHandshake } from './support/silence.mjs'

const TIMES = Number(process.env.HANGS ?? 100)
/** A time takes some 20 ms, or on a dead disk some 50; the rest is a busy machine's. */
const PATIENCE_MS = 30_000 + TIMES * 500

/** The default of `destroyTimeoutMs`. */
const DEADLINE_MS = 250
/** What a busy machine gets, so that nothing is left undone for its sake; the machine's own part taken out, the default must do. */
const GENEROUS_DEADLINE_MS = 5_000
/** The disk hangs until the deadline has passed. */
const DEAD_DISK_DEADLINE_MS = 25

let lab
let pulse
before(async () => ([lab, pulse] = await Promise.all([startLab(), Pulse.start()])))
after(() => Promise.all([lab.stop(), pulse.stop()]))

/** What of each hangs: options, and the environment of the process. */
const SERVICES = {
  async esplora(t) {
    const { address } = await silentHandshake(t)
    return { options: { esploraUrl: `http://${address}` } }
  },
  async lsp(t) {
    const { address } = await silentHandshake(t)
    return { options: { lspAddress: address } }
  },
  async dns(t) {
    const { env } = await SilentNameServer.start(t)
    return { options: { lspAddress: 'lsp.example:9735' }, env }
  },
  async disk(t, store) {
    return { options: { destroyTimeoutMs: DEAD_DISK_DEADLINE_MS }, env: new Disk(t, store).env }
  },
}

/** What every time must come to. */
const WANTED = { codes: all(3), state: 'destroyed', left: { threads: 0, fds: 0, locks: 0 }, count: TIMES }

describe(`destroy(), ${TIMES} times in one process, each time while it hangs:`, { concurrency: true }, () => {
  for (const [service, hang] of Object.entries(SERVICES)) {
    test(service, { skip: ['dns', 'disk'].includes(service) && noHangs }, async (t) => {
      const store = folder(t)
      const options = lab.options({ mnemonic: generateMnemonic(), store: `file:${store}`, destroyTimeoutMs: GENEROUS_DEADLINE_MS })
      const hanging = await hang(t, store)
      const child = new Child(t, service, { options: { ...options, ...hanging.options }, args: [TIMES, service === 'disk' ? DEAD_DISK_DEADLINE_MS : DEADLINE_MS].map(String), env: hanging.env, script: 'hanging-child.mjs' })
      const outcomes = await child.said('outcomes', PATIENCE_MS)
      const durations = await child.said('durations')
      await child.endsWell()
      const [{ unfinished }] = outcomes
      assert.deepEqual(outcomes, [{ ...WANTED, unfinished }], `${service}: every time the same`)
      if (service === 'disk') {
        assert.equal(unfinished.length, 1, unfinished.join())
        assert.match(unfinished[0], /^the node's thread .*is stuck/)
      } else {
        assert.deepEqual(unfinished, [])
      }
      // Longer than the deadline and 20 ms, the machine's own stalls taken out, would be a stall here.
      await beat(child, pulse)
      await isFree({ ...options, lease: { attempts: 1 } })
      const [median, p99] = [0.5, 0.99].map((share) => percentile(durations, share).toFixed(2))
      t.diagnostic(`${service}: median ${median} ms, p99 ${p99} ms`)
    })
  }
})

/** Another process's first attempt gets the wallet. */
async function isFree(options) {
  const next = new MdkNode(options)
  try {
    await next.start()
  } finally {
    next.destroy()
  }
}
