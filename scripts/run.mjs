// Running a command: its output is shown, its failure is ours.

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** The checkout. */
export const root = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '')

/** Runs it in the checkout; ends this process with its exit code when it fails. */
export function run(command, args, { env = {}, cwd = root } = {}) {
  const code = exitCode(command, args, { env, cwd })
  if (code !== 0) {
    console.error(`failed (${code}): ${command} ${args.join(' ')}`)
    process.exit(code)
  }
}

/** Runs it and says how it ended. */
export function exitCode(command, args, { env = {}, cwd = root } = {}) {
  const { status, error } = spawnSync(command, args, { cwd, stdio: 'inherit', env: { ...process.env, ...env } })
  if (error) console.error(`${command}: ${error.message}`)
  return status ?? 1
}

/** Its standard output; undefined when there is no such command or it fails. */
export function output(command, args, { env = {}, cwd = root } = {}) {
  const { status, stdout } = spawnSync(command, args, { cwd, encoding: 'utf8', env: { ...process.env, ...env } })
  return status === 0 ? stdout : undefined
}
