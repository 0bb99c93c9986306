'use strict'
// AbortSignal → the native CancelToken of one call, and back to nothing: no listener stays on the caller's signal.

const { CancelToken } = require('./native.js')
const { fromNative, invalidArgument } = require('./errors.js')

/** The call's signal, or undefined. What else is wrong with `options` is found by the native half. */
function signalOf(options) {
  if (typeof options !== 'object' || options === null) return undefined
  let signal
  let usable
  try {
    signal = options.signal
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
    keys = typeof options === 'object' && options !== null ? Object.keys(options) : undefined
  } catch {
    keys = undefined
  }
  if (keys === undefined) throw invalidArgument('options', 'options must be an object')
  const unknown = keys.find((key) => key !== 'signal')
  if (unknown !== undefined) throw invalidArgument(unknown, `there is no option ${JSON.stringify(unknown)} here; known: signal`)
  return signalOf(options)
}

/** Cancels `token` when `signal` fires, also if it has fired already. Returns what ends that. */
function follow(signal, token) {
  if (signal === undefined) return () => {}
  const cancel = () => token.cancel()
  if (signal.aborted) cancel()
  signal.addEventListener('abort', cancel)
  return () => signal.removeEventListener('abort', cancel)
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

module.exports = { signalOf, onlySignal, follow, cancellable }
