//! One invoice, one payment; and what the ledger is asked for that.

use super::till::{Reads, Till};
use crate::error::Code;
use crate::wallet::payment_policy::MIN_BLOCKS_TO_CLAIM;
use crate::wallet::row::TOLD_KEPT;
use futures_util::FutureExt;

/// What invoices ask for.
const CLTV: u32 = 144;

#[tokio::test]
async fn the_ledger_is_asked_once_for_a_payment_and_only_when_it_is_claimable() {
    let mut till = Till::open().await;
    assert_eq!(till.desk.take_asked(), Vec::<Vec<String>>::new(), "neither a boot nor a channel asks");
    let invoice = till.mint(Some(5_000_000));
    assert!(till.paid(&invoice, 5_000_000, CLTV).await);
    let hash = invoice.payment_hash().to_string();
    assert_eq!(till.desk.take_asked(), [[format!("ledger/{hash}")]]);
    assert_eq!((till.desk.ledger(), till.told(), till.balance_msat()), (vec![hash.clone()], vec![hash], 5_000_000));
}

#[tokio::test]
async fn an_invoice_is_paid_once_in_one_session_and_the_second_needs_no_look_up() {
    let mut till = Till::open().await;
    let invoice = till.mint(Some(5_000_000));
    assert!(till.paid(&invoice, 5_000_000, CLTV).await);
    till.desk.take_asked();
    for amount in [5_000_000, 7_000_000] {
        assert!(!till.paid(&invoice, amount, CLTV).await);
    }
    assert!(till.desk.take_asked().is_empty());
    assert_eq!((till.told().len(), till.desk.ledger().len(), till.balance_msat()), (1, 1, 5_000_000));
    let other = till.mint(Some(1_000_000));
    assert!(till.paid(&other, 1_000_000, CLTV).await);
}

#[tokio::test]
async fn an_invoice_is_paid_once_over_many_sessions() {
    let mut till = Till::open().await;
    let invoices: Vec<_> = (0..3).map(|_| till.mint(Some(2_000_000))).collect();
    for invoice in &invoices {
        assert!(till.paid(invoice, 2_000_000, CLTV).await);
    }
    for invoice in &invoices {
        till.restart().await;
        till.settle().await.unwrap();
        assert!(!till.paid(invoice, 2_000_000, CLTV).await);
        assert_eq!((till.told().len(), till.desk.ledger().len(), till.balance_msat()), (3, 3, 6_000_000));
    }
    // What the monitor still holds LDK itself tells at the load; what it has forgotten is the ledger's.
    let asked = till.desk.take_asked().concat();
    assert!(asked.contains(&format!("ledger/{}", invoices[0].payment_hash())), "{asked:?}");
}

#[tokio::test]
async fn an_invoice_is_paid_once_also_when_the_process_died_right_after_the_claims_commit() {
    let mut till = Till::open().await;
    let invoice = till.mint(Some(5_000_000));
    till.begin(&invoice, 5_000_000, CLTV);
    till.steps(|till| !till.desk.ledger().is_empty()).await.unwrap();
    assert!(!till.lsp.has_event("PaymentSent"), "it is committed and not said yet");
    till.restart().await;
    till.settle().await.unwrap();
    assert!(till.outcome(), "LDK claims again what it had claimed");
    assert_eq!((till.told().len(), till.desk.ledger().len(), till.balance_msat()), (1, 1, 5_000_000));
    assert!(!till.paid(&invoice, 5_000_000, CLTV).await);
    assert_eq!((till.told().len(), till.balance_msat()), (1, 5_000_000));
}

#[tokio::test]
async fn a_look_up_that_fails_ends_the_wallet_with_nothing_claimed_and_the_next_start_claims() {
    let mut till = Till::open().await;
    let invoice = till.mint(Some(5_000_000));
    till.desk.reads(Reads::Fail);
    till.begin(&invoice, 5_000_000, CLTV);
    assert_eq!(till.settle().await.unwrap_err().code, Code::StoreUnavailable);
    assert!(till.desk.ledger().is_empty() && !till.lsp.has_event("PaymentSent"));
    till.desk.reads(Reads::Answer);
    till.restart().await;
    till.settle().await.unwrap();
    assert!(till.outcome());
    assert_eq!((till.told().len(), till.desk.ledger().len(), till.balance_msat()), (1, 1, 5_000_000));
}

#[tokio::test]
async fn a_look_up_that_is_dropped_half_way_is_asked_again() {
    let mut till = hanging().await;
    till.desk.reads(Reads::Answer);
    till.settle().await.unwrap();
    assert!(till.outcome());
    assert_eq!((till.told().len(), till.balance_msat()), (1, 5_000_000));
}

#[tokio::test]
async fn a_commit_between_a_payment_and_its_look_up_keeps_the_payment_for_the_next_start() {
    let mut till = hanging().await;
    // As the commit of a JIT route that is learnt meanwhile.
    let committed = till.wallet.commit().await.unwrap();
    assert!(!committed.received && till.desk.ledger().is_empty());
    till.desk.reads(Reads::Answer);
    till.restart().await;
    till.settle().await.unwrap();
    assert!(till.outcome(), "LDK does not make the event anew: it was in the manager's row");
    assert_eq!((till.told().len(), till.balance_msat()), (1, 5_000_000));
}

/// A payment is claimable, and its look-up was dropped while the store was silent.
async fn hanging() -> Till {
    let mut till = Till::open().await;
    let invoice = till.mint(Some(5_000_000));
    till.begin(&invoice, 5_000_000, CLTV);
    till.desk.reads(Reads::Hang);
    assert!(till.settle().now_or_never().is_none());
    assert_eq!(till.desk.take_asked().len(), 1);
    till
}

