// Where the LSP knocks: an HTTP server on loopback that notes when a webhook arrives, to the clock that all processes share.

import { createServer } from 'node:http'
import { now } from './clock.mjs'

export async function openDoor() {
  const waiting = new Map()
  const server = createServer((request, response) => {
    const arrivedAt = now()
    request.resume()
    response.end()
    const heard = waiting.get(request.url)
    waiting.delete(request.url)
    heard?.(arrivedAt)
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const pathOf = (nodeId) => `/wake/${nodeId}`
  return {
    urlOf: (nodeId) => `http://127.0.0.1:${server.address().port}${pathOf(nodeId)}`,
    /** When the next webhook for that node arrives. Resolves in the turn of the event loop in which it does. */
    knock: (nodeId) => new Promise((resolve) => waiting.set(pathOf(nodeId), resolve)),
    close: () =>
      new Promise((resolve) => {
        server.close(resolve)
        server.closeAllConnections()
      }),
  }
}
