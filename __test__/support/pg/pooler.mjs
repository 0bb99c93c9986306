// A transaction pooler in miniature, as PgBouncer, Supavisor and Neon's have them: each client logs in, and then has a connection to the
// server for one transaction at a time, whichever is free, which others had before. It is stricter than those: what a client sends behind
// a Sync goes to another connection than what was before it. Whoever leans on a session notices.

import { once } from 'node:events'
import { connect, createServer } from 'node:net'

const READY = 'Z'
/** What ends a request: Sync, a simple query. */
const ENDS = ['S', 'Q']
const TERMINATE = 'X'

export class Pooler {
  /** Connections to the server that wait for a transaction. */
  #free = []
  #waiting = []
  #open = new Set()
  /** How many transactions had another connection than the one before, of the same client. */
  switches = 0

  /** A pooler before `port`, gone with the test. */
  static async before(t, port) {
    const pooler = new Pooler()
    const server = createServer({ noDelay: true }, (client) => pooler.#serve(client, port))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.after(() => {
      server.close()
      for (const socket of pooler.#open) socket.destroy()
    })
    pooler.port = server.address().port
    return pooler
  }

  /** It logs in on a connection of its own, which all use from then on. */
  #serve(client, port) {
    const first = connect({ port, host: '127.0.0.1', noDelay: true })
    for (const socket of [client, first]) {
      this.#open.add(socket.on('error', () => {}))
      socket.once('close', () => this.#open.delete(socket))
    }
    client.on('data', (bytes) => first.write(bytes))
    const login = messages((type, message) => {
      client.write(message)
      if (type !== READY) return
      first.removeAllListeners('data')
      client.removeAllListeners('data')
      // Given to others before it is used by this one.
      this.#release(first)
      this.#relay(client)
    })
    first.on('data', login)
    first.once('close', () => {
      this.#free = this.#free.filter((socket) => socket !== first)
    })
    client.once('close', () => client.loggedIn || first.destroy())
  }

  #relay(client) {
    client.loggedIn = true
    let request = []
    let last
    let turn = Promise.resolve()
    const ask = async (batch) => {
      const server = await this.#take(last)
      if (last !== undefined && server !== last) this.switches += 1
      last = server
      const answered = new Promise((resolve) => server.on('data', messages((type, message) => {
        client.write(message)
        if (type === READY) resolve()
      })))
      server.write(batch)
      await Promise.race([answered, once(server, 'close').then(() => client.destroy())])
      server.removeAllListeners('data')
      if (!server.destroyed) this.#release(server)
    }
    client.on('data', messages((type, message) => {
      if (type === TERMINATE) return client.end()
      request.push(message)
      if (!ENDS.includes(type)) return
      const batch = Buffer.concat(request)
      request = []
      turn = turn.then(() => ask(batch))
    }))
  }

  /** The one that has waited longest, rather not `last`. */
  async #take(last) {
    if (this.#free.length === 0) return new Promise((resolve) => this.#waiting.push(resolve))
    const other = this.#free.findIndex((server) => server !== last)
    return this.#free.splice(Math.max(0, other), 1)[0]
  }

  #release(server) {
    const next = this.#waiting.shift()
    if (next) next(server)
    else this.#free.push(server)
  }
}

/** Hands out whole messages: a letter, their length without it, and the rest. */
function messages(each) {
  let rest = Buffer.alloc(0)
  return (bytes) => {
    rest = Buffer.concat([rest, bytes])
    while (rest.length >= 5) {
      const end = 1 + rest.readUInt32BE(1)
      if (rest.length < end) return
      const message = rest.subarray(0, end)
      rest = rest.subarray(end)
      each(String.fromCharCode(message[0]), message)
    }
  }
}
