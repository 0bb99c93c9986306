// The main job, told as a timeline: an agent buys a report from a shop whose every handler is a process of its own.
// `npm run demo`; `-- --keep` leaves the lab running and says how to play with it.

import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createGateway } from './demo/gateway.mjs'
import { readChallenge } from './demo/l402.mjs'
import { ensureAddon, ensureLab } from './setup.mjs'
import { startLab } from './support/lab.mjs'

const keep = process.argv.includes('--keep')
const problems = []
const check = (holds, what) => void (holds || problems.push(what))

ensureAddon()
ensureLab()
const { generateMnemonic } = await import('../index.mjs')

const lab = await startLab()
const folder = mkdtempSync(join(tmpdir(), 'mayfly-demo-'))
const wallet = lab.options({ mnemonic: generateMnemonic(), store: `file:${folder}` })
let route
let began = 0
const marks = []
const mark = (name, pid, text, at = performance.timeOrigin + performance.now()) => marks.push({ at, pid, name, text })

const gateway = createGateway({
  env: () => ({ MAYFLY_OPTIONS: JSON.stringify({ ...wallet, ...(route && { jitRoute: route }) }), SHOP_SECRET: shopSecret }),
  onMark: ({ name, pid, text, at }) => mark(name, pid, text, at),
})
const shopSecret = randomBytes(32).toString('hex')

try {
  const url = await gateway.listen()
  console.log(`\nThe lab: a regtest chain, an LSP and a payer (pid ${lab.pid}); the shop: ${url}, one process per request.`)
  const setUp = await gateway.invoke({ handler: 'route' })
  const { nodeId, route: learnt } = JSON.parse(setUp.response.body)
  route = learnt
  console.log(`The wallet: node ${nodeId.slice(0, 16)}…, JIT route ${route.scid} (learnt once, kept in the environment).`)
  await lab.post('/webhooks', { nodeId, url: `${url}/webhook` })

  await buy(url, 'First payment: a channel opens just in time')
  await buy(url, 'Second payment: the channel is there')

  const open = (await lab.get('/lsp/channels')).filter((channel) => channel.peer === nodeId)
  check(open.length === 1, `one channel expected between LSP and wallet, ${open.length} found`)
} catch (error) {
  problems.push(error.stack ?? String(error))
}

if (keep && problems.length === 0) {
  console.log('\nThe lab stays. Play with it (Ctrl-C ends it):')
  console.log(`  curl ${lab.info.controlUrl}/                         # what it can do`)
  console.log(`  curl ${lab.info.controlUrl}/lsp/channels`)
  console.log(`  curl -X POST ${lab.info.controlUrl}/mine -H 'content-type: application/json' -d '{"blocks":1}'`)
  console.log(`  the wallet's options: ${JSON.stringify({ ...wallet, jitRoute: route, mnemonic: '(made for this run)' })}`)
  await new Promise((resolve) => process.once('SIGINT', resolve))
}
await gateway.close()
await lab.stop()
rmSync(folder, { recursive: true, force: true })
if (problems.length > 0) {
  console.error(`\nThe demo failed:\n${problems.map((problem) => `- ${problem}`).join('\n')}`)
  process.exit(1)
}
console.log('\nPaid twice, delivered twice, nothing left behind.')

/** One sale, from the agent's side. */
async function buy(url, title) {
  marks.length = 0
  gateway.instances.length = 0
  began = performance.timeOrigin + performance.now()
  mark('agent', process.pid, 'GET /report')
  const first = await fetch(`${url}/report`)
  const { token, invoice } = readChallenge(first.headers.get('www-authenticate') ?? '')
  check(first.status === 402 && invoice, `402 with an invoice expected, got ${first.status}`)
  mark('agent', process.pid, 'got 402 Payment Required with an invoice; pays at once')
  const paid = await lab.pay(invoice)
  check(paid.preimage, `the payment failed: ${paid.error}`)
  mark('agent', process.pid, `has the preimage, ${paid.ms === undefined ? '?' : Math.round(paid.ms)} ms after paying`)
  const second = await fetch(`${url}/report`, { headers: { authorization: `L402 ${token}:${paid.preimage}` } })
  const goods = await second.text()
  check(second.status === 200 && goods.startsWith('The report'), `200 and the goods expected, got ${second.status}: ${goods}`)
  mark('agent', process.pid, `got 200 and the goods: “${goods}”`)
  await gateway.idle()
  report(title)
}

function report(title) {
  console.log(`\n${title}`)
  marks.sort((a, b) => a.at - b.at)
  for (const { at, name, pid, text } of marks) {
    console.log(`${(at - began).toFixed(0).padStart(6)} ms  ${name.padEnd(10)} ${`(pid ${pid})`.padEnd(14)} ${text}`)
  }
  const received = marks.some(({ name, text }) => name === 'handler B' && text.startsWith('received'))
  check(received, 'the webhook handler did not report the payment')
  check(gateway.instances.length === 3, `three instances expected, ${gateway.instances.length} ran`)
  for (const { name, pid, exitCode, left } of gateway.instances) {
    check(exitCode === 0, `${name} (pid ${pid}) ended with ${exitCode}`)
    if (left === null) continue // no /proc here: nothing was counted
    check(left && left.threads === 0 && left.sockets === 0 && left.locks === 0, `${name} left ${JSON.stringify(left)} behind`)
  }
  const counted = gateway.instances.some(({ left }) => left !== null)
  console.log(`          left behind: ${counted ? 'threads 0, sockets 0, locks 0' : 'not counted on this system'}`)
}
