use crate::chain::fees::{Fees, FLOOR_SAT_PER_KW};
use lightning::chain::chaininterface::{ConfirmationTarget, FeeEstimator};
use std::collections::BTreeMap;

const ALL: [ConfirmationTarget; 8] = [
    ConfirmationTarget::MaximumFeeEstimate,
    ConfirmationTarget::UrgentOnChainSweep,
    ConfirmationTarget::MinAllowedAnchorChannelRemoteFee,
    ConfirmationTarget::MinAllowedNonAnchorChannelRemoteFee,
    ConfirmationTarget::AnchorChannelFee,
    ConfirmationTarget::NonAnchorChannelFee,
    ConfirmationTarget::ChannelCloseMinimum,
    ConfirmationTarget::OutputSpendingFee,
];

fn rates(fees: &Fees) -> Vec<u32> {
    ALL.iter()
        .map(|target| fees.get_est_sat_per_1000_weight(*target))
        .collect()
}

fn rate(fees: &Fees, target: ConfirmationTarget) -> u32 {
    fees.get_est_sat_per_1000_weight(target)
}

fn updated(estimates: &[(u16, f64)]) -> Fees {
    let fees = Fees::default();
    fees.update(&estimates.iter().copied().collect());
    fees
}

fn minima_are_the_relay_minimum(fees: &Fees) {
    assert_eq!(rate(fees, ConfirmationTarget::MinAllowedAnchorChannelRemoteFee), 253);
    assert_eq!(rate(fees, ConfirmationTarget::MinAllowedNonAnchorChannelRemoteFee), 253);
}

#[test]
fn before_any_estimate_there_are_sane_values() {
    let fees = Fees::default();
    assert!(
        rates(&fees)
            .iter()
            .all(|rate| (FLOOR_SAT_PER_KW..=12_500).contains(rate)),
        "{:?}",
        rates(&fees)
    );
    minima_are_the_relay_minimum(&fees);
}

#[test]
fn estimates_are_taken_by_how_soon_each_must_confirm() {
    let fees = updated(&[(1, 100.0), (6, 50.0), (12, 40.0), (144, 8.0), (1_008, 2.0)]);
    assert_eq!(rates(&fees), [27_500, 12_500, 253, 253, 500, 10_000, 2_000, 10_000]);
}

#[test]
fn an_estimate_that_is_missing_is_replaced_by_a_faster_one_or_else_by_the_fastest() {
    let fees = updated(&[(3, 30.0), (25, 10.0)]);
    assert_eq!(rate(&fees, ConfirmationTarget::MaximumFeeEstimate), 7_500 + 2_500);
    assert_eq!(rate(&fees, ConfirmationTarget::UrgentOnChainSweep), 7_500);
    assert_eq!(rate(&fees, ConfirmationTarget::ChannelCloseMinimum), 2_500);
}

#[test]
fn a_stale_or_mad_server_can_not_raise_the_minima_that_close_channels() {
    for sat_per_vb in [0.1, 1.0, 500.0, 9_999.0, 1e12] {
        minima_are_the_relay_minimum(&updated(&[(1, sat_per_vb), (144, sat_per_vb), (1_008, sat_per_vb)]));
    }
}

#[test]
fn whatever_comes_stays_between_the_relay_minimum_and_a_sane_maximum() {
    let low = updated(&[(1, 0.000_001), (1_008, 0.000_001)]);
    assert_eq!(rates(&low), [5_000, 253, 253, 253, 253, 253, 253, 253]);
    let high = updated(&[(1, 9_999.0), (1_008, 9_999.0)]);
    assert_eq!(
        rates(&high),
        [250_000, 125_000, 253, 253, 2_500, 125_000, 12_500, 50_000]
    );
}

#[test]
fn absurd_estimates_leave_what_was_known() {
    let known = rates(&updated(&[(1, 33.0)]));
    let fees = updated(&[(1, 33.0)]);
    for absurd in [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        0.0,
        -1.0,
        10_001.0,
        f64::MAX,
    ] {
        assert!(!fees.update(&BTreeMap::from([(1, absurd)])), "{absurd}");
    }
    assert!(!fees.update(&BTreeMap::new()));
    assert_eq!(rates(&fees), known);
}

#[test]
fn an_update_says_whether_there_is_something_to_save() {
    let fees = Fees::default();
    assert!(fees.update(&BTreeMap::from([(1, 33.0)])));
    assert!(!fees.update(&BTreeMap::from([(1, 33.0)])));
    assert!(fees.update(&BTreeMap::from([(1, 34.0)])));
}

#[test]
fn what_is_saved_is_loaded() {
    let fees = updated(&[(1, 100.0), (6, 50.0), (144, 8.0)]);
    assert_eq!(rates(&Fees::load(&fees.save())), rates(&fees));
}

#[test]
fn saved_values_that_are_damaged_or_out_of_bounds_do_no_harm() {
    let damaged: [&[u8]; 5] = [b"", b"{}", b"{\"maximum\":1", b"\xff", b"{\"maximum\":-1}"];
    for bytes in damaged {
        assert_eq!(rates(&Fees::load(bytes)), rates(&Fees::default()));
    }
    let text = String::from_utf8(Fees::default().save()).unwrap();
    let all = |value: &str| {
        let map: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
        map.keys()
            .map(|key| format!("\"{key}\":{value}"))
            .collect::<Vec<_>>()
            .join(",")
    };
    let low = Fees::load(format!("{{{}}}", all("0")).as_bytes());
    assert_eq!(rates(&low), [5_000, 253, 253, 253, 253, 253, 253, 253]);
    let high = Fees::load(format!("{{{}}}", all("4294967295")).as_bytes());
    assert_eq!(
        rates(&high),
        [250_000, 125_000, 253, 253, 2_500, 125_000, 12_500, 50_000]
    );
}
