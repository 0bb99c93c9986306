'use strict'
// destroy() again and again in one process: from idle, or from a node that runs.

const { now, input, say } = require('./support.cjs')
const { MdkNode } = require('../../index.js')

async function main() {
  const took = []
  for (let i = 0; i < input.times; i++) {
    const node = new MdkNode(input.options)
    if (input.method) await node[input.method]()
    const began = now()
    node.destroy()
    took.push(now() - began)
    const { unfinished } = node.lastDestroy
    if (unfinished.length > 0) throw new Error(`destroy() left undone: ${unfinished.join('; ')}`)
  }
  say({ took })
}

main()
