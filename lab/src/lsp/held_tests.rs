use super::*;
use bitcoin::secp256k1::{Secp256k1, SecretKey};

fn htlc(id: u8, amount_msat: u64) -> HeldHtlc {
    let client = SecretKey::from_slice(&[7; 32]).unwrap().public_key(&Secp256k1::new());
    HeldHtlc { id: InterceptId([id; 32]), client, payment_hash: PaymentHash([id; 32]), amount_msat, since_ms: 0 }
}

fn room(id: u8, usable: bool, limit_msat: u64) -> Room {
    Room { channel: ChannelId([id; 32]), usable, limit_msat }
}

fn planned(held: &[HeldHtlc], rooms: &[Room], options: &LspOptions) -> (Vec<(u8, u8, u64)>, u64) {
    let plan = plan(&held.iter().collect::<Vec<_>>(), rooms, options);
    (plan.forwards.iter().map(|f| (f.id.0[0], f.channel.0[0], f.out_msat)).collect(), plan.missing_msat)
}

#[test]
fn without_a_channel_all_of_it_is_missing() {
    let plan = planned(&[htlc(1, 5_000), htlc(2, 7_000)], &[], &LspOptions::default());
    assert_eq!(plan, (vec![], 12_000));
}

#[test]
fn channels_that_are_being_reestablished_are_waited_for() {
    assert_eq!(planned(&[htlc(1, 5_000)], &[room(1, false, 9_000)], &LspOptions::default()), (vec![], 0));
}

#[test]
fn the_largest_goes_first_and_what_does_not_fit_asks_for_a_channel() {
    let held = [htlc(1, 1_000_000), htlc(2, 8_000_000), htlc(3, 3_000_000)];
    let plan = planned(&held, &[room(9, true, 10_000_000)], &LspOptions::default());
    assert_eq!(plan, (vec![(2, 9, 8_000_000), (1, 9, 1_000_000)], 3_000_000));
}

#[test]
fn the_skim_is_rounded_up_and_never_takes_everything() {
    let options = LspOptions { skim_ppm: 20_000, ..LspOptions::default() };
    assert_eq!(options.skim_msat(1_000_001), 20_001);
    assert_eq!(options.skim_msat(1), 0);
    let plan = planned(&[htlc(1, 1_000_000)], &[room(9, true, 980_000)], &options);
    assert_eq!(plan, (vec![(1, 9, 980_000)], 0));
}

#[test]
fn a_channel_is_half_as_large_again_as_needed_and_never_below_the_minimum() {
    let options = LspOptions::default();
    assert_eq!(channel_sat(1_000, &options), 100_000);
    assert_eq!(channel_sat(100_000_000, &options), 150_000);
    assert_eq!(channel_sat(100_000_001, &options), 150_001);
}
