// The output commit, seen from outside by the kernel's own account: no message that depends on state reaches the LSP's socket
// before the log of the wallet's database was flushed, after the last thing that the LSP said. LDK writes one message per
// system call, so the n-th write after Noise's handshake is the n-th message that the lab's LSP got.

import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { startLab } from '../scripts/support/lab.mjs'
import { deriveNodeId, generateMnemonic } from '../index.mjs'
import { folder } from './support/life.mjs'
import { Child } from './support/life-process.mjs'

const CALLS = 'fdatasync,fsync,sendto,sendmsg,write,writev,recvfrom,recvmsg,read,readv'
const missing = spawnSync('strace', ['-V']).status !== 0 && 'strace not installed'

/** Promise nothing that a crash could take back. Everything else is gated, also what is not invented yet. */
const UNGATED = new Set(['init', 'ping', 'pong', 'lsps', 'accept_channel', 'channel_reestablish', 'channel_update'])

let lab
before(async () => (lab = await startLab()))
after(() => lab.stop())

/** What the thread that talks to the LSP did, in order: `read`, `write` (the LSP's socket), `flush` (the wallet's log). */
function traceOf(prefix, port) {
  const [path, name] = [prefix.slice(0, prefix.lastIndexOf('/')), prefix.slice(prefix.lastIndexOf('/') + 1)]
  const lsp = new RegExp(`^(send\\w*|writev?|recv\\w*|readv?)\\(\\d+<TCP:\\[[^\\]]*->127\\.0\\.0\\.1:${port}\\]>.* = (\\d+)$`)
  const flush = /^(?:fdatasync|fsync)\(\d+<[^>]*\.sqlite-wal>\) = 0$/
  const threads = readdirSync(path).filter((file) => file.startsWith(`${name}.`)).map((file) => {
    const steps = []
    for (const line of readFileSync(join(path, file), 'utf8').split('\n')) {
      const socket = lsp.exec(line)
      if (socket && Number(socket[2]) > 0) steps.push(/^(send|write)/.test(socket[1]) ? 'write' : 'read')
      else if (flush.test(line)) steps.push('flush')
    }
    return steps
  })
  const talking = threads.filter((steps) => steps.includes('write'))
  assert.equal(talking.length, 1, 'one thread talks to the LSP')
  return talking[0]
}

/** The gated messages that were written without a flush since the LSP's last word. `messages`: what the LSP got, in order. */
function ungatedWrites(steps, messages) {
  const bare = []
  let flushed = false
  let written = 0
  for (const step of steps) {
    if (step === 'flush') flushed = true
    else if (step === 'read') flushed = false
    else {
      // Noise's first and third act come before the first message.
      const message = messages[written - 2]
      written += 1
      if (message !== undefined && !UNGATED.has(message) && !flushed) bare.push(message)
    }
  }
  assert.equal(written - 2, messages.length, 'as many writes as the LSP got messages')
  return bare
}

test('every message that depends on state is written after the flush of its commit', { skip: missing }, async (t) => {
  const [store, traces] = [folder(t), folder(t)]
  const mnemonic = generateMnemonic()
  const options = lab.options({ mnemonic, store: `file:${store}` })
  const nodeId = deriveNodeId(mnemonic, 'regtest')
  const port = lab.info.lspAddress.split(':').at(-1)

  for (const [life, wanted] of [
    ['first', { funding_signed: 1, channel_ready: 1, update_fulfill_htlc: 1, revoke_and_ack: 2, commitment_signed: 2 }],
    ['second', { update_fulfill_htlc: 1, revoke_and_ack: 2, commitment_signed: 1 }],
  ]) {
    const prefix = join(traces, life)
    const since = process.hrtime.bigint()
    const child = new Child(t, 'sell', { options, args: ['1'], under: ['strace', '-ff', '-yy', '-s', '0', '-o', prefix, '-e', `trace=${CALLS}`] })
    const paid = await lab.pay(await child.said('invoice0'))
    assert.ok(paid.preimage, `the payment failed: ${paid.error}`)
    assert.equal((await child.said('received0')).length, 1)
    await child.endsWell()

    const heard = await lab.get(`/messages?since=${since}`)
    // Each connection begins with an init, which the lab does not list; this node makes one.
    const listed = heard.filter(({ direction, peer }) => direction === 'got' && peer === nodeId).map(({ type }) => type)
    const messages = ['init', ...listed]
    for (const [type, count] of Object.entries(wanted)) {
      const got = messages.filter((message) => message === type).length
      assert.ok(got >= count, `${life} life: ${count} ${type} expected, the LSP got ${got} (${messages})`)
    }
    const steps = traceOf(prefix, port)
    assert.deepEqual(ungatedWrites(steps, messages), [], `${life} life: ${steps.join(' ')}`)
    t.diagnostic(`${life} life: ${messages.filter((message) => !UNGATED.has(message)).length} gated messages, ${steps.filter((step) => step === 'flush').length} flushes`)

    // The same trace as a store without durability (synchronous=OFF) leaves it, and one that flushes too late, must not pass.
    const gated = messages.filter((message) => !UNGATED.has(message))
    assert.deepEqual(ungatedWrites(steps.filter((step) => step !== 'flush'), messages), gated)
    const late = steps.filter((step) => step !== 'flush').flatMap((step) => (step === 'write' ? [step, 'flush'] : [step]))
    assert.notDeepEqual(ungatedWrites(late, messages), [])
  }
})
