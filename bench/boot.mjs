// From new MdkNode() to a running node over an existing store, each in a fresh process.

import { runChild } from './support/children.mjs'
import { receiveOnce } from './support/receive.mjs'
import { samples } from './support/samples.mjs'

export const title = 'Boot (existing store)'

export async function run(context) {
  const empty = await context.newWallet()
  const open = await context.newWallet()
  await receiveOnce(context, open)
  const runs = context.count({ quick: 5, full: 21, slow: true })
  const boot = (wallet, method) => repeat(runs, { options: wallet.options, method })
  return [
    ...started('no channel', await boot(empty, 'start')),
    ...started('one channel', await boot(open, 'start')),
    ...reestablished(await boot(open, 'startReceiving')),
  ]
}

function started(what, boots) {
  const of = (name, pick) => samples(name, 'ms', boots.map(pick))
  return [
    of(`start(), ${what}`, ({ began, ready }) => ready - began),
    of(`- ${what}: lease ‖ chain tip ‖ dial`, ({ phases }) => phases.claimedMs),
    of(`- ${what}: load, follow the chain`, ({ phases }) => phases.syncedMs - phases.claimedMs),
    of(`- ${what}: third act, init`, ({ phases }) => phases.connectedMs - phases.syncedMs),
  ]
}

function reestablished(boots) {
  const of = (name, pick) => samples(name, 'ms', boots.map(pick))
  return [
    of('startReceiving(), one channel (reestablished)', ({ began, ready }) => ready - began),
    of('stop() after it', ({ ready, stopped }) => stopped - ready),
  ]
}

async function repeat(times, input) {
  const said = []
  while (said.length < times) {
    const boot = (await runChild('boot.cjs', input)).said
    said.push({ ...boot, phases: boot.stats.phases })
  }
  return said
}
