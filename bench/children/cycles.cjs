'use strict'
// Starts, receives a payment and destroys, again and again, beside a timer that notes how late it is.

const { readdirSync } = require('node:fs')
const http = require('node:http')
const { createHistogram } = require('node:perf_hooks')
const v8 = require('node:v8')
const vm = require('node:vm')
const { now, input, say } = require('./support.cjs')
const { MdkNode } = require('../../index.js')

/** Without JavaScript's own garbage, which comes and goes. */
v8.setFlagsFromString('--expose-gc')
const collect = vm.runInNewContext('gc')
const rss = () => {
  collect()
  return process.memoryUsage.rss()
}

const count = (folder) => {
  try {
    return readdirSync(folder).length
  } catch {
    return 0 // no /proc: nothing is counted
  }
}
const footprint = () => ({ threads: count('/proc/self/task'), fds: count('/proc/self/fd') })

/** A connection of its own for each payment, so that none is left. */
function pay(bolt11) {
  return new Promise((resolve, reject) => {
    const request = http.request(`${input.controlUrl}/pay`, { method: 'POST', agent: false, headers: { 'content-type': 'application/json', connection: 'close' } })
    request.once('error', reject)
    request.once('response', (response) => response.resume().socket.once('close', resolve))
    request.end(JSON.stringify({ bolt11 }))
  })
}

/** In nanoseconds. Of a fixed size: what is measured is what the process grows by. */
const late = createHistogram()
let last
function beat() {
  const at = now()
  late.record(Math.max(1, Math.round((at - last - 1) * 1e6)))
  last = at
}

async function cycle() {
  const node = new MdkNode(input.options)
  await node.startReceiving()
  const { bolt11 } = await node.getInvoice(21_000, 'One report', 900)
  const paying = pay(bolt11)
  const event = await node.nextEvent(30_000)
  if (event === null) throw new Error('no payment came')
  await node.ackEvent(event.id)
  await paying
  beat()
  node.destroy()
  last = now()
}

async function main() {
  const took = []
  let baseline
  let settled
  last = now()
  const timer = setInterval(beat, 1)
  for (let i = 0; i < input.times; i++) {
    const began = now()
    await cycle()
    took.push(now() - began)
    if (i + 1 === input.settled) {
      settled = rss()
      baseline = footprint()
      last = now()
    }
  }
  clearInterval(timer)
  const at = footprint()
  say({ took, late: { p99: late.percentile(99) / 1e6, max: late.max / 1e6, count: late.count }, rss: { settled, end: rss() }, left: { threads: at.threads - baseline.threads, fds: at.fds - baseline.fds } })
}

main()
