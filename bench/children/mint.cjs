'use strict'
// Minting in one process: the very first invoice, the first of further nodes, and those after it.

const { now, input, say } = require('./support.cjs')
const { MdkNode, generateMnemonic } = require('../../index.js')

async function timed(action) {
  const began = now()
  const value = await action()
  return { value, ms: now() - began }
}

const mint = (node) => node.getInvoice(21_000, 'One report', 900)

/** A node of a wallet that this process has never seen: its keys are derived now. */
async function first() {
  const options = { ...input.options, mnemonic: generateMnemonic() }
  let node
  const { ms } = await timed(() => mint((node = new MdkNode(options))))
  return { node, ms }
}

async function main() {
  const ofProcess = await first()
  const firsts = []
  for (let i = 0; i < input.nodes; i++) firsts.push((await first()).ms)
  const further = []
  for (let i = 0; i < input.invoices; i++) further.push((await timed(() => mint(ofProcess.node))).ms)
  say({ ofProcess: ofProcess.ms, firsts, further })
}

main()
