// What `npm test` has the simulator show: that it sees what is broken, that a seed is a run, and then that nothing is lost.

import test from 'node:test'
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { ensureSim } from '../../scripts/setup.mjs'

/** Seeds of every `npm test`; each mutation must be noticed within them. */
const SEEDS = ['--seeds', '64', '--from', '1']
/** Crash points that these must at least bring: states that differ. */
const POINTS = 5_000

/** What is switched off, and the promises of which one is found broken. */
const MUTATIONS = {
  'ungated-messages': ['MessagesAfterCommit'],
  'unchecked-messages': ['FencedIsSilent'],
  'ungated-broadcasts': ['BroadcastsAfterCommit'],
  'early-events': ['ReceivedIsInLedger'],
  'early-promises': ['PromisesAfterCommit'],
  'manager-apart': ['Loads', 'NoForceClose'],
  'early-acknowledgement': ['MessagesAfterCommit'],
}

const binary = ensureSim()

for (const [mutation, promises] of Object.entries(MUTATIONS)) {
  test(`a core with ${mutation} is found out, and the failure can be run again`, () => {
    const found = sim(...SEEDS, '--no-minimise', '--mutate', mutation)
    assert.equal(found.status, 1, found.output)
    assert.match(found.output, new RegExp(`^  (${promises.join('|')}): `, 'm'))
    const again = /^again: npm run sim -- (.*)$/m.exec(found.output)
    const rerun = sim(...again[1].split(' '), '--no-minimise', '--mutate', mutation)
    assert.equal(rerun.status, 1, rerun.output)
    assert.deepEqual(wrongs(rerun.output), wrongs(found.output))
  })
}

test('a failure is minimised to a schedule that is shorter and breaks the same promise', () => {
  const { status, output } = sim(...SEEDS, '--mutate', 'ungated-messages')
  assert.equal(status, 1, output)
  const [, steps] = /minimised to (\d+) steps/.exec(output)
  assert.ok(Number(steps) < 20, output)
  assert.equal(wrongs(output).filter((line) => line.startsWith('  MessagesAfterCommit')).length, 2)
})

test('a seed is one run, to the byte, whatever runs beside it', () => {
  const alone = sim('--seeds', '4', '--from', '1', '--jobs', '1')
  const crowded = sim('--seeds', '4', '--from', '1', '--jobs', '4')
  assert.match(alone.output, /digest [0-9a-f]{16}/)
  assert.equal(summary(crowded.output), summary(alone.output))
})

test(`a wallet that is killed at ${POINTS} instants that differ loses nothing`, () => {
  const { status, output } = sim(...SEEDS)
  console.log(output)
  assert.equal(status, 0)
  const [, points, pending] = /(\d+) crash points that differ, (\d+) of them/.exec(summary(output)).map(Number)
  assert.ok(points >= POINTS, `${points} crash points`)
  assert.ok(pending >= points / 2, `${pending} of ${points} with an HTLC in flight`)
})

function sim(...args) {
  const { status, stdout, stderr } = spawnSync(binary, args, { encoding: 'utf8' })
  return { status, output: stdout + stderr }
}

function summary(output) {
  return output.split('\n').find((line) => line.includes('crash points that differ'))
}

/** The lines that say what is broken. */
function wrongs(output) {
  return output.split('\n').filter((line) => /^  [A-Z][A-Za-z]+: /.test(line))
}
