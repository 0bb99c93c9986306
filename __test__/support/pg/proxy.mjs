// What can happen on the way to a PostgreSQL: latency, silence, resets, and the two losses that a client can't tell apart: of the
// request, and of the reply to one that was carried out. Without TLS it can look for words in a request; of the protocol it knows one
// message: the one that ends a reply.

import { once } from 'node:events'
import { connect, createServer } from 'node:net'

/** ReadyForQuery outside of a transaction: all that was asked is done, and durable. */
const READY = Buffer.from('5a0000000549', 'hex')

export class Proxy {
  /** One way, for each direction. */
  latencyMs = { up: 0, down: 0 }
  /** Whether nothing passes any more, in what is open and in what is new. What was sent meanwhile is held. */
  silent = false
  /** Whether each new connection is reset. */
  refusing = false
  /** How often a client had to wait: requests after which it got something, without the handshake of TCP. */
  turns = 0
  connections = 0
  /** What clients have sent. */
  bytesUp = 0
  #pairs = new Set()
  #fates = []
  #turnsKept

  /** A way to `port` of this machine, gone with the test. `t`: a test's context, or anything with `after`. */
  static async to(t, port) {
    const proxy = new Proxy()
    const server = createServer({ noDelay: true }, (client) => proxy.#open(client, connect({ port, host: '127.0.0.1', noDelay: true })))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.after(() => {
      server.close()
      proxy.reset()
    })
    proxy.port = server.address().port
    return proxy
  }

  /** That much on each round trip. */
  roundTrip(ms) {
    this.latencyMs = { up: ms / 2, down: ms / 2 }
  }

  /** How many connections are open. */
  get open() {
    return this.#pairs.size
  }

  /**
   * Each turn from now on, as it comes: `{ request, answeredAt? }`, all bytes of the request, and when its answer began to pass, by
   * the clock that all processes share.
   */
  keepTurns() {
    this.#turnsKept = []
    return this.#turnsKept
  }

  /** What is open is torn. */
  reset() {
    for (const pair of this.#pairs) pair.tear()
  }

  hush() {
    this.silent = true
  }

  /** Clients hear nothing more, and what they say is lost, on what is open and on what is new; servers see all of them gone. */
  strand() {
    this.silent = true
    for (const pair of this.#pairs) pair.strand()
  }

  /** Everything passes again, first what was held. */
  speak() {
    this.silent = false
    for (const pair of this.#pairs) pair.release()
  }

  /**
   * The next request with these words in it is lost, or its reply is: `lose: 'request' | 'reply'`. Then its connection falls silent or is
   * reset: `then: 'silence' | 'reset'`. Resolves when that has happened.
   */
  next(words, { lose, then = 'reset' }) {
    return new Promise((done) => this.#fates.push({ words: Buffer.from(words), lose, then, done }))
  }

  /** Resolves when the next request with these words in it is passed on. */
  sees(words) {
    return this.next(words, {})
  }

  #open(client, server) {
    if (this.refusing) {
      reset(client)
      server.destroy()
      return
    }
    this.connections += 1
    const pair = new Pair(this, client, server, (request) => this.#fateOf(request), (turn) => this.#turnsKept?.push(turn))
    this.#pairs.add(pair)
    pair.closed.then(() => this.#pairs.delete(pair))
  }

  #fateOf(request) {
    const found = this.#fates.findIndex(({ words }) => request.includes(words))
    return found < 0 ? undefined : this.#fates.splice(found, 1)[0]
  }
}

/** One connection. */
class Pair {
  #proxy
  #client
  #server
  #held = []
  #turn = { request: Buffer.alloc(0) }
  #reply = Buffer.alloc(0)
  #answered = true
  #lost
  #mute = false
  /** When the last bytes of each direction pass: those behind them do not overtake. */
  #last = { up: 0, down: 0 }

  constructor(proxy, client, server, fateOf, begins) {
    this.#proxy = proxy
    this.#client = client
    this.#server = server
    client.on('data', (bytes) => this.#asked(bytes, fateOf, begins))
    server.on('data', (bytes) => this.#replied(bytes))
    client.on('end', () => this.#pass('up', () => server.end()))
    server.on('end', () => this.#pass('down', () => client.end()))
    client.on('close', () => this.#pass('up', () => server.destroy()))
    server.on('close', () => this.#pass('down', () => client.destroy()))
    for (const socket of [client, server]) socket.on('error', () => {}) // `close` follows
    this.closed = Promise.all([client, server].map((socket) => new Promise((resolve) => socket.once('close', resolve))))
  }

  #asked(bytes, fateOf, begins) {
    this.#proxy.bytesUp += bytes.length
    if (this.#answered) {
      this.#proxy.turns += 1
      this.#turn = { request: Buffer.alloc(0) }
      begins(this.#turn)
      this.#answered = false
    }
    this.#turn.request = Buffer.concat([this.#turn.request, bytes])
    const fate = fateOf(this.#turn.request)
    if (fate?.lose === undefined) fate?.done()
    else this.#lost ??= fate
    if (this.#lost?.lose === 'request') this.#lose()
    else this.#pass('up', () => this.#server.write(bytes))
  }

  #replied(bytes) {
    if (this.#lost?.lose === 'reply') {
      this.#reply = Buffer.concat([this.#reply, bytes])
      if (this.#reply.subarray(-READY.length).equals(READY)) this.#lose()
      return
    }
    this.#pass('down', () => {
      this.#answered = true
      this.#turn.answeredAt ??= Number(process.hrtime.bigint()) / 1e6
      this.#client.write(bytes)
    })
  }

  #lose() {
    const { then, done } = this.#lost
    this.#mute = true
    if (then === 'reset') this.tear()
    done()
  }

  /** In order, and after the latency of that direction. */
  #pass(direction, write) {
    const at = Math.max(this.#last[direction], performance.now() + this.#proxy.latencyMs[direction])
    this.#last[direction] = at
    const due = () => {
      if (this.#mute) return
      if (this.#proxy.silent || this.#held.length > 0) this.#held.push(write)
      else write()
    }
    const waitMs = at - performance.now()
    if (waitMs > 0) setTimeout(due, waitMs)
    else due()
  }

  release() {
    const held = this.#held
    this.#held = []
    for (const write of held) write()
  }

  strand() {
    this.#mute = true
    this.#server.destroy()
  }

  tear() {
    this.#mute = true
    for (const socket of [this.#client, this.#server]) reset(socket)
  }
}

/** Without a goodbye. One that is said already can't be taken back, and libuv refuses to; Node would then wait for it for ever at its exit. */
function reset(socket) {
  if (socket.writableEnded) socket.destroy()
  else socket.resetAndDestroy()
}
