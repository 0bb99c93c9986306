//! Skims, balances and `wakeBy`.

use crate::checkpoint::tests::Pair;
use crate::config::SkimLimit;
use crate::onchain::{Chain, Coin, Place};
use crate::store::Rows;
use crate::wallet::holdings::HoldingsRow;
use crate::wallet::payment_policy::allowed_skim;
use crate::wallet::view::Summary;
use crate::wallet::Holdings;
use bitcoin::hashes::Hash;
use bitcoin::Txid;
use lightning::chain::channelmonitor::HTLC_FAIL_BACK_BUFFER;

/// Nothing but that coin.
fn holding(pair: &Pair, coin_sats: Option<u64>) -> Holdings {
    let place = Place { chain: Chain::External, index: 0 };
    let coins = coin_sats.map(|sats| Coin { txid: Txid::all_zeros(), vout: 0, sats, place }).into_iter().collect();
    Holdings::restore(pair.wallet.loaded.keys(), &Rows::new(), HoldingsRow { coins, ..Default::default() }).unwrap()
}

fn limit(ppm: u64, base_msat: u64) -> SkimLimit {
    SkimLimit { ppm, base_msat }
}

#[test]
fn the_skim_limit_is_of_what_the_sender_paid_and_rounded_up() {
    for (ppm, base, net, skimmed, allowed) in [
        (0, 0, 1_000_000, 10, 0),
        (30_000, 0, 0, 0, 0),
        (30_000, 0, 97_000, 3_000, 3_000),
        (30_000, 0, 96_999, 3_001, 3_000),
        (30_000, 1_000, 97_000, 3_000, 4_000),
        // Up: an LSP that takes the ceiling of its own 3 % is within it.
        (30_000, 0, 1, 0, 1),
        (30_000, 0, 33, 1, 2),
        (1, 0, 999_999, 1, 1),
        (1, 0, 1_000_000, 1, 2),
        (1_000_000, 0, 5, 7, 12),
        (0, 7, 0, 0, 7),
    ] {
        assert_eq!(allowed_skim(limit(ppm, base), net, skimmed), allowed, "{ppm} ppm + {base} of {net} + {skimmed}");
    }
}

#[test]
fn no_amount_overflows_the_skim_limit() {
    let max = u64::MAX;
    assert_eq!(allowed_skim(limit(1_000_000, 0), max, 0), max);
    assert_eq!(allowed_skim(limit(1_000_000, 0), max, max), max);
    assert_eq!(allowed_skim(limit(1_000_000, max), max, max), max);
    assert_eq!(allowed_skim(limit(0, max), max, max), max);
    assert_eq!(allowed_skim(limit(500_000, 0), max, 1), 1 << 63);
    // More ppm than an option allows: still no panic.
    assert_eq!(allowed_skim(limit(max, max), max, max), max);
}

#[test]
fn wake_by_is_the_lowest_expiry_less_ldks_buffer_with_ten_minutes_a_block() {
    assert_eq!(Summary::default().wake_by(), None);
    let mut summary = Summary { height: 800_000, at_ms: 1_000, ..Summary::default() };
    summary.unfulfilled.insert("late".to_owned(), 800_500);
    summary.unfulfilled.insert("soon".to_owned(), 800_144);
    let wake = summary.wake_by().unwrap();
    assert_eq!(wake.height, 800_144 - HTLC_FAIL_BACK_BUFFER);
    assert_eq!(wake.estimated_at_ms, 1_000 + u64::from(144 - HTLC_FAIL_BACK_BUFFER) * 600_000);
    assert_eq!(summary.wake_by_of("late"), Some(800_500 - HTLC_FAIL_BACK_BUFFER));
    assert_eq!(summary.wake_by_of("unknown"), None);
    // Overdue is now, not a time that has gone by; and no expiry underflows.
    summary.height = 800_144;
    assert_eq!(summary.wake_by().unwrap().estimated_at_ms, 1_000);
    summary.unfulfilled.insert("odd".to_owned(), 3);
    assert_eq!(summary.wake_by().unwrap().height, 0);
}

#[tokio::test]
async fn our_balance_is_exact_below_our_reserve_and_above_it() {
    let mut pair = Pair::with_channel().await;
    let own = |pair: &Pair| Summary::of(&pair.wallet.loaded, &holding(pair, Some(7)), |_, _| false).balance;
    assert_eq!((own(&pair).lightning_msat, own(&pair).onchain_sats), (0, 7));
    let mut received = 0;
    // The reserve is 10,000 sat: the third payment passes it.
    for amount in [1, 1_000, 9_998_000, 30_000_000, 100_000_000] {
        let invoice = pair.mint(Some(amount));
        pair.pay(&invoice, amount, 144);
        pair.settle().await;
        received += amount;
        assert_eq!(own(&pair).lightning_msat, received);
        assert!(own(&pair).spendable_msat <= received);
    }
    assert_eq!(own(&pair).pending_close_sats, 0);
}

#[tokio::test]
async fn an_htlc_that_is_in_flight_is_not_ours_yet_and_is_told_of_once_it_is_claimed() {
    let mut pair = Pair::with_channel().await;
    let invoice = pair.mint(Some(5_000_000));
    pair.pay(&invoice, 5_000_000, 144);
    pair.wallet.claims = false;
    pair.settle().await;
    let waiting = Summary::of(&pair.wallet.loaded, &holding(&pair, None), |_, _| false);
    assert_eq!((waiting.balance.lightning_msat, waiting.wake_by()), (0, None));
    assert_eq!(waiting.channels[0].pending_htlcs, 1);
    let hash = *AsRef::<[u8; 32]>::as_ref(invoice.payment_hash());
    let claimed = Summary::of(&pair.wallet.loaded, &holding(&pair, None), |_, htlc| htlc.payment_hash.0 == hash);
    let expiry = pair.wallet.loaded.manager().list_channels()[0].pending_inbound_htlcs[0].cltv_expiry;
    assert_eq!(claimed.wake_by().map(|wake| wake.height), Some(expiry - HTLC_FAIL_BACK_BUFFER));
    assert_eq!(claimed.wake_by_of(&invoice.payment_hash().to_string()), claimed.wake_by().map(|wake| wake.height));
}
