//! The policy alone; `__test__/hostile_channels.test.mjs` has an LSP break it.

use super::*;

fn params(htlc_minimum_msat: u64) -> ChannelParameters {
    ChannelParameters {
        dust_limit_satoshis: 354,
        max_htlc_value_in_flight_msat: 100_000_000,
        htlc_minimum_msat,
        commitment_feerate_sat_per_1000_weight: 253,
        to_self_delay: 144,
        max_accepted_htlcs: 483,
    }
}

fn offered(push_msat: u64, announced: bool, htlc_minimum_msat: u64, used: &[bool]) -> Option<String> {
    let funds = InboundChannelFunds::PushMsat(push_msat);
    refusal(&funds, announced, &params(htlc_minimum_msat), used.iter().copied())
}

#[test]
fn a_channel_as_lsps_open_them_is_taken() {
    assert_eq!(offered(0, false, 1, &[]), None);
    assert_eq!(offered(0, false, MAX_HTLC_MINIMUM_MSAT, &[false; MAX_UNUSED - 1]), None);
}

#[test]
fn a_wallet_with_many_channels_in_use_takes_more() {
    assert_eq!(offered(0, false, 1, &[true; 100]), None);
}

#[test]
fn each_offence_is_refused_with_its_value() {
    for (refusal, says) in [
        (offered(1, false, 1, &[]), "push_msat is 1"),
        (offered(0, true, 1, &[]), "not announced"),
        (offered(0, false, MAX_HTLC_MINIMUM_MSAT + 1, &[]), "htlc_minimum_msat is 1000001"),
        (offered(0, false, 1, &[false; MAX_UNUSED]), "8 channels"),
    ] {
        assert!(refusal.as_ref().is_some_and(|text| text.contains(says)), "{refusal:?}");
    }
}
