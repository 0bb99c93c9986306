// Somebody between the test and a worker, who is killed: what the worker says is passed on until then.

import { spawn } from 'node:child_process'

const [script, input, ...inherited] = process.argv.slice(2)
const worker = spawn(process.execPath, [script, input], { stdio: ['ignore', 'inherit', 'inherit', 'ipc', ...inherited.map(Number)] })
worker.on('message', (message) => process.send(message))
process.send({ type: 'pid', pid: worker.pid })
// The test is gone: then the worker is to go, too.
process.on('disconnect', () => process.exit())
