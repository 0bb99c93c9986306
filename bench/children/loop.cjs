'use strict'
// How late the event loop is: Node's own histogram over a timer of 1 ms.

const { monitorEventLoopDelay } = require('node:perf_hooks')

const INTERVAL_MS = 1

/** Begins to watch; the returned function ends it and gives each delay in ms, the smallest first. */
exports.watch = () => {
  const histogram = monitorEventLoopDelay({ resolution: INTERVAL_MS })
  histogram.enable()
  return () => {
    histogram.disable()
    const { count } = histogram
    // Recorded is from one tick to the next: the delay is what is more than the interval.
    const delay = (_, i) => Math.max(0, histogram.percentile((100 * (i + 1)) / count) / 1e6 - INTERVAL_MS)
    return Array.from({ length: count }, delay)
  }
}
