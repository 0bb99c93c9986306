//! An LSP that can't pay for a channel opens none, and says no to the payer at once.

mod client;

use client::{lab, pay, Wallet};
use mayfly_lab::chain::Wallet as Coins;
use mayfly_lab::lab::Lab;
use mayfly_lab::lsp::options::LspOptions;
use std::sync::Arc;

/// Held payments would last until long after the test: what fails fails for another reason.
const FOR_EVER: LspOptions = LspOptions {
    skim_ppm: 0,
    hold_ms: 80_000_000,
    open_sat: 100_000,
    rewake: false,
    mdk_timer: false,
    progress_deadline_ms: None,
    tick_ms: 10_000,
};

/// Leaves the LSP with one coin of about that much.
fn impoverish(lab: &Lab, sat: u64) {
    let (lsp, elsewhere) = (Coins::new("lsp"), Coins::new("elsewhere"));
    // Enough for the fee of more than a hundred inputs, too little for a channel.
    let tx = lsp.pay(&lab.chain, elsewhere.script(), lsp.balance_sats(&lab.chain) - 50_000).unwrap();
    lab.chain.submit(tx).unwrap();
    lab.chain.mine(1).unwrap();
    if sat > 0 {
        lab.chain.fund(lsp.script(), sat).unwrap();
    }
}

/// Neither side has or opens anything, and nothing is held.
async fn nothing_is_left(lab: &Lab, wallet: &Wallet) {
    assert!(lab.with_lsp(|lsp| lsp.role.held()).await.unwrap().is_empty());
    let client = wallet.keys.node_id();
    let left = lab.with_lsp(move |lsp| lsp.base.manager().list_channels_with_counterparty(&client).len()).await;
    assert_eq!(left.unwrap(), 0, "at the LSP");
    wallet.until(|node| node.base.manager().list_channels().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_money_for_a_channel_the_payment_is_failed_and_nothing_is_left() {
    let lab = lab(FOR_EVER).await;
    impoverish(&lab, 0);
    let mut wallet = Wallet::new(&lab);
    wallet.start().await;
    let route = wallet.register().await;
    let error = pay(&lab, &wallet.invoice(&route, 10_000_000)).await.unwrap_err();
    assert!(error.contains("failed on its way"), "{error}");
    nothing_is_left(&lab, &wallet).await;
    let client = wallet.keys.node_id().to_string();
    let log = lab.messages.since(0).into_iter().filter(|entry| entry.peer.as_ref() == Some(&client));
    let kinds: Vec<String> = log.map(|entry| entry.kind).collect();
    assert!(kinds.contains(&"lsps".into()) && !kinds.contains(&"open_channel".into()), "none was begun: {kinds:?}");

    lab.chain.fund(Coins::new("lsp").script(), 1_000_000).unwrap();
    pay(&lab, &wallet.invoice(&route, 10_000_000)).await.unwrap();
    wallet.stop();
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn money_that_is_gone_between_opening_and_paying_leaves_no_half_open_channel() {
    let lab = Arc::new(lab(FOR_EVER).await);
    let mut wallet = Wallet::new(&lab);
    wallet.start().await;
    let route = wallet.register().await;
    // The client's accept_channel waits in the dark until the money is gone.
    let paying = tokio::spawn({
        let (lab, invoice) = (lab.clone(), wallet.invoice(&route, 10_000_000));
        lab.lsp_link.faults().set_black_hole(true);
        async move { pay(&lab, &invoice).await }
    });
    let client = wallet.keys.node_id();
    client::until(&lab, move |lsp| !lsp.base.manager().list_channels_with_counterparty(&client).is_empty()).await;
    impoverish(&lab, 0);
    lab.lsp_link.faults().set_black_hole(false);
    let error = paying.await.unwrap().unwrap_err();
    assert!(error.contains("failed on its way"), "{error}");
    nothing_is_left(&lab, &wallet).await;
    wallet.stop();
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_channels_that_want_the_same_coin_get_it_one_after_the_other() {
    let lab = Arc::new(lab(FOR_EVER).await);
    impoverish(&lab, 1_000_000);
    let mut wallets = [Wallet::new(&lab), Wallet::new(&lab), Wallet::new(&lab)];
    let mut paying = Vec::new();
    for wallet in &mut wallets {
        wallet.start().await;
        let route = wallet.register().await;
        let (lab, invoice) = (lab.clone(), wallet.invoice(&route, 10_000_000));
        paying.push(async move { pay(&lab, &invoice).await });
    }
    let all: Vec<_> = paying.into_iter().map(tokio::spawn).collect();
    for paid in all {
        paid.await.unwrap().unwrap();
    }
    for wallet in &mut wallets {
        wallet.until_balance(10_000_000).await;
        assert_eq!(wallet.channels().await.len(), 1);
        wallet.stop();
    }
    lab.stop().await;
}
