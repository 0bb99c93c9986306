// What the tests of a node's life share: conditions with a deadline, folders that go away, one payment.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Generous: a loaded machine with two cores. Only what is broken takes so long. */
export const PATIENCE_MS = 15_000

/** Looks until `condition` gives something truthy, which it returns. */
export async function until(condition, what, patienceMs = PATIENCE_MS) {
  const deadline = performance.now() + patienceMs
  for (;;) {
    const found = await condition()
    if (found) return found
    if (performance.now() > deadline) throw new Error(`waited ${patienceMs} ms in vain for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** `promise`, or an error that names what did not come. */
export async function within(promise, what, patienceMs = PATIENCE_MS) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${patienceMs} ms in vain for ${what}`)), patienceMs)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Runs `call`, which must reject, and returns the error. */
export async function rejection(call, what = 'the call') {
  try {
    await (typeof call === 'function' ? call() : call)
  } catch (error) {
    return error
  }
  return assert.fail(`${what} was expected to fail`)
}

/** A temporary folder; `t` is a test's context, or anything with `after`. */
export function folder(t) {
  const path = mkdtempSync(join(tmpdir(), 'mayfly-life-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** Receives one payment of `amountMsat` in this process. */
export async function receiveOne(lab, node, amountMsat = 21_000) {
  const { bolt11 } = await node.getInvoice(amountMsat, 'One report', 900)
  const paying = lab.pay(bolt11)
  const received = await node.receivePayment(() => {}, { minMs: PATIENCE_MS })
  const paid = await paying
  assert.ok(paid.preimage, `the payment failed: ${paid.error}`)
  assert.equal(received.length, 1)
  return received[0]
}
