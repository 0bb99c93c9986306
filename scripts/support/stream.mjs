// Many payments into one running node.

import assert from 'node:assert/strict'

/** So many at once: one commit carries several of them. */
const AT_ONCE = 8

/** `count` payments of `amountMsat`, all of them received and acked when it resolves. */
export async function payAll(lab, node, count, { amountMsat = 21_000, atOnce = AT_ONCE } = {}) {
  const due = new Set()
  let left = count
  const payer = async () => {
    while (left > 0) {
      left -= 1
      const { bolt11, paymentHash } = await node.getInvoice(amountMsat, 'One report', 900)
      due.add(paymentHash)
      const { error } = await lab.pay(bolt11)
      assert.equal(error, undefined, `a payment failed: ${error}`)
    }
  }
  const receiver = async () => {
    const acks = []
    for (let told = 0; told < count; told++) {
      const event = await node.nextEvent(30_000)
      assert.ok(event, `${count - told} payments were not told`)
      assert.ok(due.delete(event.paymentHash), 'told once, and paid')
      acks.push(node.ackEvent(event.id))
    }
    await Promise.all(acks)
  }
  await Promise.all([receiver(), ...Array.from({ length: Math.min(atOnce, count) }, payer)])
}
