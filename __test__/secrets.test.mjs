// A whole life at trace level, with what fails in it: no record, error, value, or line on stdout or stderr tells a secret.

import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { startLab } from '../scripts/support/lab.mjs'
import { deriveNodeId, generateMnemonic } from '../index.mjs'
import { folder } from './support/life.mjs'
import { leaks, textsOf } from './support/secrets.mjs'
import { within } from './support/until.mjs'

const CHILD = fileURLToPath(new URL('./support/secrets-child.mjs', import.meta.url))

let lab
before(async () => (lab = await startLab()))
after(() => lab?.stop())

/** Runs it, pays what it sells, and resolves with all that it said by channel. */
async function lived(options, passwords) {
  const said = { records: [], errors: [], values: [], stdout: [], stderr: [] }
  const env = { ...process.env, SECRET_LIFE: JSON.stringify({ options, passwords }), MAYFLY_FAILPOINT: 'AfterClaim:2:panic' }
  const child = fork(CHILD, { stdio: ['ignore', 'pipe', 'pipe', 'ipc'], env })
  child.stdout.setEncoding('utf8').on('data', (text) => said.stdout.push(text))
  child.stderr.setEncoding('utf8').on('data', (text) => said.stderr.push(text))
  const paying = []
  const hashes = []
  let ended = false
  child.on('message', ({ channel, text, invoice, paymentHash, ended: end }) => {
    if (channel) said[channel].push(text)
    if (invoice) paying.push(lab.pay(invoice, 60_000)) && hashes.push(paymentHash)
    ended ||= end === true
  })
  try {
    const [code] = await within('the life to end', once(child, 'close'), 120_000)
    assert.deepEqual({ code, ended }, { code: 0, ended: true }, said.stderr.join('').slice(-2_000))
  } finally {
    child.kill('SIGKILL')
  }
  const paid = await Promise.all(paying)
  for (const { preimage, error } of paid) assert.match(preimage ?? error, /^[0-9a-f]{64}$/)
  return { said, hashes, preimages: paid.map(({ preimage }) => preimage) }
}

test('a whole life at trace level tells no secret, wherever it speaks', async (t) => {
  const options = lab.options({ mnemonic: generateMnemonic(), store: `file:${folder(t)}` })
  const nodeId = deriveNodeId(options.mnemonic, options.network)
  const passwords = { database: `db-${randomBytes(9).toString('hex')}`, esplora: `chain-${randomBytes(9).toString('hex')}` }
  const { said, hashes, preimages } = await lived(options, passwords)
  assert.equal(preimages.length, 2)

  // What it should find is found: everything that was said came here, and each text in each channel would be seen.
  assert.ok(said.records.length > 500, `${said.records.length} records`)
  for (const level of ['trace', 'debug', 'info', 'warn']) assert.ok(said.records.some((line) => line.includes(`"level":"${level}"`)), level)
  for (const hash of hashes) assert.ok(leaks([['a payment hash', hash]], said).length > 0, 'a payment hash is no secret')
  assert.ok(leaks([['canary', 'the canary on std']], said).length === 2)
  assert.ok(said.errors.some((line) => line.includes('INTERNAL')), 'the panic')
  assert.ok(said.errors.length > 20)
  const texts = textsOf({ mnemonic: options.mnemonic, nodeId, preimages, passwords: Object.values(passwords) })
  for (const [name, text] of texts) {
    for (const channel of Object.keys(said)) assert.equal(leaks(texts, { [channel]: [`x${text}y`] }).length > 0, true, `${name} in ${channel}`)
  }

  assert.deepEqual(leaks(texts, said), [])
  assert.deepEqual([said.stdout.join(''), said.stderr.join('')], ['the canary on stdout\n', 'the canary on stderr\n'], 'nothing but its own')
})
