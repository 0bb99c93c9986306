// Many payments into one running node.

/** So many at once: one commit carries several of them. */
const AT_ONCE = 8

/** How long a payment that was paid may take to be told. */
const TOLD_WITHIN_MS = 30_000

/** Pays `count` invoices of the node, `atOnce` at a time; resolves with their payment hashes when all are paid. */
export async function payMany(lab, node, count, { amountMsat = 21_000, atOnce = AT_ONCE } = {}) {
  const paid = new Set()
  let left = count
  const payer = async () => {
    while (left > 0) {
      left -= 1
      const { bolt11, paymentHash } = await node.getInvoice(amountMsat, 'One report', 900)
      const { error } = await lab.pay(bolt11)
      if (error !== undefined) throw new Error(`a payment failed: ${error}`)
      paid.add(paymentHash)
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, payer))
  return paid
}

/** Acks the events of these payments; each must be told, once. */
export async function ackAll(node, paid) {
  const due = new Set(paid)
  const acks = []
  while (due.size > 0) {
    const event = await node.nextEvent(TOLD_WITHIN_MS)
    if (event === null) throw new Error(`${due.size} payments were not told`)
    if (!due.delete(event.paymentHash)) throw new Error(`told twice, or never paid: ${event.paymentHash}`)
    acks.push(node.ackEvent(event.id))
  }
  await Promise.all(acks)
}
