// The kinds of store under which nothing may linger. Each: `open(t)` makes a place for one wallet, `{ store, env, dies }`: the option,
// and how to make that store hang for a process, which `hanging.mjs` sees. MAYFLY_TEST_STORE says which kind is tested. Each may have
//   noHangs   why it can't be made to hang here
//   sticks    a native thread that asks it while it hangs is stuck; else the asking is given up, and a held lease ends with its time
//   silenced  (t, wallet): `{ options, falls }`, a way to it which falls silent while the node runs

import { Disk, noHangs } from '../hang.mjs'
import { Postgres } from '../../../scripts/support/postgres.mjs'
import { folder } from '../life.mjs'
import { Proxy } from '../pg/proxy.mjs'
import { database, storeAt } from '../store.mjs'

export const STORES = {
  file: {
    open(t) {
      const path = folder(t)
      // The disk under it does not return from the flush of the claim.
      return { store: storeAt(path), hanging: () => ({ env: new Disk(t, path).env, dies: 'fdatasync' }) }
    },
    noHangs,
    sticks: true,
  },
  postgres: {
    open: () => ({
      store: storeAt(),
      // It takes a connection, as the kernel does for whoever listens, and stands still.
      hanging: async () => ({ options: { store: (await standing()).url() } }),
    }),
    async silenced(t) {
      const proxy = await Proxy.to(t, database.port)
      return { options: { store: database.url({ port: proxy.port }) }, falls: () => proxy.hush() }
    },
  },
}

let hung

/** A server whose processes all stand still. */
function standing() {
  hung ??= Postgres.start().then((server) => {
    server.unref().hang()
    return server
  })
  return hung
}
