'use strict'
// One boot in a process of its own, by `input.method`.

const { now, input, say } = require('./support.cjs')
const { MdkNode } = require('../../index.js')

async function main() {
  const began = now()
  const node = new MdkNode(input.options)
  try {
    await node[input.method]()
    const ready = now()
    await node.stop()
    say({ began, ready, stopped: now(), stats: node.stats() })
  } finally {
    node.destroy()
  }
}

main()
