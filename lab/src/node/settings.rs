//! LDK's settings of the lab's nodes, and its fee estimates.

use lightning::chain::chaininterface::{ConfirmationTarget, FeeEstimator};
use lightning::util::config::UserConfig;

/// The lowest fee rate a node relays, in satoshi per 1,000 weight units: what LDK calls 1 sat/vbyte after rounding.
const FLOOR: u32 = 253;
/// Twice that, so that what the lab signs is above every floor.
const ABOVE_FLOOR: u32 = 500;

/// What LSPs give as `cltv_expiry_delta` in JIT routes, and LDK enforces on their channels.
pub const LSP_CLTV_EXPIRY_DELTA: u16 = 72;

/// Constant fees: the lab's blocks have room for all.
pub(crate) struct LabFees;

impl FeeEstimator for LabFees {
    fn get_est_sat_per_1000_weight(&self, target: ConfirmationTarget) -> u32 {
        match target {
            // A higher minimum would close channels whose opener pays the floor.
            ConfirmationTarget::MinAllowedAnchorChannelRemoteFee
            | ConfirmationTarget::MinAllowedNonAnchorChannelRemoteFee
            | ConfirmationTarget::ChannelCloseMinimum => FLOOR,
            _ => ABOVE_FLOOR,
        }
    }
}

fn common() -> UserConfig {
    let mut config = UserConfig::default();
    // With LDK's 10 % the first payment over a JIT channel would not fit.
    config.channel_handshake_config.max_inbound_htlc_value_in_flight_percent_of_channel = 100;
    config.channel_handshake_config.negotiate_anchors_zero_fee_htlc_tx = false;
    config.channel_handshake_config.announce_for_forwarding = false;
    config.channel_handshake_limits.force_announced_channel_preference = false;
    config.manually_accept_inbound_channels = true;
    config
}

/// An LSP: intercepts, forwards into unannounced channels, for nothing (its fee is the skim).
pub fn lsp_settings() -> UserConfig {
    let mut config = common();
    config.accept_intercept_htlcs = true;
    // The most that BOLT 2 allows: with LDK's 50 the payer could not have a hundred wallets paid at once.
    config.channel_handshake_config.our_max_accepted_htlcs = 483;
    config.accept_forwards_to_priv_channels = true;
    config.channel_config.cltv_expiry_delta = LSP_CLTV_EXPIRY_DELTA;
    config.channel_config.forwarding_fee_base_msat = 0;
    config.channel_config.forwarding_fee_proportional_millionths = 0;
    config
}

/// A node that only pays.
pub fn payer_settings() -> UserConfig {
    common()
}

/// A node that receives through an LSP, skim included.
pub fn client_settings() -> UserConfig {
    let mut config = common();
    config.channel_config.accept_underpaying_htlcs = true;
    config
}
