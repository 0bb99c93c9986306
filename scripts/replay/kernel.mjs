// A Python with py-bitcoinkernel, in a virtual environment under .cache: installed once, gone with the folder.

import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { spawnSync } from 'node:child_process'
import { root } from '../run.mjs'

/** Bitcoin Core's validation engine. Pinned: another version is another judge. */
const PACKAGE = 'py-bitcoinkernel==0.1.0a5'
const FOLDER = join(root, '.cache', PACKAGE.replace('==', '-'))
/** A registry that does not answer is a reason to skip, soon. */
const PIP_TIMEOUT = ['--timeout', '10', '--retries', '1']

/** `{ python }`, or `{ missing }`: why there is none. */
export function kernelPython() {
  const python = join(FOLDER, 'bin/python')
  if (works(python)) return { python }
  if (quiet('python3', ['--version']).status !== 0) return { missing: 'there is no python3' }
  rmSync(FOLDER, { recursive: true, force: true })
  mkdirSync(FOLDER, { recursive: true })
  const venv = quiet('python3', ['-m', 'venv', FOLDER])
  if (venv.status !== 0) return { missing: `python3 -m venv fails (${lastLine(venv)})` }
  // Wheels only: where there is none, building Bitcoin Core is not what anybody wants of a test.
  const args = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--only-binary', ':all:', ...PIP_TIMEOUT, PACKAGE]
  const pip = quiet(python, args)
  if (pip.status !== 0) return { missing: `pip can't install ${PACKAGE} (${lastLine(pip)})` }
  return works(python) ? { python } : { missing: `${PACKAGE} does not load in this Python` }
}

function works(python) {
  return existsSync(python) && quiet(python, ['-c', 'import pbk']).status === 0
}

function quiet(command, args) {
  return spawnSync(command, args, { encoding: 'utf8' })
}

function lastLine({ stderr, error }) {
  return error?.message ?? stderr?.trim().split('\n').at(-1) ?? 'no message'
}
