#!/usr/bin/env node
// `npx --no mayfly migrate …`: makes the tables of the PostgreSQL store where the role of the nodes may not. A node with a role that may
// makes them itself.

import { createRequire } from 'node:module'

const USAGE = `mayfly migrate <postgres://…>   makes the tables of the wallets (schema mayfly) in that database
mayfly migrate --print          prints the SQL instead, with the grants for a role that only runs nodes

The role in the URL must be one that may create. Doing it again changes nothing.
`

const [command, ...rest] = process.argv.slice(2)
if (command === undefined || command === '--help' || command === 'help' || rest.includes('--help')) {
  process.stdout.write(USAGE)
} else if (command !== 'migrate' || rest.length !== 1 || (rest[0].startsWith('-') && rest[0] !== '--print')) {
  // Arguments are not repeated: one of them may be a URL with its password.
  process.stderr.write(`mayfly: these arguments are not understood\n\n${USAGE}`)
  process.exitCode = 2
} else {
  migrate(rest[0])
}

function migrate(what) {
  const require = createRequire(import.meta.url)
  const { typed } = require('../wrapper/errors.js')
  try {
    const native = require('../wrapper/native.js')
    if (what === '--print') {
      process.stdout.write(typed(() => native.postgresSchema()))
    } else {
      typed(() => native.migratePostgres(what))
      process.stdout.write('The tables are there.\n')
    }
  } catch (error) {
    process.stderr.write(`mayfly: ${error.code ?? error.name}: ${error.message}\n`)
    process.exitCode = 1
  }
}
