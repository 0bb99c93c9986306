// A process whose memory is watched while its node starts at a server that wants to fill it. On `go`: starts that fail; on the
// next `go`: one that does not.

import { readFileSync } from 'node:fs'
import { MdkNode } from '../../index.mjs'

/** More than one: what is kept of each would add up. */
const STARTS = 5

const options = JSON.parse(process.argv[2])
const say = (message) => process.send(message)
const go = () => new Promise((resolve) => process.once('message', resolve))

/** The most that this process ever had in memory, in MB (Linux). */
const peakMb = () => Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 1024

const node = new MdkNode(options)
// All that a good start loads is in memory before anything is measured.
await node.start()
await node.stop()
const before = peakMb()
const told = go()
say({ type: 'fed' })
await told
const codes = []
for (let i = 0; i < STARTS; i++) codes.push(await node.start().then(() => 'none', (error) => error.code))
const again = go()
say({ type: 'refused', codes, grownMb: peakMb() - before })
await again
await node.start()
node.destroy()
say({ type: 'well' })
process.disconnect()
