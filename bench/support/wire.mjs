// Round trips of one receive, read from the LSP's log of its messages.
//
// What the LSP says can follow from anything that it heard before; what it hears can only follow from what it said at least a
// round trip earlier. So messages that cross each other are not taken for an exchange, and the count is exact on any machine
// whose own delays are shorter than the link's.

/**
 * What comes before the LSP's first message (`init`): TCP (1), Noise's first and second act (1), and the third act's way to
 * the LSP (½). The wallet's own `init` travels with that; LDK does not log it as received.
 */
const UNTIL_INIT = 2.5

/** When the preimage was with the LSP. */
export function fulfilledAt(messages) {
  return fulfilment(messages).at
}

/** From the wallet's TCP connect to the fulfilment's arrival, over a link whose round trip takes `roundTripMs`. */
export function roundTripsToFulfilled(messages, roundTripMs) {
  const last = fulfilment(messages)
  const seen = []
  const soFar = (direction, until) => {
    const causes = seen.filter((one) => one.direction === direction && one.at <= until)
    return causes.length === 0 ? undefined : Math.max(...causes.map((one) => one.roundTrips))
  }
  for (const { at, direction } of messages.slice(0, messages.indexOf(last) + 1)) {
    const cause = direction === 'sent' ? soFar('got', at) : soFar('sent', at - roundTripMs)
    const roundTrips = cause === undefined ? UNTIL_INIT : cause + (direction === 'got' ? 1 : 0)
    seen.push({ at, direction, roundTrips })
  }
  return seen.at(-1).roundTrips
}

function fulfilment(messages) {
  const found = messages.find(({ direction, type }) => direction === 'got' && type === 'update_fulfill_htlc')
  if (found === undefined) throw new Error('the payer has the preimage, but the LSP logged no update_fulfill_htlc')
  return found
}
