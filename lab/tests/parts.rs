//! Payments in several parts: each part is an HTLC that is held, and told by a webhook, of its own.

mod client;

use client::{lab, next, pay_in_parts, webhook, Wallet};
use mayfly_lab::lsp::options::LspOptions;
use mayfly_lab::payer::CHANNEL_SAT;
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_in_two_parts_wakes_the_client_twice_and_is_paid_over_one_channel_for_both() {
    let lab = Arc::new(lab(LspOptions::default()).await);
    lab.open_payer_channel(CHANNEL_SAT).await.unwrap();
    let channels = lab.payer_channels().await.unwrap();
    assert!(channels.len() == 2 && channels.iter().all(|channel| channel.usable), "{channels:?}");
    let mut wallet = Wallet::new(&lab);
    wallet.start().await;
    let route = wallet.register().await;
    wallet.stop();
    let mut posted = webhook(&lab, &wallet).await;
    let invoice = wallet.invoice(&route, 30_000_000);
    let paying = tokio::spawn({
        let (lab, invoice) = (lab.clone(), invoice.clone());
        async move { pay_in_parts(&lab, &invoice, 20_000_000).await }
    });
    for _ in 0..2 {
        assert_eq!(next(&mut posted).await["paymentHash"], invoice.payment_hash);
    }
    let held = lab.with_lsp(|lsp| lsp.role.held()).await.unwrap();
    assert_eq!(held.len(), 2);
    assert_eq!(held.iter().map(|htlc| htlc.amount_msat).sum::<u64>(), 30_000_000);
    assert!(held.iter().all(|htlc| htlc.amount_msat <= 20_000_000), "{held:?}");

    wallet.start().await;
    paying.await.unwrap().unwrap();
    wallet.until_balance(30_000_000).await;
    assert_eq!(wallet.channels().await.len(), 1);
    assert!(posted.try_recv().is_err(), "no third webhook");
    // Each of the payer's channels paid a part.
    let paid = lab.payer_channels().await.unwrap();
    for (before, after) in channels.iter().zip(&paid) {
        assert!(after.out_msat < before.out_msat, "{before:?} {after:?}");
    }
    wallet.stop();
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_second_channel_a_payment_that_must_be_split_has_no_route() {
    let lab = lab(LspOptions::default()).await;
    let mut wallet = Wallet::new(&lab);
    wallet.start().await;
    let route = wallet.register().await;
    let invoice = wallet.invoice(&route, 30_000_000);
    let error = pay_in_parts(&lab, &invoice, 20_000_000).await.unwrap_err();
    assert!(error.contains("no route"), "{error}");
    assert_eq!(pay_in_parts(&lab, &invoice, 30_000_000).await.unwrap().fee_msat, 0);
    wallet.stop();
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_alone_is_failed_when_its_hold_ends_and_the_payer_has_all_of_it_back() {
    let lab = lab(LspOptions { hold_ms: 50, ..LspOptions::default() }).await;
    lab.open_payer_channel(CHANNEL_SAT).await.unwrap();
    let before = lab.payer_channels().await.unwrap();
    let mut wallet = Wallet::new(&lab);
    wallet.start().await;
    let route = wallet.register().await;
    wallet.stop();
    let error = pay_in_parts(&lab, &wallet.invoice(&route, 30_000_000), 20_000_000).await.unwrap_err();
    assert!(error.contains("failed on its way"), "{error}");
    let back = async {
        while lab.payer_channels().await.unwrap() != before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(client::PATIENCE, back).await.expect("the payer did not get it back");
    lab.stop().await;
}
