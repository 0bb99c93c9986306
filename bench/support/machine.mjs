// On what it was measured: without it a number says nothing.

import { cpus, loadavg, release, totalmem } from 'node:os'
import { output } from '../../scripts/run.mjs'

/** @param {{ profile: string, binary: string, bytes: number }} addon */
export function machine(addon) {
  const processors = cpus()
  return {
    cpu: processors[0]?.model.trim() || 'unknown',
    cores: processors.length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    system: `${process.platform} ${release()} ${process.arch}`,
    node: process.version,
    load: loadavg()[0],
    commit: commit(),
    addon,
  }
}

/** undefined outside a checkout. */
function commit() {
  const id = output('git', ['rev-parse', '--short=12', 'HEAD'])?.trim()
  return id && `${id}${output('git', ['status', '--porcelain', '-uno']) === '' ? '' : ' with changes'}`
}
