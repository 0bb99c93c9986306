// A process that brings a node to some state and then ends without destroying it, in the way that EXIT_HOW names. It talks over
// its descriptor 3, in both directions, because stdin is a REPL's and stderr is what is looked at. It is run, or imported by a
// REPL. The state 'nothing' loads no mayfly: what Node itself makes of that end.

import { Socket } from 'node:net'
import { createInterface } from 'node:readline'

const how = process.env.EXIT_HOW
const parent = new Socket({ fd: 3 })
const say = (line) => parent.write(`${JSON.stringify(line)}\n`)
const words = createInterface({ input: parent })[Symbol.asyncIterator]()
/** Resolves with the parent's next word. */
const told = async () => (await words.next()).value

/** The code is not 0, which a process that gave up waiting would end with, too. */
const EXITS = {
  exit: () => process.exit(7),
  exception: () => {
    throw new Error('mine')
  },
  rejection: () => {
    Promise.reject(new Error('mine'))
  },
  SIGINT: () => process.kill(process.pid, 'SIGINT'),
  SIGTERM: () => process.kill(process.pid, 'SIGTERM'),
  // The parent closes stdin.
  repl: () => {},
}

/** From a turn of its own, so that a stack shows the same frames whatever state led here. */
const end = () => setImmediate(EXITS[how])

async function starts({ node }) {
  node.start()
  while (node.state === 'idle') await new Promise(setImmediate)
}

const STATES = {
  nothing() {},
  idle() {},
  async minted({ node }) {
    await node.getInvoiceWithScid('100x1x0', 1_000, 'One report', 900)
  },
  locked: starts,
  'silent Esplora': starts,
  'silent LSP': starts,
  async running({ node }) {
    await node.startReceiving()
  },
  async looping({ node }) {
    await node.startReceiving()
    const loop = async () => {
      for await (const event of node.events()) throw new Error(`nobody paid, but there is ${event.id}`)
    }
    loop()
    // Commands are served in order: the loop waits when this one is answered.
    await node.getBalance()
  },
  async paid({ node, setLogListener }) {
    await node.startReceiving()
    const { bolt11 } = await node.getInvoice(21_000, 'One report', 900)
    // Never acked: whoever comes next is told of it again.
    node.receivePayment(() => new Promise(() => {}), { minMs: 30_000 })
    setLogListener((record) => {
      if (!record.message.includes(process.env.EXIT_AT)) return
      setLogListener(null)
      say({ there: node.state })
      end()
    }, 'trace')
    say({ bolt11 })
    return new Promise(() => {})
  },
  async stopping({ node }) {
    await node.startReceiving()
    say({ running: true })
    await told()
    node.stop()
    while (node.state === 'running') await new Promise(setImmediate)
  },
}

const state = process.env.EXIT_STATE
const given = state === 'nothing' ? undefined : await mayfly()
await STATES[state](given)
say({ there: given?.node.state ?? null })
await told()
end()

async function mayfly() {
  const { MdkNode, setLogListener } = await import('../../index.mjs')
  return { setLogListener, node: new MdkNode(JSON.parse(process.env.EXIT_OPTIONS)) }
}
