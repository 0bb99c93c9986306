'use strict'
// The webhook handler, as in the documentation, with the time and the node's counters at each step.

const { now, input, say } = require('./support.cjs')

const woke = now()
const { MdkNode } = require('../../index.js')

async function main() {
  const loaded = now()
  const watched = input.watchLoop ? require('./loop.cjs').watch() : undefined
  let toldAt
  let told
  const began = now()
  const node = new MdkNode(input.options)
  const constructed = now()
  let blocked
  try {
    const receiving = node.receivePayment(() => {
      toldAt ??= now()
      told ??= node.stats()
    })
    blocked = { constructor: constructed - began, receivePayment: now() - constructed }
    await receiving
  } finally {
    const delays = watched?.()
    const ended = node.stats()
    node.destroy()
    say({ woke, loaded, toldAt, told, ended, gone: now(), blocked, delays })
  }
}

main()
