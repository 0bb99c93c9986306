//! The way of a payment through two gates. `Side::send` checks at every batch that left that its state was committed.

use super::{keys, load, Pair};
use crate::checkpoint::rows;
use crate::error::Code;
use crate::store::Rows;
use lightning::util::ser::Writeable;

#[tokio::test]
async fn everything_that_leaves_on_the_way_from_no_channel_to_a_claimed_payment_is_committed_before() {
    let mut pair = Pair::with_channel().await;
    for amount in [1_000, 30_000_000, 200_000_000] {
        let invoice = pair.mint(Some(amount));
        pair.pay(&invoice, amount, 42);
        pair.settle().await;
        assert!(pair.wallet.has_event("PaymentClaimed") && pair.lsp.has_event("PaymentSent"));
        assert!(pair.wallet.loaded.manager().list_channels()[0].pending_inbound_htlcs.is_empty());
        pair.wallet.events.clear();
        pair.lsp.events.clear();
    }
    let commits = pair.wallet.committer.stats().commits;
    assert!(commits >= 3 * 3, "{commits} commits");
    assert_eq!(pair.wallet.said[0], "accept_channel");
    assert_eq!(pair.wallet.fault_code(), None);
}

#[tokio::test]
async fn a_payer_who_sends_less_than_the_invoice_asks_for_is_refused() {
    let mut pair = Pair::with_channel().await;
    let invoice = pair.mint(Some(5_000_000));
    pair.pay(&invoice, 4_999_999, 144);
    pair.settle().await;
    assert!(pair.lsp.has_event("PaymentFailed") && !pair.wallet.has_event("PaymentClaimable"));
    let again = pair.mint(Some(5_000_000));
    pair.pay(&again, 5_000_000, 144);
    pair.settle().await;
    assert!(pair.wallet.has_event("PaymentClaimed"), "{:?}", pair.wallet.events);
}

#[tokio::test]
async fn the_payment_secret_asks_for_no_cltv_so_that_blocks_mined_during_a_wake_cost_nothing() {
    let mut pair = Pair::with_channel().await;
    let invoice = pair.mint(Some(5_000_000));
    assert_eq!(invoice.min_final_cltv_expiry_delta(), 144);
    pair.pay(&invoice, 5_000_000, 42);
    pair.settle().await;
    assert!(pair.wallet.has_event("PaymentClaimed"), "{:?}", pair.wallet.events);
}

#[tokio::test]
async fn an_invoice_without_an_amount_takes_what_the_payer_gives() {
    let mut pair = Pair::with_channel().await;
    let invoice = pair.mint(None);
    pair.pay(&invoice, 1_234_567, 144);
    pair.settle().await;
    assert!(pair.wallet.has_event("PaymentClaimed"));
}

#[tokio::test]
async fn a_wallet_that_dies_at_any_commit_goes_on_from_it() {
    let mut pair = Pair::with_channel().await;
    let invoice = pair.mint(Some(5_000_000));
    pair.wallet.history.clear();
    pair.pay(&invoice, 5_000_000, 144);
    // Step by step, so that each commit of the wallet is met with the LSP's state of that instant.
    let mut deaths = Vec::new();
    for _ in 0..40 {
        pair.lsp.turn().await;
        let commits = pair.wallet.history.len();
        pair.wallet.turn().await;
        if pair.wallet.history.len() > commits {
            // The process dies right after the commit: what it would have sent never left.
            deaths.push((pair.lsp.rows_now(), pair.wallet.store.rows()));
        }
        pair.carry_one_each();
    }
    assert!(deaths.len() >= 3, "{} commits", deaths.len());
    for (lsp, wallet) in deaths {
        let mut pair = Pair::of(&lsp, &wallet).await;
        pair.connect();
        pair.settle().await;
        assert_eq!(pair.wallet.fault_code(), None);
        assert!(pair.lsp.usable() && pair.wallet.usable());
        assert!(pair.wallet.has_event("PaymentClaimed") || pair.lsp.has_event("PaymentSent"));
        assert!(!pair.lsp.has_event("ChannelClosed") && !pair.wallet.has_event("ChannelClosed"));
        assert!(pair.wallet.loaded.manager().list_channels()[0].pending_inbound_htlcs.is_empty());
    }
}

#[tokio::test]
async fn rows_of_which_one_is_missing_or_broken_are_state_corrupt() {
    let pair = Pair::with_channel().await;
    let good = pair.wallet.store.rows();
    load(&pair.wallet.keys, &good).unwrap();
    let keys: Vec<String> = good.keys().cloned().collect();
    let of = |prefix: &str| keys.iter().filter(|key| key.starts_with(prefix)).count();
    assert_eq!((of(rows::MANAGER), of(rows::MONITOR_PREFIX)), (1, 1), "{keys:?}");
    assert_eq!(of(rows::DELTA_PREFIX), keys.len() - 2, "{keys:?}");
    for key in keys {
        let mut missing = good.clone();
        missing.remove(&key);
        let mut short = good.clone();
        short.get_mut(&key).unwrap().truncate(40);
        let mut garbage = good.clone();
        garbage.insert(key.clone(), b"not what LDK writes".to_vec());
        for broken in [missing, short, garbage] {
            let error = load(&pair.wallet.keys, &broken).err().unwrap();
            assert_eq!(error.code, Code::StateCorrupt, "{key}: {error}");
        }
    }
    let mut twice = good.clone();
    let (_, monitor) = good.range(rows::MONITOR_PREFIX.to_owned()..).next().unwrap();
    twice.insert(format!("{}twice", rows::MONITOR_PREFIX), monitor.clone());
    assert_eq!(load(&pair.wallet.keys, &twice).err().unwrap().code, Code::StateCorrupt);
}

#[tokio::test]
async fn the_rows_of_another_wallet_are_state_corrupt_with_channels_and_without() {
    let pair = Pair::with_channel().await;
    let mut rows = pair.wallet.store.rows();
    for _ in 0..2 {
        let error = load(&keys(true), &rows).err().unwrap();
        assert_eq!(error.code, Code::StateCorrupt, "{error}");
        // A wallet that has not been paid yet.
        rows = Rows::from([(rows::MANAGER.to_owned(), load(&keys(false), &Rows::new()).unwrap().manager().encode())]);
        load(&keys(false), &rows).unwrap();
    }
}
