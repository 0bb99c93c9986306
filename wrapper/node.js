'use strict'
// MdkNode as JavaScript sees it: the native half behind a private field, so that a detached method or a foreign `this` is a
// typed error, nothing of the options is reachable, and everything asynchronous fails by rejection only.

const native = require('./native.js')
const { invalidArgument, isMdkError, typed } = require('./errors.js')
const { cancellable, onlySignal } = require('./signal.js')
const { events } = require('./events.js')
const { warnOfIdle } = require('./idle.js')
const { origin } = require('./origin.js')
const { receivePayment } = require('./receive.js')

class MdkNode {
  #native
  /** For util.inspect, which must not derive keys. */
  #nodeId

  constructor(options) {
    this.#native = typed(() => new native.MdkNode(options, origin(MdkNode, __filename)))
  }

  static #of(self) {
    if (typeof self === 'object' && self !== null && #native in self) return self.#native
    throw invalidArgument('this', 'this is not an MdkNode: call the method on the node, or bind it')
  }

  get state() {
    const node = MdkNode.#of(this)
    return typed(() => node.state)
  }

  get lastDestroy() {
    const node = MdkNode.#of(this)
    return typed(() => node.lastDestroy)
  }

  get wakeBy() {
    const node = MdkNode.#of(this)
    return typed(() => node.wakeBy)
  }

  stats() {
    const node = MdkNode.#of(this)
    return typed(() => node.stats())
  }

  getNodeId() {
    const node = MdkNode.#of(this)
    this.#nodeId = typed(() => node.getNodeId())
    return this.#nodeId
  }

  async start(options) {
    const node = MdkNode.#of(this)
    warnOfIdle()
    return cancellable(options, (cancel) => node.start(options, cancel))
  }

  async stop(options) {
    const node = MdkNode.#of(this)
    return cancellable(options, (cancel) => node.stop(options, cancel))
  }

  async startReceiving(options) {
    const node = MdkNode.#of(this)
    warnOfIdle()
    return cancellable(options, (cancel) => node.startReceiving(options, cancel))
  }

  async stopReceiving(options) {
    const node = MdkNode.#of(this)
    return cancellable(options, (cancel) => node.stopReceiving(options, cancel))
  }

  destroy() {
    const node = MdkNode.#of(this)
    typed(() => node.destroy())
  }

  async getInvoice(amountMsat, description, expirySecs, options) {
    const node = MdkNode.#of(this)
    return cancellable(options, (cancel) => node.getInvoice(amountMsat, description, expirySecs, options, cancel))
  }

  async getVariableAmountJitInvoice(description, expirySecs, options) {
    const node = MdkNode.#of(this)
    return cancellable(options, (cancel) => node.getVariableAmountJitInvoice(description, expirySecs, options, cancel))
  }

  async getInvoiceWithScid(scid, amountMsat, description, expirySecs, options) {
    const node = MdkNode.#of(this)
    return cancellable(options, (cancel) =>
      node.getInvoiceWithScid(scid, amountMsat, description, expirySecs, options, cancel),
    )
  }

  async getVariableAmountJitInvoiceWithScid(scid, description, expirySecs, options) {
    const node = MdkNode.#of(this)
    return cancellable(options, (cancel) =>
      node.getVariableAmountJitInvoiceWithScid(scid, description, expirySecs, options, cancel),
    )
  }

  async getJitRoute(options) {
    const node = MdkNode.#of(this)
    return cancellable(options, (cancel) => node.getJitRoute(options, cancel))
  }

  async watch(options) {
    const node = MdkNode.#of(this)
    return cancellable(options, (cancel) => node.watch(options, cancel))
  }

  async nextEvent(timeoutMs, options) {
    const node = MdkNode.#of(this)
    return cancellable(options, (cancel) => node.nextEvent(timeoutMs, options, cancel))
  }

  async ackEvent(eventId, options) {
    const node = MdkNode.#of(this)
    return cancellable(options, (cancel) => node.ackEvent(eventId, options, cancel))
  }

  events(options) {
    return events(MdkNode.#of(this), onlySignal(options))
  }

  async receivePayment(onPayment, options) {
    const node = MdkNode.#of(this)
    warnOfIdle()
    return receivePayment(node, onPayment, options)
  }

  async getBalance(options) {
    const node = MdkNode.#of(this)
    return cancellable(options, (cancel) => node.getBalance(options, cancel))
  }

  async listChannels(options) {
    const node = MdkNode.#of(this)
    return cancellable(options, (cancel) => node.listChannels(options, cancel))
  }

  async getPayment(paymentHash, options) {
    const node = MdkNode.#of(this)
    return cancellable(options, (cancel) => node.getPayment(paymentHash, options, cancel))
  }

  async listPayments(options) {
    const node = MdkNode.#of(this)
    return cancellable(options, (cancel) => node.listPayments(options, cancel))
  }

  async closeChannel(channelId, options) {
    const node = MdkNode.#of(this)
    return cancellable(options, (cancel) => node.closeChannel(channelId, options, cancel))
  }

  async getOnchainAddress(options) {
    const node = MdkNode.#of(this)
    return cancellable(options, (cancel) => node.getOnchainAddress(options, cancel))
  }

  async sendAllOnchain(address, feeRate, options) {
    const node = MdkNode.#of(this)
    return cancellable(options, (cancel) => node.sendAllOnchain(address, feeRate, options, cancel))
  }

  [Symbol.for('nodejs.util.inspect.custom')](_depth, options, inspect) {
    if (!(#native in this)) return 'MdkNode {}'
    const known = this.#nodeId === undefined ? {} : { nodeId: this.#nodeId }
    return `MdkNode ${inspect({ ...known, state: this.state }, options)}`
  }
}

/** Codes that say that there is nothing left to stop; a disposer that threw them would hide the body's own error. */
const OVER = new Set(['FENCED', 'NODE_DESTROYED'])

function addMethod(symbol, method) {
  // Absent in engines without explicit resource management.
  if (typeof symbol === 'symbol') {
    Object.defineProperty(MdkNode.prototype, symbol, { value: method, configurable: true, writable: true })
  }
}

addMethod(Symbol.dispose, function dispose() {
  this.destroy()
})

addMethod(Symbol.asyncDispose, async function asyncDispose() {
  try {
    await this.stop()
  } catch (error) {
    if (!isMdkError(error) || !OVER.has(error.code)) throw error
  } finally {
    this.destroy()
  }
})

async function withNode(options, body) {
  if (typeof body !== 'function') {
    throw invalidArgument('body', `body must be a function, not ${body === null ? 'null' : typeof body}`)
  }
  const node = new MdkNode(options)
  try {
    return await body(node)
  } finally {
    node.destroy()
  }
}

module.exports = { MdkNode, withNode }
