// Many processes want one wallet. Polite ones, which wait for each other: one has it at a time, and all get their turns. Hostile ones,
// which are frozen while they have it and lose it to the next: what the frozen ones still want to write is refused, the wallet's numbers
// have no gap, and it goes on. `npm run soak` has 64 of them.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { generateMnemonic } from '../index.mjs'
import { startLab } from '../scripts/support/lab.mjs'
import { Audit } from './support/pg/audit.mjs'
import { Contender } from './support/pg/crowd.mjs'
import { newDatabase } from './support/pg/server.mjs'
import { Random } from './support/random.mjs'

const SEED = Number(process.env.CONTENTION_SEED ?? Math.floor(Math.random() * 2 ** 32))
const PROCESSES = Number(process.env.CONTENDERS ?? 12)
/** Of all of them together. */
const TURNS = Number(process.env.CONTENTION_TURNS ?? 36)
/** Of the hostile ones, one turn in so many is frozen for longer than its lease. */
const FROZEN = 10

/** Only a release makes room: a crowd on two processors may keep a holder from renewing for longer than a short lease. */
const POLITE = { ttlMs: 600_000, takeOver: 'expired', attempts: 100, baseDelayMs: 20, maxWaitMs: 5_000 }
const HOSTILE = { ttlMs: 2_000, takeOver: 'expired', attempts: 100, baseDelayMs: 20, maxWaitMs: 5_000 }

let lab, database, audit
before(async () => {
  ;[lab, database] = await Promise.all([startLab(), newDatabase()])
  audit = await Audit.of(database, lab)
})
after(() => lab?.stop())

/** They are loaded, and nobody has done anything. */
async function crowd(t, lease) {
  const options = lab.options({ mnemonic: generateMnemonic(), store: database.url(), lease, destroyTimeoutMs: 5_000 })
  const contenders = Array.from({ length: PROCESSES }, () => new Contender(t, options))
  for (const contender of contenders) assert.equal((await contender.says()).type, 'ready')
  return contenders
}

/** Each has its share of the turns, and tries until it has had it. `onTurn(contender)` while it has the wallet. */
async function contend(contenders, onTurn) {
  const had = []
  const refused = []
  let most = 0
  await Promise.all(contenders.map(async (contender, i) => {
    const share = Math.floor(TURNS / PROCESSES) + (i < TURNS % PROCESSES ? 1 : 0)
    for (let turns = 0, tries = 1; turns < share; tries++) {
      contender.tell('turn')
      let said = await contender.says()
      if (said.type === 'has') {
        const epoch = said.epoch
        await onTurn(contender, said)
        contender.tell('go')
        said = { ...(await contender.says()), epoch }
      }
      if (said.type === 'refused') {
        refused.push(said)
        continue
      }
      had.push({ ...said, pid: contender.pid })
      most = Math.max(most, tries)
      turns += 1
      tries = 0
    }
    await contender.ends()
  }))
  return { had, refused, most }
}

test(`${PROCESSES} polite processes have one wallet one after the other, ${TURNS} times, and each gets its turns`, async (t) => {
  const since = await audit.now()
  const { had, refused, most } = await contend(await crowd(t, POLITE), () => {})
  assert.deepEqual([...new Set(refused.map(({ code }) => code))].filter((code) => code !== 'WALLET_LOCKED'), [])
  // By their own clocks.
  const byTime = had.toSorted((a, b) => a.fromMs - b.fromMs)
  for (const [i, { pid, fromMs }] of byTime.entries()) if (i > 0) assert.ok(byTime[i - 1].toMs < fromMs, `${byTime[i - 1].pid} and ${pid} had it at once`)
  // And by the database's log.
  await audit.assertOneWriter()
  const claims = await audit.claims({ since })
  assert.deepEqual(claims.map(({ old }) => old.holder), claims.map(() => null), 'each was free when it was claimed')
  assert.deepEqual(claims.map(({ epoch }) => epoch), byTime.map(({ epoch }) => epoch))
  t.diagnostic(`${refused.length} refusals; at most ${most} calls until a turn`)
})

test(`${PROCESSES} hostile processes, frozen while they have it, lose it, write nothing more, and leave the wallet whole`, async (t) => {
  const rerun = `CONTENTION_SEED=${SEED} CONTENDERS=${PROCESSES} CONTENTION_TURNS=${TURNS} node --test __test__/pg_contention.test.mjs`
  t.diagnostic(`seed ${SEED}; again: ${rerun}`)
  const random = new Random(SEED)
  const since = await audit.now()
  const zombies = []
  const { had, refused } = await contend(await crowd(t, HOSTILE), async (contender, { epoch }) => {
    if (random.below(FROZEN) > 0) return
    process.kill(contender.pid, 'SIGSTOP')
    const claim = (await audit.claims({ since })).find((claim) => claim.epoch === epoch)
    await audit.isOver(claim, { since })
    zombies.push({ pid: contender.pid, epoch, turn: await audit.now() })
    process.kill(contender.pid, 'SIGCONT')
  })
  await audit.assertOneWriter()
  const leases = await audit.leases({ since })
  for (const { epoch, pid } of zombies) {
    const over = leases.find((lease) => lease.old?.epoch === epoch && lease.epoch === epoch + 1).turn
    assert.deepEqual(leases.filter((lease) => lease.turn > over && lease.epoch === epoch), [], `${pid} wrote under the epoch ${epoch}, which was over`)
  }
  const codes = refused.map(({ code }) => code)
  assert.deepEqual([...new Set(codes)].filter((code) => !['WALLET_LOCKED', 'FENCED'].includes(code)), [], rerun)
  assert.ok(codes.filter((code) => code === 'FENCED').length >= zombies.length, 'each of the frozen was told')
  assert.ok(zombies.length > 0, rerun)
  assert.equal(had.length, TURNS)
  t.diagnostic(`${zombies.length} frozen; ${codes.filter((code) => code === 'FENCED').length} told FENCED; ${codes.length} refusals`)
})
