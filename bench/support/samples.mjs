// What a measurement returns: rows of named samples, and the few statistics over them.
//
// A row is `{ name, unit, values, target?, digits? }`; `target` is what its median should not exceed. A row that is one
// number computed from several samples (a difference, a percentile) has `value` and `n` instead of `values`.

/** Samples of one thing. Units: 'ms', 'MB', '' for counts. */
export function samples(name, unit, values, { target } = {}) {
  if (values.length === 0 || !values.every(Number.isFinite)) {
    throw new Error(`${name}: every sample must be a number, not ${JSON.stringify(values)}`)
  }
  return { name, unit, values, ...(target !== undefined && { target }) }
}

/** A number computed from `n` samples. */
export function derived(name, unit, value, n, { target } = {}) {
  if (!Number.isFinite(value)) throw new Error(`${name} must be a number, not ${value}`)
  return { name, unit, value, n, ...(target !== undefined && { target }) }
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

/** `{ median, min?, max?, n, target?, met? }` of a row. */
export function summary({ values, value, n, target }) {
  const middle = value ?? median(values)
  return {
    median: middle,
    ...(values && { min: Math.min(...values), max: Math.max(...values) }),
    n: n ?? values.length,
    ...(target !== undefined && { target, met: middle <= target }),
  }
}

function ascending(values) {
  return [...values].sort((a, b) => a - b)
}
