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
  const boot = (wallet, more) => repeat(runs, { options: wallet.options, method: 'start', phases: false, ...more })
  const total = ({ began, ready }) => ready - began
  return [
    samples('start(), no channel', 'ms', (await boot(empty)).map(total)),
    ...phases('no channel', await boot(empty, { phases: true })),
    samples('start(), one channel', 'ms', (await boot(open)).map(total)),
    ...phases('one channel', await boot(open, { phases: true })),
    ...ready(await boot(open, { method: 'startReceiving' })),
  ]
}

function ready(boots) {
  return [
    samples('startReceiving(), one channel (reestablished)', 'ms', boots.map(({ began, ready }) => ready - began)),
    samples('stop() after it', 'ms', boots.map(({ ready, stopped }) => stopped - ready)),
  ]
}

/** The node tells its phases only in its log, which is not API: where it is silent, there are no such rows. */
function phases(what, boots) {
  if (!boots.every(({ claimed, loaded }) => claimed !== undefined && loaded !== undefined)) return []
  return [
    samples(`- ${what}: lease ‖ chain tip ‖ dial`, 'ms', boots.map(({ began, claimed }) => claimed - began)),
    samples(`- ${what}: load the state`, 'ms', boots.map(({ claimed, loaded }) => loaded - claimed)),
    samples(`- ${what}: follow the chain, connect`, 'ms', boots.map(({ loaded, ready }) => ready - loaded)),
  ]
}

async function repeat(times, input) {
  const said = []
  while (said.length < times) said.push((await runChild('boot.cjs', input)).said)
  return said
}
