// Minting: what a handler that sells something pays for an invoice (P1).

import { runChild } from './support/children.mjs'
import { samples } from './support/samples.mjs'

export const title = 'Mint (new MdkNode + getInvoice, JIT route known)'

export async function run(context) {
  const input = {
    options: context.offlineOptions(),
    nodes: context.count({ quick: 10, full: 50 }),
    invoices: context.count({ quick: 200, full: 2_000 }),
  }
  const { said } = await runChild('mint.cjs', input)
  const processes = [said.ofProcess]
  const runs = context.count({ quick: 5, full: 20, slow: true })
  while (processes.length < runs) {
    const again = await runChild('mint.cjs', { ...input, nodes: 0, invoices: 0 })
    processes.push(again.said.ofProcess)
  }
  return [
    samples('first invoice of a fresh process', 'ms', processes, { target: 5 }),
    samples('first invoice of a new node in a warm process', 'ms', said.firsts, { target: 5 }),
    samples('each further invoice', 'ms', said.further, { target: 0.3 }),
  ]
}
