// `npm run lab`: the lab in the foreground; arguments go to it. It prints one line of JSON with its addresses.

import { ensureLab } from './setup.mjs'
import { exitCode } from './run.mjs'

process.exitCode = exitCode(ensureLab(), process.argv.slice(2))
