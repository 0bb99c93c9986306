// A way to a service that falls silent when a test says so, for one client of a lab that others use at the same time.

import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { until } from './life.mjs'

export class Relay {
  #pairs = new Set()
  #goodbyes = 0

  /** A way to `address`, gone with the test. */
  static async to(t, address) {
    const [host, port] = address.split(':')
    const relay = new Relay()
    // Half-open, or this end would answer a goodbye by itself.
    const open = { allowHalfOpen: true }
    const server = createServer(open, (client) => relay.#pass(client, connect({ host, port: Number(port), ...open })))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.after(() => {
      relay.cut()
      server.close()
    })
    relay.address = `127.0.0.1:${server.address().port}`
    return relay
  }

  /** Nothing passes any more in what is open, no goodbye either. */
  hush() {
    for (const [client, service] of this.#pairs) {
      client.unpipe(service).resume()
      service.unpipe(client).resume()
    }
  }

  /** What is open is torn, as by the end of its client's process. */
  cut() {
    for (const [client, service] of this.#pairs) {
      client.destroy()
      service.destroy()
    }
  }

  /** Resolves when a client has said that it says no more. */
  goodbye() {
    return until(() => this.#goodbyes > 0, 'a goodbye to the service')
  }

  #pass(client, service) {
    client.once('end', () => (this.#goodbyes += 1))
    const pair = [client, service]
    this.#pairs.add(pair)
    for (const [one, other] of [pair, [service, client]]) {
      one.on('error', () => {}).pipe(other)
      one.once('close', () => {
        other.destroy()
        this.#pairs.delete(pair)
      })
    }
  }
}
