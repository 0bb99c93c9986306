'use strict'
// The ack of an event whose handling went well. Whoever handled it may have acked it, too, or another call to which it was given as
// well: then it is what it should be.

/** A node refuses the id of an event only when no such event is unacked; this one it has handed out. */
const REFUSED = 'INVALID_ARGUMENT'

async function ack(node, id) {
  try {
    await node.ackEvent(id)
  } catch (error) {
    if (error?.code !== REFUSED) throw error
  }
}

module.exports = { ack }
