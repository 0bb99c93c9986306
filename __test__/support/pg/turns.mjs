// What a node asks of its PostgreSQL, told from the words of its requests. Those over TLS have none.

/** By words that only this request has. A login is what comes before. */
const WORDS = {
  claim: 'LEFT JOIN LATERAL',
  commit: 'seq = seq + 1',
  check: 'UPDATE mayfly.lease SET renewed_at',
  release: 'SET holder = NULL',
  read: 'SELECT m.version, pg_is_in_recovery(), i.key',
}

/** One of `claim`, `commit`, `check`, `release`, `read`, `login`. */
export function kindOf({ request }) {
  const found = Object.entries(WORDS).find(([, words]) => request.includes(words))
  return found ? found[0] : 'login'
}
