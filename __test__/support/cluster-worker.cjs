// A cluster's worker that shuts down: with an exit, or (EXIT=false) without, and then ends by itself.

const { shutdownWorker } = require('../..')

process.exitCode = 22
shutdownWorker({ exit: process.env.EXIT === 'true', exitCode: 21 })
