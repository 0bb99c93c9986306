// A tiny serverless platform: an HTTP gateway that starts one process for each request and kills nothing, since an instance
// that has answered ends by itself.

import { spawn } from 'node:child_process'
import { createServer } from 'node:http'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const INSTANCE = fileURLToPath(new URL('./instance.mjs', import.meta.url))

/** `onMark({ at, pid, name, text })` gets the timeline. */
export function createGateway({ env, onMark }) {
  const names = { mint: 'handler A', receive: 'handler B', deliver: 'handler C', route: 'set-up' }

  /** Runs one instance to its end; resolves with its response and what it left behind. */
  async function invoke(request) {
    const child = spawn(process.execPath, [INSTANCE, JSON.stringify(request)], {
      env: { ...process.env, ...env() },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const result = { pid: child.pid, name: names[request.handler] }
    for await (const line of createInterface({ input: child.stdout })) {
      const said = JSON.parse(line)
      if (said.text) onMark({ at: said.at, pid: child.pid, name: result.name, text: said.text })
      else Object.assign(result, said)
    }
    result.exitCode = child.exitCode ?? (await new Promise((resolve) => child.once('exit', resolve)))
    return result
  }

  const instances = []
  const pending = new Set()
  const server = createServer(async (incoming, outgoing) => {
    const request = { handler: routeOf(incoming), authorization: incoming.headers.authorization }
    incoming.resume()
    const done = invoke(request).then((result) => {
      instances.push(result)
      return result
    })
    pending.add(done)
    const result = await done.finally(() => pending.delete(done))
    const { status, headers, body } = result.response ?? { status: 500, headers: {}, body: 'the instance failed' }
    outgoing.writeHead(status, headers).end(body)
  })

  return {
    invoke,
    instances,
    /** Every instance has ended. */
    idle: async () => void (await Promise.allSettled([...pending])),
    listen: () => new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${server.address().port}`))),
    close: () => new Promise((resolve) => server.close(resolve).closeAllConnections()),
  }
}

function routeOf({ method, url, headers }) {
  if (method === 'POST' && url === '/webhook') return 'receive'
  return headers.authorization ? 'deliver' : 'mint'
}
