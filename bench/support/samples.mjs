// What a measurement returns: rows of named samples, and the few statistics over them.
//
// A row is `{ name, unit, values, target?, at? }`; `target` is what its median should not exceed, or its 99th percentile when
// `at` is 'p99'. A row that is one number computed from several samples (a difference, a slope) has `value` and `n` instead
// of `values`, and `least` when the same was computed from their minima.

/** A 99th percentile of fewer samples is just their maximum. */
const ENOUGH_FOR_P99 = 30

/** Samples of one thing. Units: 'ms', 'MB', 'B', '' for counts. */
export function samples(name, unit, values, { target, at } = {}) {
  if (values.length === 0 || !values.every(Number.isFinite)) {
    throw new Error(`${name}: every sample must be a number, not ${JSON.stringify(values)}`)
  }
  return { name, unit, values, ...(target !== undefined && { target, ...(at && { at }) }) }
}

/** A number computed from `n` samples. */
export function derived(name, unit, value, n, { target, least } = {}) {
  if (!Number.isFinite(value)) throw new Error(`${name} must be a number, not ${value}`)
  return { name, unit, value, n, ...(least !== undefined && { least }), ...(target !== undefined && { target }) }
}

export function median(values) {
  const sorted = ascending(values)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** The smallest sample that at least `share` of them do not exceed. */
export function percentile(values, share) {
  return ascending(values)[Math.max(0, Math.ceil(share * values.length) - 1)]
}

/** `{ median, min?, p99?, max?, n, target?, met? }` of a row. */
export function summary({ values, value, least, n, target, at }) {
  const middle = value ?? median(values)
  const p99 = values?.length >= ENOUGH_FOR_P99 ? percentile(values, 0.99) : undefined
  const min = values ? smallest(values) : least
  const judged = at === 'p99' ? (p99 ?? largest(values)) : middle
  return {
    median: middle,
    ...(min !== undefined && { min }),
    ...(p99 !== undefined && { p99 }),
    ...(values && { max: largest(values) }),
    n: n ?? values.length,
    ...(target !== undefined && { target, met: judged <= target }),
  }
}

export const smallest = (values) => values.reduce((a, b) => Math.min(a, b))

export const largest = (values) => values.reduce((a, b) => Math.max(a, b))

function ascending(values) {
  return [...values].sort((a, b) => a - b)
}
