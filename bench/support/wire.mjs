// Round trips of one receive, read from the LSP's log of its messages: each change of direction is half of one. Exact on any
// machine as long as a link's latency is longer than what the two sides think: without latency, messages that travel at the
// same time in both directions can look like an exchange.

/**
 * Before the LSP's first message (`init`): TCP (1), Noise's first and second act (1), and the third act's way to the LSP.
 * The wallet's own `init` travels with that; LDK does not log it as received.
 */
const UNTIL_INIT = 2.5

/** When the preimage was with the LSP. */
export function fulfilledAt(messages) {
  return messages[fulfilment(messages)].at
}

/** From the wallet's TCP connect to the fulfilment's arrival. */
export function roundTripsToFulfilled(messages) {
  const until = messages.slice(0, fulfilment(messages) + 1)
  const flights = until.filter(({ direction }, i) => direction !== until[i - 1]?.direction)
  if (flights[0].type !== 'init') throw new Error(`a connection should begin with init, not ${flights[0].type}`)
  return UNTIL_INIT + flights.length / 2
}

function fulfilment(messages) {
  const index = messages.findIndex(({ direction, type }) => direction === 'got' && type === 'update_fulfill_htlc')
  if (index < 0) throw new Error('the payer has the preimage, but the LSP logged no update_fulfill_htlc')
  return index
}
