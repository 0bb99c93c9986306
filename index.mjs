// The same for `import { … } from 'mayfly'`: a static list, which every bundler understands.

import mayfly from './index.js'

export const {
  MdkNode,
  MdkError,
  isMdkError,
  withNode,
  generateMnemonic,
  deriveNodeId,
  setLogListener,
  shutdownWorker,
  installShutdownHooks,
} = mayfly
