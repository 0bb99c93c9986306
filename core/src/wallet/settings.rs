//! How LDK is set for a wallet.

use super::deadlines::PUNISHMENT_BLOCKS;
use lightning::util::config::UserConfig;

/// LDK's settings for a wallet that receives through one LSP.
#[allow(clippy::field_reassign_with_default, reason = "nested settings read better one by one")]
pub fn user_config() -> UserConfig {
    let mut config = UserConfig::default();
    // 0-conf is accepted by hand, from the LSP only.
    config.manually_accept_inbound_channels = true;
    config.channel_handshake_limits.force_announced_channel_preference = false;
    config.channel_handshake_config.max_inbound_htlc_value_in_flight_percent_of_channel = 100;
    config.channel_handshake_config.announce_for_forwarding = false;
    config.channel_handshake_config.our_to_self_delay = PUNISHMENT_BLOCKS;
    // An anchor channel would need on-chain funds of ours to bump its commitment.
    config.channel_handshake_config.negotiate_anchors_zero_fee_htlc_tx = false;
    config.channel_config.accept_underpaying_htlcs = true;
    config
}
