'use strict'
// mayfly: what `require('mayfly')` gives. The native half is in src/, what napi can't bind in wrapper/.

const { MdkError, isMdkError } = require('./wrapper/errors.js')
const { MdkNode, withNode } = require('./wrapper/node.js')
const { generateMnemonic, deriveNodeId, setLogListener } = require('./wrapper/functions.js')
const { shutdownWorker, installShutdownHooks } = require('./wrapper/shutdown.js')

module.exports = {
  MdkNode,
  MdkError,
  isMdkError,
  withNode,
  generateMnemonic,
  deriveNodeId,
  setLogListener,
  shutdownWorker,
  installShutdownHooks,
}
