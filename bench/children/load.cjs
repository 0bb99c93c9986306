'use strict'
// What loading the addon and minting one invoice cost a process: time, memory, threads.

const { now, input, say } = require('./support.cjs')
const { readdirSync } = require('node:fs')

const threads = () => {
  try {
    return readdirSync('/proc/self/task').length
  } catch {
    return null // no /proc here: not counted
  }
}
const state = () => ({ at: now(), rss: process.memoryUsage.rss(), threads: threads() })

async function main() {
  state() // the functions themselves are loaded before anything counts
  const before = state()
  const { MdkNode } = input.esm ? await import('../../index.mjs') : require('../../index.js')
  const loaded = state()
  await new MdkNode(input.options).getInvoice(21_000, 'One report', 900)
  say({ before, loaded, minted: state() })
}

main()
