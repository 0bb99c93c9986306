// `npm run sim -- --seeds 1000 --from 1`: builds the simulator and runs it; `-- --help` tells the options. A failure is shown with
// its seed, its step, the command that runs it again, and the shortest schedule that still fails.

import { fileURLToPath } from 'node:url'
import { ensureSim } from './setup.mjs'
import { exitCode } from './run.mjs'

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = exitCode(ensureSim(), process.argv.slice(2))
}
