'use strict'
// The webhook handler, as in the documentation, with the time at each step.

const { now, input, say } = require('./support.cjs')

const woke = now()
const { MdkNode } = require('../../index.js')

async function main() {
  const loaded = now()
  let told
  const node = new MdkNode(input.options)
  try {
    await node.receivePayment(() => (told ??= now()))
  } finally {
    node.destroy()
  }
  say({ woke, loaded, told, gone: now() })
}

main()
