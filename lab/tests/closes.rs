//! The LSP closes: with the client's help, when it comes, or without.

mod client;

use bitcoin::OutPoint;
use client::{lab, next, pay, until, webhook, Wallet};
use mayfly_lab::lab::Lab;
use mayfly_lab::lsp::options::LspOptions;
use std::sync::Arc;

/// A connected wallet that was paid over a channel, whose funding is confirmed.
async fn paid(lab: &Lab) -> (Wallet, mayfly_core::lsp::JitRoute, OutPoint) {
    let mut wallet = Wallet::new(lab);
    wallet.start().await;
    let route = wallet.register().await;
    pay(lab, &wallet.invoice(&route, 20_000_000)).await.unwrap();
    wallet.until_balance(20_000_000).await;
    lab.chain.mine(1).unwrap();
    let funding = wallet.channels().await[0].funding_txo.unwrap().into_bitcoin_outpoint();
    (wallet, route, funding)
}

async fn close(lab: &Lab, wallet: &Wallet, force: bool) {
    let client = wallet.keys.node_id();
    let closed = lab.with_lsp(move |lsp| lsp.role.close(&lsp.base, client, force)).await.unwrap();
    assert_eq!(closed.len(), 1);
}

/// Waits until the funding output is spent in the mempool or the chain; by what.
async fn spent(lab: &Lab, funding: OutPoint) -> bitcoin::Transaction {
    let mut mempool = lab.chain.subscribe_mempool();
    let seen = async {
        loop {
            if let Some((txid, _)) = lab.chain.read(|chain| chain.spender(&funding)) {
                return lab.chain.transaction(&txid).unwrap().0;
            }
            mempool.changed().await.unwrap();
        }
    };
    tokio::time::timeout(client::PATIENCE, seen).await.expect("nothing spends the channel")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cooperative_close_of_a_connected_client_pays_both_out_and_the_next_payment_opens_anew() {
    let lab = lab(LspOptions::default()).await;
    let (mut wallet, route, funding) = paid(&lab).await;
    close(&lab, &wallet, false).await;
    let closing = spent(&lab, funding).await;
    assert_eq!(
        (closing.input.len(), closing.output.len()),
        (1, 2),
        "no commitment: each is paid to a script of its own"
    );
    assert!(closing.output.iter().any(|output| output.value.to_sat() == 20_000), "{closing:?}");
    wallet.until(|node| node.base.manager().list_channels().is_empty()).await;
    pay(&lab, &wallet.invoice(&route, 5_000_000)).await.unwrap();
    wallet.until_balance(5_000_000).await;
    wallet.stop();
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cooperative_close_waits_for_the_client_and_a_payment_meanwhile_comes_over_a_new_channel() {
    let lab = Arc::new(lab(LspOptions::default()).await);
    let (mut wallet, route, funding) = paid(&lab).await;
    wallet.stop();
    let client = wallet.keys.node_id();
    until(&lab, move |lsp| !lsp.base.port.is_connected(&client)).await;
    let mut posted = webhook(&lab, &wallet).await;
    close(&lab, &wallet, false).await;
    let paying = tokio::spawn({
        let (lab, invoice) = (lab.clone(), wallet.invoice(&route, 5_000_000));
        async move { pay(&lab, &invoice).await }
    });
    next(&mut posted).await;
    assert!(lab.chain.read(|chain| chain.spender(&funding)).is_none(), "nothing happens without the client");
    wallet.start().await;
    paying.await.unwrap().unwrap();
    let closing = spent(&lab, funding).await;
    assert!(closing.output.iter().any(|output| output.value.to_sat() == 20_000), "{closing:?}");
    wallet.until_balance(5_000_000).await;
    wallet.stop();
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_close_needs_nobody_and_its_commitment_holds_what_the_client_has() {
    let lab = lab(LspOptions::default()).await;
    let (mut wallet, _, funding) = paid(&lab).await;
    wallet.stop();
    close(&lab, &wallet, true).await;
    let commitment = spent(&lab, funding).await;
    assert!(
        commitment.output.iter().any(|output| output.value.to_sat() == 20_000),
        "the client's balance: {commitment:?}"
    );
    let client = wallet.keys.node_id();
    until(&lab, move |lsp| lsp.base.manager().list_channels_with_counterparty(&client).is_empty()).await;
    lab.chain.mine(1).unwrap();
    assert_eq!(lab.chain.transaction(&commitment.compute_txid()).unwrap().1, Some(lab.chain.height()));
    lab.stop().await;
}
