'use strict'
// The warning for whoever forgot a node: the idle limit ended it, and this says where it was created.

const native = require('./native.js')
const { typed } = require('./errors.js')

/** Whether this environment listens already: once is enough for all of its nodes. */
let listens = false

/** Called by what makes a node run; at `require` and for minting it would be work for nothing. */
function warnOfIdle() {
  if (listens) return
  typed(() => native.setIdleListener(warn))
  listens = true
}

function warn({ createdAt, idleMs }) {
  const where = createdAt === undefined ? 'a place that is not known' : createdAt
  const message =
    `a node that was created at ${where} had no call for ${idleMs} ms and has stopped itself. ` +
    'Call destroy() when a handler is done with its node, or use `await using` or withNode(); ' +
    'the option maxIdleMs says how long a node may be idle (0: for ever).'
  try {
    process.emitWarning(message, { type: 'MayflyWarning', code: 'MAYFLY_IDLE' })
  } catch {
    // an emitWarning of somebody else's that throws must not end the process
  }
}

module.exports = { warnOfIdle }
