'use strict'
// The free functions: the native ones, with MdkErrors.

const native = require('./native.js')
const { invalidArgument, typed } = require('./errors.js')

function generateMnemonic(words) {
  return typed(() => native.generateMnemonic(words))
}

function deriveNodeId(mnemonic, network) {
  return typed(() => native.deriveNodeId(mnemonic, network))
}

function setLogListener(callback, minLevel) {
  if (callback !== null && typeof callback !== 'function') {
    throw invalidArgument('callback', `callback must be a function or null, not ${typeof callback}`)
  }
  const guarded = callback === null ? null : (record) => ignoreFailure(callback, record)
  typed(() => native.setLogListener(guarded, minLevel))
}

/** A listener that throws, or returns a promise that rejects, must not end the process. */
function ignoreFailure(callback, record) {
  try {
    Promise.resolve(callback(record)).catch(() => {})
  } catch {
    // said in the docs: ignored
  }
}

module.exports = { generateMnemonic, deriveNodeId, setLogListener }
