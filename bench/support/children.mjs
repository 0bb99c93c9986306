// Fresh processes: started, listened to, and ended by a deadline that names them.

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { now } from './clock.mjs'

/** Longer than most that is measured; a child that is still there hangs. */
const DEADLINE_MS = 120_000

const CHILDREN = new URL('../children/', import.meta.url)

/** Those under way: one that outlived us would write into a folder that we have removed. */
const running = new Set()
process.once('exit', () => running.forEach((child) => child.kill('SIGKILL')))

/**
 * Runs `node <args>` and resolves when it has ended: `{ spawnedAt, firstOutputAt, endedAt, stdout }`, by the clock that all
 * processes share. Rejects when it fails.
 */
export function runNode(args, env = {}, deadlineMs = DEADLINE_MS) {
  return new Promise((resolve, reject) => {
    const name = args.join(' ')
    const spawnedAt = now()
    const child = spawn(process.execPath, args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
      timeout: deadlineMs,
      killSignal: 'SIGKILL',
    })
    running.add(child)
    let stdout = ''
    let firstOutputAt
    let endedAt
    child.stdout.setEncoding('utf8').on('data', (text) => {
      firstOutputAt ??= now()
      stdout += text
    })
    child.once('exit', () => {
      endedAt = now()
      running.delete(child)
    })
    child.once('error', reject)
    child.once('close', (code, signal) => {
      if (code === 0) resolve({ spawnedAt, firstOutputAt, endedAt, stdout })
      else if (signal === 'SIGKILL') reject(new Error(`node ${name} was killed, by us if it ran for ${deadlineMs} ms`))
      else reject(new Error(`node ${name} ended with ${code ?? signal}; its standard error is above`))
    })
  })
}

/** The path of a script in bench/children. */
export const childPath = (script) => fileURLToPath(new URL(script, CHILDREN))

/** Runs a script of bench/children over `input`, with more in its environment; `said` is the JSON that it prints. */
export async function runChild(script, input, { env = {}, deadlineMs } = {}) {
  const result = await runNode([childPath(script)], { ...env, ...inputOf(input) }, deadlineMs)
  try {
    return { ...result, said: JSON.parse(result.stdout) }
  } catch {
    throw new Error(`${script} should print one JSON value, not ${JSON.stringify(result.stdout)}`)
  }
}

/** The environment in which a script of bench/children finds its input. */
export const inputOf = (input) => ({ MAYFLY_BENCH_INPUT: JSON.stringify(input) })
