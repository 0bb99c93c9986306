// The judge of the lab's blocks can say no: what Bitcoin Core's engine refuses fails, and nothing else does.

import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { kernelPython } from '../scripts/replay/kernel.mjs'
import { replay } from '../scripts/replay/replay.mjs'
import { startLab } from '../scripts/support/lab.mjs'
import { blocksOf, countOf, forged, recordOf } from './support/forged_block.mjs'

let folder
let exported
const { missing } = kernelPython()
const skip = missing && `no Bitcoin Core engine here: ${missing}`

/** A folder that holds one chain of these blocks. */
function chainOf(blocks) {
  const path = mkdtempSync(join(folder, 'chain-'))
  writeFileSync(join(path, 'one.blocks'), Buffer.concat(blocks.map(recordOf)))
  return path
}

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'mayfly-replay-test-'))
  exported = join(folder, 'exported')
  const lab = await startLab({ env: { MAYFLY_EXPORT_BLOCKS: exported } })
  await lab.post('/mine', { blocks: 3 })
  await lab.post('/reorg', { depth: 6, transactions: 'unconfirmed' })
  await lab.post('/reorg', { undo: true })
  await lab.post('/reorg', { depth: 2 })
  // As the tests kill them: what was mined is exported all the same.
  lab.child.kill('SIGKILL')
  await lab.exited
})
after(() => rmSync(folder, { recursive: true, force: true }))

const theChain = () => blocksOf(readFileSync(join(exported, readdirSync(exported)[0])))
/** Up to the first block that spends a coin. */
const upToASpend = () => {
  const blocks = theChain()
  return blocks.slice(0, blocks.findIndex((block) => countOf(block) === 2) + 1)
}

test('a killed lab has exported every block, stale branches too, and all of it passes', { skip }, () => {
  assert.equal(readdirSync(exported).length, 1)
  const { code, output } = replay(exported)
  assert.equal(code, 0, output)
  const [, count] = output.match(/replayed (\d+) blocks of 1 chains/)
  assert.equal(Number(count), theChain().length)
  assert.ok(Number(count) > 130)
})

test('one flipped byte of a signature, in a block that is right in all else, is refused by name', { skip }, () => {
  const blocks = upToASpend()
  assert.equal(replay(chainOf(blocks)).code, 0)
  const same = forged(blocks.at(-1), () => {})
  assert.equal(replay(chainOf([...blocks.slice(0, -1), same])).code, 0, 'made anew without a change it is still good')
  const bad = forged(blocks.at(-1), (signature) => (signature[20] ^= 1))
  const { code, output } = replay(chainOf([...blocks.slice(0, -1), bad]))
  assert.equal(code, 1)
  assert.match(output, /is refused: CONSENSUS/)
})

test('a block without its predecessor, bytes that are no block, and no chain at all are refused', { skip }, () => {
  const blocks = upToASpend()
  const gap = replay(chainOf([...blocks.slice(0, 5), ...blocks.slice(6)]))
  assert.equal(gap.code, 1, gap.output)
  assert.equal(replay(chainOf([blocks[0], Buffer.alloc(100, 7)])).code, 1)
  assert.equal(replay(mkdtempSync(join(folder, 'empty-'))).code, 1)
})

test('a record that a killed lab left torn is no error', { skip }, () => {
  const path = chainOf(upToASpend())
  const file = join(path, 'one.blocks')
  writeFileSync(file, Buffer.concat([readFileSync(file), Buffer.from([200, 0, 0, 0, 1, 2, 3])]))
  assert.equal(replay(path).code, 0)
})
