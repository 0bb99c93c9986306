// Running many cases in one test: each is counted, and all that fail are told at once, by their names.

import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { isMdkError } from '../../../index.mjs'
import { refused } from '../refused.mjs'
import { SECRETS } from './values.mjs'

/** Nobody reads more, and a log line has to hold it. */
const LONGEST_MESSAGE = 2_000

let count = 0

/** How many cases have run. */
export const counted = () => count

/** Runs `cases`, `[name, async () => …]`, one after the other, and fails with the list of those that failed. */
export async function all(cases) {
  const failures = []
  for (const [name, run] of cases) {
    count += 1
    try {
      await run()
    } catch (error) {
      failures.push(`${name}: ${String(error?.message ?? error).replaceAll(/\s+/g, ' ').slice(0, 300)}`)
    }
  }
  assert.ok(failures.length === 0, `${failures.length} of ${cases.length} cases failed:\n${failures.join('\n')}`)
}

/** Asserts that `error` is what a user can work with: typed, named, short, in one clean line, and without a secret. */
export function helpful(error, code, option) {
  refused(error, code, option)
  const { message } = error
  assert.ok(message.length <= LONGEST_MESSAGE, `a message of ${message.length} characters`)
  // It ends in a terminal or a log: no control characters, nothing invisible, no half characters.
  assert.doesNotMatch(message, /[\0-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]/u)
  assert.ok(message.isWellFormed())
  if (option !== undefined && option.length < 40) {
    const name = option.split('.').at(-1)
    assert.ok(message.includes(name) || option === 'this', `${JSON.stringify(message)} does not say ${name}`)
  }
  const shown = inspect(error, { depth: 9, showHidden: true })
  for (const [what, secret] of Object.entries(SECRETS)) assert.ok(!shown.includes(secret), `it shows the ${what}`)
  return error
}

/** Asserts that `call` throws that error at once. */
export function refusesNow(call, code, option) {
  let value
  try {
    value = call()
  } catch (error) {
    return helpful(error, code, option)
  }
  // Not left to be an unhandled rejection.
  if (value instanceof Promise) value.catch(() => {})
  assert.fail('accepted')
}

/** Asserts that `call` gives a promise that rejects with that error: what is asynchronous never throws. */
export async function refusesLater(call, code, option) {
  const promise = call()
  assert.ok(promise instanceof Promise, 'no promise')
  let value
  try {
    value = await promise
  } catch (error) {
    return helpful(error, code, option)
  }
  assert.fail(`accepted: ${inspect(value)}`)
}

/** Asserts that `call` is not refused for its arguments. */
export async function accepts(call) {
  try {
    return await call()
  } catch (error) {
    assert.fail(`refused: ${isMdkError(error) ? error.message : inspect(error)}`)
  }
}
