'use strict'
// How a worker ends: the kill timer first, then the nodes, the last words, the IPC channel, and the exit.
//
// What must hold: whatever hangs from the call on, the process is gone after `killAfterMs`; a second call neither prolongs nor
// disarms what the first began; with `exit: false` all is as before, but that the nodes of then are destroyed and the IPC channel
// is closed.

const cluster = require('node:cluster')
const { setImmediate } = require('node:timers')
const { isMainThread } = require('node:worker_threads')
const native = require('./native.js')
const { fromNative, typed } = require('./errors.js')
const { hookOptions, shutdownOptions } = require('./shutdown_options.js')

/** The shutdown under way, which all callers share. */
let underWay
/** The code to exit with, once a caller wants an exit. */
let exitWith
/** The IPC channel was closed from here: that is no reason to shut down. */
let disconnectedHere = false

async function shutdownWorker(options) {
  const { exit, exitCode, killAfterMs, destroyTimeoutMs } = shutdownOptions(options)
  // A thread's `process.exit` ends that thread; the process belongs to the main thread.
  if (isMainThread) typed(() => native.shutdownArm(killAfterMs))
  if (exit) exitWith ??= exitCode
  underWay ??= shutDown(destroyTimeoutMs)
  return underWay
}

async function shutDown(destroyTimeoutMs) {
  let failure
  try {
    await native.shutdownNodes(isMainThread, destroyTimeoutMs)
  } catch (error) {
    // A bug of ours is no reason to stay.
    failure = fromNative(error)
  }
  // The last records of the log and the rejections of those who waited are on their way: a turn hands over a thousand records, and
  // a little more than that may be queued.
  await turn()
  await turn()
  if (isMainThread && process.connected) await disconnect()
  const code = exitWith
  exitWith = undefined
  // From here to the end in one turn: a caller that comes later begins anew.
  underWay = undefined
  if (code !== undefined) return process.exit(code)
  typed(() => native.shutdownEnd(isMainThread))
  if (failure !== undefined) throw failure
}

/** Closes the channel to the parent, which may wait for that; a hanging exit would not close it. */
async function disconnect() {
  disconnectedHere = true
  // A cluster's worker that loses its channel exits at once, and with 0, but after this word.
  if (cluster.worker) cluster.worker.exitedAfterDisconnect = true
  process.disconnect()
  // It is closed in the next tick.
  await turn()
}

function turn() {
  return new Promise((resolve) => setImmediate(resolve))
}

function installShutdownHooks(options) {
  const { signals, ipcDisconnect, leaving } = hookOptions(options)
  // Neither signals nor the parent's channel come to a worker_thread.
  if (!isMainThread) return () => {}
  const onSignal = () => shutdownWorker(leaving)
  for (const signal of signals) process.on(signal, onSignal)
  const ignoreDisconnect = ipcDisconnect && process.connected ? onDisconnect(leaving) : () => {}
  let installed = true
  return () => {
    if (!installed) return
    installed = false
    for (const signal of signals) process.removeListener(signal, onSignal)
    ignoreDisconnect()
  }
}

/** Returns what takes the listener away. */
function onDisconnect(leaving) {
  const listener = () => {
    if (!disconnectedHere) shutdownWorker(leaving)
  }
  process.on('disconnect', listener)
  // Node counts such listeners, and keeps the process as long as there is one. This one must not count; those of the user, which
  // may come and go, must. So it is taken out of the count, and put back in before Node takes it out.
  const channel = process.channel
  const counts = typeof channel.unrefCounted === 'function' && typeof channel.refCounted === 'function'
  if (counts) channel.unrefCounted()
  // Without the count this is all or nothing, and a user who listens already has the say.
  else if (process.listenerCount('message') === 0 && process.listenerCount('disconnect') === 1) channel.unref()
  return () => {
    if (counts && process.connected) channel.refCounted()
    process.removeListener('disconnect', listener)
  }
}

module.exports = { shutdownWorker, installShutdownHooks }
