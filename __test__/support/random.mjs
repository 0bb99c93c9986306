// Randomness that a seed repeats (mulberry32).

export class Random {
  #state

  constructor(seed) {
    this.#state = seed >>> 0
  }

  /** 0 ≤ … < 1 */
  unit() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number, 0 ≤ … < end */
  below(end) {
    return Math.floor(this.unit() * end)
  }

  /** A whole number, from ≤ … < end */
  between(from, end) {
    return from + this.below(end - from)
  }

  /** Another one, for something that runs beside this. */
  fork() {
    return new Random(this.below(2 ** 32))
  }
}
