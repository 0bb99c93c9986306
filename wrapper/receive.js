'use strict'
// receivePayment: the whole webhook handler in one call. Each payment is acked only after `onPayment` resolved; when that
// fails, the node is stopped, the payment stays unacked and comes again, and the caller sees its own error.

const { CancelToken } = require('./native.js')
const { ack } = require('./ack.js')
const { fromNative, invalidArgument } = require('./errors.js')
const { follow, signalOf } = require('./signal.js')

async function receivePayment(node, onPayment, options) {
  if (typeof onPayment !== 'function') {
    throw invalidArgument('onPayment', `onPayment must be a function, not ${onPayment === null ? 'null' : typeof onPayment}`)
  }
  const signal = signalOf(options)
  const token = new CancelToken()
  const unfollow = follow(signal, token)
  const native = async (call) => {
    try {
      return await call()
    } catch (error) {
      throw fromNative(error, signal)
    }
  }
  try {
    const leads = await native(() => node.receiveBegin(options, token))
    // Another call of this wallet in this process received, handed over and left: nothing is left to do.
    if (!leads) return []
    const received = await payments(node, onPayment, native, token).catch(async (error) => {
      // What went wrong first is what the caller must see.
      await native(() => node.stop()).catch(() => {})
      throw error
    })
    await native(() => node.stop())
    return received
  } finally {
    unfollow()
  }
}

async function payments(node, onPayment, native, token) {
  const received = []
  for (;;) {
    const payment = await native(() => node.receiveNext(token))
    if (payment === null) return received
    // Kept: the callback owns the payment now, and may change it.
    const { id } = payment
    try {
      await onPayment(payment)
    } catch (error) {
      node.giveBack(id)
      throw error
    }
    // Not abortable: it is fulfilled, and must not come again because the caller loses patience now.
    await native(() => ack(node, id))
    received.push(payment)
  }
}

module.exports = { receivePayment }
