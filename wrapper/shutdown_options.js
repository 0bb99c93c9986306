'use strict'
// The options of shutdownWorker and installShutdownHooks: each is read once, and every wrong one is INVALID_ARGUMENT by its name,
// before anything is done.

const { constants } = require('node:os')
const { invalidArgument } = require('./errors.js')
const { NAME } = require('./signal.js')

/** A node's own part: some 20 ms with everything healthy, a commit and a release over a slow network else. */
const DESTROY_MS = 1_000
/** Longer than that, with time for what the host does at its exit. */
const KILL_MS = 3_000
/** Whoever writes more has mistaken the unit. */
const MAX_MS = 3_600_000
/** What a process can say when it ends. */
const MAX_EXIT_CODE = 255

/** Linux lets nobody hear the first two; after the others there is no way on. */
const UNHEARD = new Set(['SIGKILL', 'SIGSTOP', 'SIGSEGV', 'SIGBUS', 'SIGFPE', 'SIGILL'])

const LEAVING = ['exitCode', 'killAfterMs', 'destroyTimeoutMs']

/** → { exit, exitCode, killAfterMs, destroyTimeoutMs } */
function shutdownOptions(options) {
  const given = read(options, ['exit', ...LEAVING])
  return { exit: flag('exit', given.exit, true), ...leaving(given) }
}

/** → { signals, ipcDisconnect, leaving: { exitCode, killAfterMs, destroyTimeoutMs } } */
function hookOptions(options) {
  const given = read(options, ['signals', 'ipcDisconnect', ...LEAVING])
  return {
    signals: signals(given.signals === undefined ? ['SIGTERM', 'SIGINT'] : given.signals),
    ipcDisconnect: flag('ipcDisconnect', given.ipcDisconnect, true),
    leaving: leaving(given),
  }
}

function leaving(given) {
  const exitCode = integer('exitCode', given.exitCode, 0, MAX_EXIT_CODE, 0)
  const killAfterMs = integer('killAfterMs', given.killAfterMs, 1, MAX_MS, KILL_MS)
  // Whoever only shortens the whole wants its part shortened as well.
  const fitting = Math.min(DESTROY_MS, Math.floor(killAfterMs / 2))
  const destroyTimeoutMs = integer('destroyTimeoutMs', given.destroyTimeoutMs, 0, MAX_MS, fitting)
  if (destroyTimeoutMs >= killAfterMs) {
    throw invalidArgument('destroyTimeoutMs', `destroyTimeoutMs is ${destroyTimeoutMs}; it must be less than killAfterMs (${killAfterMs}), which ends the process while nodes still end`)
  }
  return { exitCode, killAfterMs, destroyTimeoutMs }
}

function read(options, known) {
  if (options === undefined) return {}
  let keys
  try {
    keys = typeof options === 'object' && options !== null && !Array.isArray(options) ? Object.keys(options) : undefined
  } catch {
    throw invalidArgument('options', "options can't be read: listing its keys throws")
  }
  if (keys === undefined) throw invalidArgument('options', 'options must be an object, and no array')
  const unknown = keys.find((key) => !known.includes(key))
  if (unknown !== undefined && !NAME.test(unknown)) {
    throw invalidArgument('options', `options has a key of ${unknown.length} characters (not shown), which is no option; known: ${known.join(', ')}`)
  }
  if (unknown !== undefined) throw invalidArgument(unknown, `there is no option ${JSON.stringify(unknown)} here; known: ${known.join(', ')}`)
  return Object.fromEntries(known.map((name) => [name, property(options, name)]))
}

function property(options, name) {
  try {
    return options[name]
  } catch {
    throw invalidArgument(name, `${name} can't be read: its getter throws`)
  }
}

function flag(name, value, otherwise) {
  if (value === undefined) return otherwise
  if (typeof value !== 'boolean') throw invalidArgument(name, `${name} must be a boolean, not ${kind(value)}`)
  return value
}

function integer(name, value, from, to, otherwise) {
  if (value === undefined) return otherwise
  if (typeof value !== 'number') throw invalidArgument(name, `${name} must be a number, not ${kind(value)}`)
  if (!Number.isSafeInteger(value) || value < from || value > to) {
    throw invalidArgument(name, `${name} is ${value}; it must be a whole number from ${from} to ${to}`)
  }
  return value
}

function signals(value) {
  let names
  try {
    names = Array.isArray(value) ? [...value] : undefined
  } catch {
    throw invalidArgument('signals', "signals can't be read: looking at it throws")
  }
  if (names === undefined) throw invalidArgument('signals', `signals must be an array of names such as 'SIGTERM', not ${kind(value)}`)
  const wrong = names.findIndex((name) => typeof name !== 'string' || !Object.hasOwn(constants.signals, name) || UNHEARD.has(name))
  if (wrong !== -1) {
    throw invalidArgument('signals', `signals[${wrong}] is no signal of this system that a process can hear and go on; name it as 'SIGTERM' or 'SIGINT'`)
  }
  return new Set(names)
}

function kind(value) {
  return value === null ? 'null' : typeof value
}

module.exports = { shutdownOptions, hookOptions }
