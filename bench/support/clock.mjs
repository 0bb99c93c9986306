// One clock for all processes of a measurement: monotonic and system-wide, so that the webhook's arrival here and the
// payment's arrival there can be subtracted. `performance.now()` starts anew in each process.

/** Milliseconds since the machine's start. */
export const now = () => Number(process.hrtime.bigint()) / 1e6
