// The kinds of store under which nothing may linger. Each: `open(t)` makes a place for one wallet, `{ store, env, dies }`: the option,
// and how to make that store hang for a process, which `hanging.mjs` sees. Another kind joins every test here by its line in `STORES`.

import { Disk, noHangs } from '../hang.mjs'
import { folder } from '../life.mjs'

export const STORES = {
  file: {
    open(t) {
      const path = folder(t)
      // The disk under it does not return from the flush of the claim.
      return { store: `file:${path}`, hanging: () => ({ env: new Disk(t, path).env, dies: 'fdatasync' }) }
    },
    noHangs,
  },
}
