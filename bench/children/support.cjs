'use strict'
// What every child needs: its input, and the clock of support/clock.mjs. Loads nothing, so it costs a measurement nothing.

const now = () => Number(process.hrtime.bigint()) / 1e6
const input = JSON.parse(process.env.MAYFLY_BENCH_INPUT)
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`)

module.exports = { now, input, say }
