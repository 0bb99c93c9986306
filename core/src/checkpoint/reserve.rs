//! How much of a channel its opener may ask the other side to keep. LDK takes any reserve below the whole channel, and tells of it
//! only once the channel is accepted: too late, since `accept_channel` waits for nothing. So the gate looks before LDK does.
//!
//! A reserve takes no money, but what was received and lies below it can only be had by closing the channel.

use lightning::ln::msgs::{ErrorAction, ErrorMessage, MessageSendEvent, OpenChannel};

/// What eclair tolerates, five times BOLT 2's suggestion.
const MOST_PERCENT: u64 = 5;
/// LDK's own least demand: in a small channel it is more than these percents.
const LEAST_SATS: u64 = 1_000;

/// The answer to a channel with too high a reserve.
pub(super) fn refusal(peer: bitcoin::secp256k1::PublicKey, offer: &OpenChannel) -> Option<MessageSendEvent> {
    let data = reason(offer.common_fields.funding_satoshis, offer.channel_reserve_satoshis)?;
    let channel_id = offer.common_fields.temporary_channel_id;
    tracing::warn!(channel = %channel_id, %peer, reason = data, "refused a channel");
    let action = ErrorAction::SendErrorMessage { msg: ErrorMessage { channel_id, data } };
    Some(MessageSendEvent::HandleError { node_id: peer, action })
}

fn reason(capacity_sats: u64, reserve_sats: u64) -> Option<String> {
    let most = (capacity_sats.saturating_mul(MOST_PERCENT) / 100).max(LEAST_SATS);
    (reserve_sats > most).then(|| format!("channel_reserve_satoshis is {reserve_sats}: at most {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_is_at_most_five_percent_or_what_ldk_asks_for_in_a_small_channel() {
        assert_eq!(reason(100_000, 5_000), None);
        assert!(reason(100_000, 5_001).is_some_and(|text| text.contains("5001") && text.contains("5000")));
        assert_eq!(reason(4_000, 1_000), None);
        assert!(reason(4_000, 1_001).is_some());
        assert_eq!(reason(u64::MAX, u64::MAX / 100), None);
    }
}
