// What a refused call looks like.

import assert from 'node:assert/strict'
import { MdkError, isMdkError } from '../../index.mjs'

/** Asserts that `error` is an MdkError of that code (and option), and returns it. */
export function refused(error, code, option) {
  assert.ok(isMdkError(error), `not an MdkError: ${error?.stack ?? error}`)
  assert.ok(error instanceof MdkError)
  assert.ok(error instanceof Error)
  assert.equal(error.name, 'MdkError')
  assert.equal(error.code, code, error.message)
  assert.equal(error.option, option, error.message)
  assert.equal(typeof error.retryable, 'boolean')
  assert.notEqual(error.message, '')
  return error
}

export function throws(call, code, option) {
  try {
    call()
  } catch (error) {
    return refused(error, code, option)
  }
  assert.fail(`not refused: expected ${code}${option === undefined ? '' : ` (${option})`}`)
}

export async function rejects(call, code, option) {
  const promise = call()
  // A synchronous throw would have ended the test: everything asynchronous fails by rejection.
  assert.ok(promise instanceof Promise)
  try {
    await promise
  } catch (error) {
    return refused(error, code, option)
  }
  assert.fail(`not refused: expected ${code}${option === undefined ? '' : ` (${option})`}`)
}
