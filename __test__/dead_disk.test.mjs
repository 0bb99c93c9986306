// destroy() on a disk that does not answer. A thread in such a system call can't be ended by anyone: destroy() names it and
// returns, the promises are rejected, and its lock stays, because its write may still happen. When the call returns, all is
// as after any other destroy.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { startLab } from '../scripts/support/lab.mjs'
import { MdkNode, generateMnemonic } from '../index.mjs'
import { Disk, noHangs } from './support/hang.mjs'
import { folder, receiveOne, rejection, within } from './support/life.mjs'
import { Child, all, beat, receivedLater } from './support/life-process.mjs'
import { Pulse } from './support/pulse.mjs'

const NOTHING = { threads: 0, fds: 0, locks: 0 }

let lab
let pulse
before(async () => ([lab, pulse] = await Promise.all([startLab(), Pulse.start()])))
after(() => Promise.all([lab.stop(), pulse.stop()]))

/** A wallet, and the disk under its store. */
function walletOn(t) {
  const store = folder(t)
  return { disk: new Disk(t, store), options: lab.options({ mnemonic: generateMnemonic(), store: `file:${store}` }) }
}

const child = (t, scenario, { options, disk }, ...args) => new Child(t, scenario, { options, args, env: disk.env, script: 'dead-disk-child.mjs' })

/** destroy() has given up on the thread, and on nothing else. */
async function gaveUpOnTheThread(child, { pending }) {
  const { report, state } = await child.said('destroyed')
  assert.equal(report.unfinished.length, 1, report.unfinished.join())
  assert.match(report.unfinished[0], /^the node's thread .*is stuck/)
  assert.ok(report.durationMs >= 250, 'it waited for as long as it may')
  assert.equal(state, 'destroyed')
  assert.deepEqual(await child.said('pending'), pending)
}

/** It ends by itself, and its event loop did not stall, whatever its disk did. */
async function endsWell(child) {
  await child.endsWell()
  await beat(child, pulse)
}

/** Another process's only attempt at the wallet. */
async function refusal(options) {
  const other = new MdkNode({ ...options, lease: { attempts: 1 } })
  try {
    return await rejection(other.start(), 'the start of a second holder')
  } finally {
    other.destroy()
  }
}

async function isFree(options) {
  const next = new MdkNode({ ...options, lease: { attempts: 1 } })
  try {
    await next.start()
  } finally {
    next.destroy()
  }
}

describe('destroy() while the disk does not answer', { skip: noHangs }, () => {
  for (const call of ['open', 'flock', 'fdatasync', 'pwrite']) {
    test(`the claim's ${call}: promises are rejected, and all is at baseline when the disk is back`, async (t) => {
      const wallet = walletOn(t)
      wallet.disk.die(call)
      const node = child(t, 'claiming', wallet)
      assert.equal(await wallet.disk.hangs(), call)
      node.release()
      await gaveUpOnTheThread(node, { pending: all(4) })
      wallet.disk.revive()
      assert.deepEqual(await node.said('baseline'), NOTHING)
      await endsWell(node)
      await isFree(wallet.options)
    })
  }

  test('a receivePayment that joined one whose claim hangs is rejected by the destroy() of its own node', async (t) => {
    const wallet = walletOn(t)
    wallet.disk.die('flock')
    const node = child(t, 'joined', wallet)
    await wallet.disk.hangs()
    node.release()
    assert.deepEqual([await node.said('joined')], all(1))
    await gaveUpOnTheThread(node, { pending: all(1) })
    wallet.disk.revive()
    assert.deepEqual(await node.said('baseline'), NOTHING)
    await endsWell(node)
  })

  test('a read, with calls waiting behind it', async (t) => {
    const wallet = walletOn(t)
    await isFree(wallet.options) // makes the database
    wallet.disk.die('open')
    const node = child(t, 'reading', wallet)
    await wallet.disk.hangs()
    node.release()
    await gaveUpOnTheThread(node, { pending: all(3) })
    wallet.disk.revive()
    assert.deepEqual(await node.said('baseline'), NOTHING)
    await endsWell(node)
  })

  for (const [channel, first] of [['the channel opens', async () => {}], ['it comes through an open channel', receiveFirst]]) {
    test(`the commit of a payment for which ${channel}: the lock stays until the disk is back, and the payment is not lost`, async (t) => {
      const wallet = walletOn(t)
      await first(wallet.options)
      const invoice = await mint(wallet.options)
      const node = child(t, 'receiving', wallet)
      await node.said('running')
      wallet.disk.die('fdatasync')
      const paying = lab.pay(invoice)
      paying.catch(() => {}) // looked at below
      await wallet.disk.hangs()
      node.release()
      await gaveUpOnTheThread(node, { pending: all(2) })

      const locked = await refusal(wallet.options)
      assert.equal(locked.code, 'WALLET_LOCKED')
      assert.equal(locked.holder.pid, node.pid)
      wallet.disk.revive()
      assert.deepEqual(await node.said('baseline'), NOTHING)
      await endsWell(node)
      await receivedLater(t, wallet.options, paying)
    })
  }

  test('the process ends by itself before the disk is back, its lock goes with it, and the payment is not lost', async (t) => {
    const wallet = walletOn(t)
    const invoice = await mint(wallet.options)
    const node = child(t, 'receiving', wallet, 'ends')
    await node.said('running')
    wallet.disk.die('fdatasync')
    const paying = lab.pay(invoice)
    paying.catch(() => {}) // looked at below
    await wallet.disk.hangs()
    node.release()
    await gaveUpOnTheThread(node, { pending: all(2) })
    await endsWell(node)
    await receivedLater(t, wallet.options, paying)
  })

  test('a worker that is terminated meanwhile ends, and the process lives on when the disk is back', async (t) => {
    const wallet = walletOn(t)
    wallet.disk.die('fdatasync')
    const node = child(t, 'worker', wallet)
    await wallet.disk.hangs()
    node.release()
    assert.equal(await node.said('terminated'), 1)
    wallet.disk.revive()
    await node.said('baseline')
    await endsWell(node)
    await isFree(wallet.options)
  })
})

/** An invoice of a node that is gone when it is paid. */
async function mint(options) {
  const node = new MdkNode(options)
  try {
    return (await node.getInvoice(21_000, 'One report', 900)).bolt11
  } finally {
    await node.stop()
    node.destroy()
  }
}

async function receiveFirst(options) {
  const node = new MdkNode(options)
  try {
    await within(receiveOne(lab, node), 'a first payment')
    await node.stop()
  } finally {
    node.destroy()
  }
}
