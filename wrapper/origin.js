'use strict'
// Where a node was created: for the warning that one which nobody destroyed has ended itself. Taken at every `new MdkNode()`, so
// it must cost next to nothing: two frames, of which only the numbers are read, and no stack is formatted.

/** The frame of `withNode`, and its caller's. */
const FRAMES = 2

/** `file:line:column` of the first frame outside `ours` (a file) that called `callee`; undefined where there is none. */
function origin(callee, ours) {
  const { stackTraceLimit, prepareStackTrace } = Error
  const trace = {}
  try {
    Error.stackTraceLimit = FRAMES
    Error.prepareStackTrace = (_, frames) => frames
    Error.captureStackTrace(trace, callee)
    const frame = trace.stack.find((candidate) => candidate.getFileName() !== ours)
    return frame && `${frame.getFileName()}:${frame.getLineNumber()}:${frame.getColumnNumber()}`
  } catch {
    return undefined // an engine without it, or a frozen Error: the warning goes without
  } finally {
    restore('stackTraceLimit', stackTraceLimit)
    restore('prepareStackTrace', prepareStackTrace)
  }
}

function restore(name, value) {
  try {
    Error[name] = value
  } catch {
    // frozen: it was not changed either
  }
}

module.exports = { origin }
