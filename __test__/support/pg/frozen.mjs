// One freeze: handler A of a wallet stands still (SIGSTOP) in the middle of its work for longer than its lease, handler B takes over, A
// goes on. Whatever A had in mind, from that instant it writes nothing, says nothing to the LSP, broadcasts nothing; it is told FENCED,
// and its process ends by itself.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { until, within } from '../until.mjs'
import { Proxy } from './proxy.mjs'

export class Frozen {
  /**
   * A handler with ways of its own to the LSP and to its store; see Handler.
   * @param t a test's context, or anything with `after`
   */
  static async start(t, { books, audit, lease, failpoint, job = 'receive', args = {} }) {
    const { lab, options } = books.wallet
    const [lsp, store] = await Promise.all([Proxy.to(t, lab.info.lspAddress.split(':')[1]), Proxy.to(t, audit.database.port)])
    const own = { lspAddress: `127.0.0.1:${lsp.port}`, store: audit.database.url({ port: store.port }) }
    const handler = books.wallet.start(job, args, { ...own, ...(lease && { lease }) }, { failpoint })
    return new Frozen({ books, audit, handler, lsp, store, options })
  }

  constructor(parts) {
    Object.assign(this, parts)
  }

  /** It stands still from here on; false: it has come to its end before. */
  async stop() {
    const { child, pid } = this.handler
    if (!child.kill('SIGSTOP')) return false
    const STOPPED = 'T'
    await until(`${this.handler} to stand still`, () => this.handler.end !== undefined || stateOf(pid) === STOPPED)
    return this.handler.end === undefined
  }

  /** Resolves when another holder has the wallet; A's claim is over. */
  async isTakenOver(since) {
    return this.audit.isOver(this.claim, { since })
  }

  /**
   * It goes on, and must see that it is over. Resolves with what its call was told; undefined when it stood still before it knew that the
   * wallet was its own: such a one asks again, and begins.
   */
  async thaw() {
    const knew = this.handler.tripped.length > 0 || this.handler.logged('claimed').length > 0
    const [said, turn] = [this.lsp.bytesUp, await this.audit.now()]
    process.kill(this.handler.pid, 'SIGCONT')
    if (this.handler.tripped.length > 0) this.handler.unblock()
    const end = await within(`${this.handler} to end by itself`, this.handler.exited)
    this.books.hear(this.handler)
    assert.deepEqual(end, { code: 0, signal: null }, `${this.handler}: ${JSON.stringify(this.handler.said)}`)
    if (!knew && (await this.audit.claims({ since: turn })).some(({ pid }) => pid === this.handler.pid)) return undefined
    assert.equal(this.lsp.bytesUp - said, 0, `${this.handler} said something to the LSP: ${JSON.stringify(this.handler.tripped)}`)
    const later = await this.audit.leases({ since: turn })
    assert.deepEqual(later.filter(({ pid }) => pid === this.handler.pid), [], `${this.handler} touched the lease`)
    return this.handler.all('failed').map(({ code }) => code)
  }
}

/** Of a process, as Linux calls it; undefined when it is gone. */
function stateOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/^.*\) /, '')[0]
  } catch {
    return undefined
  }
}
