'use strict'
// A process that only waits: what the machine alone does to an event loop.

const { input, say } = require('./support.cjs')
const { watch } = require('./loop.cjs')

const watched = watch()
setTimeout(() => say({ delays: watched() }), input.ms)
