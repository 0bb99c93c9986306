'use strict'
// One boot in a process of its own. With `phases`, the node's own log says when it got where: that costs time itself, so
// such runs are not those whose total counts.

const { now, input, say } = require('./support.cjs')
const { MdkNode, setLogListener } = require('../../index.js')

/** The records of the boot that end a phase. */
const MARKS = ['claimed', 'loaded']

async function main() {
  const marks = {}
  if (input.phases) {
    const mark = ({ target, message }) => {
      if (target.endsWith('::boot') && MARKS.includes(message)) marks[message] ??= now()
    }
    setLogListener(mark, 'debug')
  }
  const began = now()
  const node = new MdkNode(input.options)
  try {
    await node[input.method]()
    const ready = now()
    await node.stop()
    say({ began, ...marks, ready, stopped: now(), stats: node.stats() })
  } finally {
    node.destroy()
    setLogListener(null)
  }
}

main()
