// What hangs below a process: its disk and its name servers, by a small library (hang.c) that is compiled here and preloaded.
// The disk is dead while a file exists, so that a test says when it dies and when it comes back.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { folder, until } from './life.mjs'

/** Why a process can't be given hanging system calls here; undefined if it can. */
export const noHangs = reasonAgainst()

let library

/** The compiled library; gone with this process. */
function preload() {
  if (library === undefined) {
    const home = mkdtempSync(join(tmpdir(), 'mayfly-hang-'))
    process.once('exit', () => rmSync(home, { recursive: true, force: true }))
    library = join(home, 'hang.so')
    const source = fileURLToPath(new URL('./hang.c', import.meta.url))
    const { status, stderr } = spawnSync('cc', ['-shared', '-fPIC', '-O1', '-o', library, source, '-ldl'], { encoding: 'utf8' })
    assert.equal(status, 0, `hang.c does not compile: ${stderr}`)
  }
  return library
}

/** Dies and comes back for the processes that run with its `env`. */
export class Disk {
  #switch

  constructor(t, store) {
    this.#switch = join(folder(t), 'dead')
    // A dead disk would keep its process, and with it the test run.
    t.after(() => this.revive())
    this.env = { LD_PRELOAD: preload(), HANG_SWITCH: this.#switch, HANG_FOLDER: store }
  }

  /** From now on these calls do not return: 'fdatasync', 'fsync', 'pwrite', 'flock', 'open'. */
  die(...calls) {
    // Renamed, so that nobody reads half of it.
    writeFileSync(`${this.#switch}.new`, calls.join(' '))
    renameSync(`${this.#switch}.new`, this.#switch)
  }

  /** They return. */
  revive() {
    rmSync(this.#switch, { force: true })
  }

  /** Resolves when some call hangs, with its name. */
  async hangs() {
    const file = `${this.#switch}.hanging`
    const calls = await until(() => existsSync(file) && readFileSync(file, 'utf8'), 'a system call that hangs')
    return calls.split('\n')[0]
  }
}

/** A name server that takes every question and answers none, for the processes that run with its `env`. */
export class SilentNameServer {
  static async start(t) {
    const socket = createSocket('udp4')
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
    t.after(() => socket.close())
    return new SilentNameServer(t, socket)
  }

  constructor(t, socket) {
    const config = join(folder(t), 'resolv.conf')
    writeFileSync(config, 'nameserver 127.0.0.53\n')
    this.env = { LD_PRELOAD: preload(), HANG_RESOLV_CONF: config, HANG_DNS_PORT: String(socket.address().port) }
    this.questions = []
    socket.on('message', (question) => this.questions.push(question))
  }

  /** Resolves when somebody has asked for that name. */
  asked(name) {
    // RFC 1035: each label after its length.
    const labels = Buffer.concat(name.split('.').map((label) => Buffer.from([label.length, ...Buffer.from(label)])))
    return until(() => this.questions.some((question) => question.includes(labels)), `a question for ${name}`)
  }
}

function reasonAgainst() {
  if (process.platform !== 'linux') return `no LD_PRELOAD on ${process.platform}: hanging system calls are not tested here`
  if (spawnSync('cc', ['--version']).status !== 0) return 'no C compiler `cc`: hanging system calls are not tested here'
  return undefined
}
