'use strict'
// MdkError, and the way from what the native half throws to it.

const BRAND = Symbol.for('mayfly.MdkError')

class MdkError extends Error {
  constructor(code, message, details = {}) {
    super(message, 'cause' in details ? { cause: details.cause } : undefined)
    this.code = code
    this.retryable = details.retryable === true
    for (const name of ['option', 'retryAfterMs', 'holder']) {
      if (details[name] !== undefined) this[name] = details[name]
    }
  }
}
Object.defineProperty(MdkError.prototype, 'name', { value: 'MdkError', configurable: true, writable: true })
// The brand is a registered symbol: it is the same in every realm and every installed copy, where instanceof is not.
Object.defineProperty(MdkError.prototype, BRAND, { value: true })

function isMdkError(value) {
  try {
    return typeof value === 'object' && value !== null && value[BRAND] === true
  } catch {
    return false // a Proxy with a throwing trap is not ours
  }
}

function invalidArgument(name, message) {
  return new MdkError('INVALID_ARGUMENT', message, { option: name })
}

/** What the native half threw → MdkError. `signal` is the call's own: its reason is why an aborted call was aborted. */
function fromNative(error, signal) {
  if (isMdkError(error)) return error
  // The native half always says whether it is retryable; napi's own failures and foreign values don't.
  if (!(error instanceof Error) || typeof error.retryable !== 'boolean') {
    return new MdkError('INTERNAL', `a bug in mayfly: ${describe(error)}; please report it with this text`, { cause: error })
  }
  const details = { retryable: error.retryable, option: error.option, retryAfterMs: error.retryAfterMs, holder: error.holder }
  if (error.code === 'ABORTED' && signal !== undefined) details.cause = reasonOf(signal)
  return new MdkError(error.code, error.message, details)
}

function reasonOf(signal) {
  try {
    return signal.reason
  } catch {
    return undefined // a foreign signal whose getter throws
  }
}

/** Runs a synchronous native call: what it throws becomes an MdkError. */
function typed(call) {
  try {
    return call()
  } catch (error) {
    throw fromNative(error)
  }
}

function describe(error) {
  return error instanceof Error ? error.message : `it threw ${typeof error}`
}

module.exports = { MdkError, isMdkError, invalidArgument, fromNative, typed }
