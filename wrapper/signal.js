'use strict'
// AbortSignal → the native CancelToken of one call, and back to nothing: no listener stays on the caller's signal.

const { CancelToken } = require('./native.js')
const { fromNative, invalidArgument } = require('./errors.js')

/** A key that an error may name. A longer one is no misspelt name but a text in the wrong place; the native half says the same. */
const NAME = /^[ -~]{0,32}$/

/** The call's signal, or undefined. What else is wrong with `options` is found by the native half. */
function signalOf(options) {
  if (typeof options !== 'object' || options === null) return undefined
  if (isSignal(options)) {
    // It has no keys of its own: the call would begin, and could not be aborted.
    throw invalidArgument('options', 'options is an AbortSignal itself; write { signal } around it')
  }
  let signal
  try {
    signal = options.signal
  } catch {
    throw invalidArgument('signal', "signal can't be read: its getter throws")
  }
  let usable
  try {
    usable =
      signal === undefined ||
      (typeof signal === 'object' &&
        typeof signal.aborted === 'boolean' &&
        typeof signal.addEventListener === 'function' &&
        typeof signal.removeEventListener === 'function')
  } catch {
    usable = false
  }
  if (!usable) throw invalidArgument('signal', 'signal must be an AbortSignal')
  return signal
}

/** For what takes a signal and nothing else. */
function onlySignal(options) {
  if (options === undefined) return undefined
  let keys
  try {
    keys = typeof options === 'object' && options !== null && !Array.isArray(options) ? Object.keys(options) : undefined
  } catch {
    throw invalidArgument('options', "options can't be read: listing its keys throws")
  }
  if (keys === undefined) throw invalidArgument('options', 'options must be an object, and no array')
  const unknown = keys.find((key) => key !== 'signal')
  if (unknown !== undefined && !NAME.test(unknown)) {
    throw invalidArgument('options', `options has a key of ${unknown.length} characters (not shown), which is no option; known: signal`)
  }
  if (unknown !== undefined) throw invalidArgument(unknown, `there is no option ${JSON.stringify(unknown)} here; known: signal`)
  return signalOf(options)
}

function isSignal(value) {
  try {
    return value instanceof AbortSignal
  } catch {
    return false // a Proxy with a throwing trap
  }
}

/**
 * Cancels `token` when `signal` fires, also if it has fired already. Returns what ends that. A signal need not be Node's own:
 * one that throws at the beginning is refused, one that throws at the end must not turn what was done into a failure.
 */
function follow(signal, token) {
  if (signal === undefined) return () => {}
  const cancel = () => token.cancel()
  try {
    if (signal.aborted) cancel()
    signal.addEventListener('abort', cancel)
  } catch {
    throw invalidArgument('signal', 'signal must be an AbortSignal: this one throws when it is listened to')
  }
  return () => {
    try {
      signal.removeEventListener('abort', cancel)
    } catch {
      // said above
    }
  }
}

/** Runs one native call: its signal followed, its error an MdkError. */
async function cancellable(options, call) {
  const signal = signalOf(options)
  const token = signal === undefined ? undefined : new CancelToken()
  const unfollow = follow(signal, token)
  try {
    return await call(token)
  } catch (error) {
    throw fromNative(error, signal)
  } finally {
    unfollow()
  }
}

module.exports = { NAME, signalOf, onlySignal, follow, cancellable }