#[tokio::test]
async fn payments_that_come_together_are_looked_up_together() {
    let mut till = Till::open().await;
    let invoices: Vec<_> = (0..8).map(|_| till.mint(Some(1_000_000))).collect();
    for invoice in &invoices {
        till.begin(invoice, 1_000_000, CLTV);
    }
    till.settle().await.unwrap();
    let asked = till.desk.take_asked();
    assert!(asked.len() < 4, "{} look-ups", asked.len());
    let mut all: Vec<String> = asked.concat();
    all.sort();
    let mut expected: Vec<_> = invoices.iter().map(|invoice| format!("ledger/{}", invoice.payment_hash())).collect();
    expected.sort();
    assert_eq!(all, expected, "each once");
    assert_eq!((till.told().len(), till.balance_msat()), (8, 8_000_000));
}

/// So many at once that the row does not remember all of them.
const BURST: usize = TOLD_KEPT + 8;

fn burst(till: &mut Till) {
    for _ in 0..BURST {
        let invoice = till.mint(Some(1_000_000));
        till.begin(&invoice, 1_000_000, CLTV);
    }
}

#[tokio::test]
async fn the_row_does_not_grow_with_the_payments_of_a_life() {
    let mut till = Till::open().await;
    for round in 1..=2 {
        burst(&mut till);
        till.settle().await.unwrap();
        assert_eq!((till.told().len(), till.desk.ledger().len()), (round * BURST, round * BURST));
        assert_eq!(till.wallet.row.told.len(), TOLD_KEPT);
    }
}

#[tokio::test]
async fn claims_that_ldk_repeats_and_the_row_has_forgotten_are_looked_up_together_and_not_told_again() {
    let mut till = Till::open().await;
    burst(&mut till);
    till.steps(|till| till.desk.ledger().len() == BURST).await.unwrap();
    till.desk.take_asked();
    // It dies before the LSP has any of the preimages.
    till.restart().await;
    till.settle().await.unwrap();
    let asked = till.desk.take_asked();
    assert_eq!(asked.len(), 1, "one round trip: {asked:?}");
    assert!(asked[0].len() >= BURST - TOLD_KEPT, "{asked:?}");
    let mut told = till.told();
    told.sort();
    told.dedup();
    assert_eq!((told.len(), till.told().len(), till.balance_msat()), (BURST, BURST, BURST as u64 * 1_000_000));
    // What LDK may repeat again is not looked up again.
    till.restart().await;
    till.settle().await.unwrap();
    assert_eq!(till.desk.take_asked(), Vec::<Vec<String>>::new());
    assert_eq!(till.told().len(), BURST);
}

#[tokio::test]
async fn of_two_payments_of_one_invoice_that_come_together_one_is_claimed() {
    let mut till = Till::open().await;
    let invoice = till.mint(Some(5_000_000));
    till.begin(&invoice, 5_000_000, CLTV);
    till.begin(&invoice, 5_000_000, CLTV);
    till.settle().await.unwrap();
    assert!(till.lsp.has_event("PaymentSent") && till.lsp.has_event("PaymentFailed"), "{:?}", till.lsp.events);
    assert_eq!((till.told().len(), till.desk.ledger().len(), till.balance_msat()), (1, 1, 5_000_000));
}

#[tokio::test]
async fn a_second_payment_on_its_way_is_never_counted_as_ours() {
    let mut till = Till::open().await;
    let invoice = till.mint(Some(5_000_000));
    assert!(till.paid(&invoice, 5_000_000, CLTV).await);
    till.begin(&invoice, 5_000_000, CLTV);
    let (mut pending, mut moves) = (0, true);
    while moves {
        moves = till.step().await.unwrap();
        let summary = till.wallet.summary();
        pending = pending.max(summary.channels[0].pending_htlcs);
        assert_eq!((summary.balance.lightning_msat, summary.wake_by()), (5_000_000, None));
    }
    assert_eq!(pending, 1);
    assert!(!till.outcome());
}

#[tokio::test]
async fn amounts_from_what_was_asked_to_twice_of_it_are_claimed_as_they_are_and_others_are_not() {
    let mut till = Till::open().await;
    let mut received = 0;
    for (asked, paid, good) in [
        (Some(5_000_000), 4_999_999, false),
        (Some(5_000_000), 5_000_000, true),
        (Some(5_000_000), 10_000_000, true),
        (Some(5_000_000), 10_000_001, false),
        (None, 20_000_003, true),
    ] {
        let invoice = till.mint(asked);
        assert_eq!(till.paid(&invoice, paid, CLTV).await, good, "{paid} of {asked:?}");
        received += if good { paid } else { 0 };
        assert_eq!(till.balance_msat(), received);
        if !good {
            let right = asked.unwrap();
            assert!(till.paid(&invoice, right, CLTV).await, "refused once, it may be paid properly");
            received += right;
        }
    }
}

#[tokio::test]
async fn a_payment_that_leaves_too_few_blocks_is_failed_back_and_one_block_more_is_enough() {
    let mut till = Till::open().await;
    // The payer counts from the block after the best one.
    for (blocks, good) in [(42, false), (MIN_BLOCKS_TO_CLAIM - 2, false), (MIN_BLOCKS_TO_CLAIM - 1, true)] {
        let invoice = till.mint(Some(1_000_000));
        assert_eq!(till.paid(&invoice, 1_000_000, blocks).await, good, "{blocks}");
    }
}
