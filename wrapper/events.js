'use strict'
// `for await (const event of node.events())`: an event is acked when the next one is asked for, so one whose handling threw
// (or broke out of the loop) is delivered again.

const { CancelToken } = require('./native.js')
const { ack } = require('./ack.js')
const { fromNative } = require('./errors.js')
const { follow } = require('./signal.js')

function events(node, signal) {
  const token = new CancelToken()
  let closed = false

  async function* run() {
    const unfollow = follow(signal, token)
    try {
      for (;;) {
        const event = await node.awaitEvent(token)
        // Kept: the handler owns the event now, and may change it.
        const { id } = event
        yield event
        await ack(node, id)
      }
    } catch (error) {
      if (!closed) throw fromNative(error, signal)
    } finally {
      unfollow()
    }
  }

  const inner = run()
  const close = () => {
    // Before the generator's own return, which would wait until the pending event comes.
    closed = true
    token.cancel()
  }
  return {
    next: () => inner.next(),
    return(value) {
      close()
      return inner.return(value)
    },
    async throw(error) {
      close()
      // Not the generator's own throw: closed, it takes every error for the end of its wait.
      await inner.return()
      throw error
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}

module.exports = { events }
