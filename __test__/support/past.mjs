// Invoices that were minted a while ago, without waiting: by a process whose wall clock is behind (past.c).

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { folder } from './life.mjs'
import { numberField, withFields } from './forge.mjs'
import { noHangs } from './hang.mjs'

/** Why this machine has no past; undefined if it has. What keeps a test from hanging system calls keeps it from this, too. */
export const noPast = noHangs && `no clock that is behind: ${noHangs}`

const MINT = `
  const { MdkNode } = await import(${JSON.stringify(new URL('../../index.mjs', import.meta.url).href)})
  const { options, amountMsat, expirySecs } = JSON.parse(process.argv[1])
  console.log((await new MdkNode(options).getInvoice(amountMsat, 'x', expirySecs)).bolt11)`

/** An invoice of `expirySecs`, minted `agoSecs` ago. */
export function mintedAgo(t, options, { agoSecs, amountMsat, expirySecs }) {
  const library = join(folder(t), 'past.so')
  const source = fileURLToPath(new URL('./past.c', import.meta.url))
  const compiled = spawnSync('cc', ['-shared', '-fPIC', '-O1', '-o', library, source, '-ldl'], { encoding: 'utf8' })
  assert.equal(compiled.status, 0, `past.c does not compile: ${compiled.stderr}`)
  const args = ['--input-type=module', '-e', MINT, JSON.stringify({ options, amountMsat, expirySecs })]
  const env = { ...process.env, LD_PRELOAD: library, PAST_BY_SECONDS: String(agoSecs) }
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', env })
  assert.equal(status, 0, stderr)
  return stdout.trim()
}

/** The same, for a payer who overlooks that it has expired: its payment secret still knows. */
export function overlooked(bolt11, mnemonic) {
  return withFields(bolt11, { x: numberField(30 * 24 * 3600) }, mnemonic)
}
