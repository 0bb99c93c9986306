//! The LSP publishes an old commitment, and takes what it can: its own side after the delay, its HTLCs when they expire.

mod client;

use bitcoin::{OutPoint, Transaction};
use client::{lab, pay, until, Wallet};
use mayfly_lab::cheat::{State, Theft};
use mayfly_lab::hostile::Rules;
use mayfly_lab::lab::Lab;
use mayfly_lab::lsp::options::LspOptions;
use std::sync::Arc;

/// LDK's own: what the lab's clients ask of the LSP.
const DELAY: u32 = 144;

/// A connected wallet whose states the LSP keeps from its first payment on.
async fn watched(lab: &Lab) -> (Wallet, mayfly_core::lsp::JitRoute) {
    let mut wallet = Wallet::new(lab);
    wallet.start().await;
    let route = wallet.register().await;
    lab.memory.watch(wallet.keys.node_id());
    pay(lab, &wallet.invoice(&route, 10_000_000)).await.unwrap();
    wallet.until_balance(10_000_000).await;
    lab.chain.mine(1).unwrap();
    (wallet, route)
}

async fn states(lab: &Lab, wallet: &Wallet) -> Vec<State> {
    lab.with_lsp(|lsp| lsp.role.remember(&lsp.base)).await.unwrap();
    lab.memory.states(&wallet.keys.node_id())
}

/// The LSP publishes that state and goes on from there; its commitment.
async fn cheat(lab: &Lab, state: &State) -> Transaction {
    let keys = lab.with_lsp(|lsp| Arc::clone(lsp.base.loaded.keys())).await.unwrap();
    lab.let_loose(Theft::begin(state, keys, lab.chain.clone()).unwrap());
    let (commitment, height) = lab.chain.transaction(&state.txid).unwrap();
    assert_eq!(height, None, "it waits for its block");
    commitment
}

fn spender(lab: &Lab, outpoint: OutPoint) -> Option<Transaction> {
    let (txid, _) = lab.chain.read(|chain| chain.spender(&outpoint))?;
    lab.chain.transaction(&txid).map(|(transaction, _)| transaction)
}

/// What spends that output, as soon as something does.
async fn spent(lab: &Lab, outpoint: OutPoint) -> Transaction {
    let mut mempool = lab.chain.subscribe_mempool();
    let seen = async {
        loop {
            if let Some(transaction) = spender(lab, outpoint) {
                return transaction;
            }
            mempool.changed().await.unwrap();
        }
    };
    tokio::time::timeout(client::PATIENCE, seen).await.expect("nothing spends it")
}

/// The output of `commitment` that pays so much.
fn output(commitment: &Transaction, sat: u64) -> OutPoint {
    let index = commitment.output.iter().position(|output| output.value.to_sat() == sat).unwrap();
    OutPoint::new(commitment.compute_txid(), index as u32)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_state_is_kept_once_with_what_it_pays_to_whom() {
    let lab = lab(LspOptions::default()).await;
    let (wallet, route) = watched(&lab).await;
    pay(&lab, &wallet.invoice(&route, 5_000_000)).await.unwrap();
    wallet.until_balance(15_000_000).await;
    let states = states(&lab, &wallet).await;
    let shown: Vec<(u64, Vec<u64>)> = states
        .iter()
        .map(|state| (state.client_has.to_sat(), state.htlcs.iter().map(|htlc| htlc.amount.to_sat()).collect()))
        .collect();
    let expected = [(0, vec![]), (0, vec![10_000]), (10_000, vec![]), (10_000, vec![5_000]), (15_000, vec![])].to_vec();
    assert_eq!(shown, expected);
    let all: Vec<u64> = states.iter().map(|state| state.own.to_sat() + state.client_has.to_sat()).collect();
    assert_eq!(all[2], all[4], "the commitment's fee is the same, and nothing is lost");
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thief_whom_nobody_watches_gets_its_side_in_the_first_block_after_the_delay() {
    let lab = lab(LspOptions::default()).await;
    let (mut wallet, route) = watched(&lab).await;
    pay(&lab, &wallet.invoice(&route, 5_000_000)).await.unwrap();
    wallet.until_balance(15_000_000).await;
    wallet.stop();
    let states = states(&lab, &wallet).await;
    let old = &states[2];
    let commitment = cheat(&lab, old).await;
    let own = output(&commitment, old.own.to_sat());
    lab.chain.mine(1).unwrap();
    // Its LDK takes the channel for closed, whichever commitment did it.
    let client = wallet.keys.node_id();
    until(&lab, move |lsp| lsp.base.manager().list_channels_with_counterparty(&client).is_empty()).await;
    lab.chain.mine(DELAY - 2).unwrap();
    assert_eq!(spender(&lab, own), None, "not before its delay is over");
    lab.chain.mine(1).unwrap();
    let sweep = spent(&lab, own).await;
    lab.chain.mine(1).unwrap();
    let (_, height) = lab.chain.transaction(&sweep.compute_txid()).unwrap();
    let (_, published) = lab.chain.transaction(&old.txid).unwrap();
    assert_eq!(height, published.map(|height| height + DELAY));
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thief_times_the_htlcs_of_its_old_state_out_and_spends_them_after_another_delay() {
    let lab = lab(LspOptions::default()).await;
    let (mut wallet, _) = watched(&lab).await;
    wallet.stop();
    let states = states(&lab, &wallet).await;
    let old = states.iter().find(|state| !state.htlcs.is_empty()).unwrap();
    let commitment = cheat(&lab, old).await;
    let htlc = output(&commitment, 10_000);
    lab.chain.mine(1).unwrap();
    let expiry = old.htlcs[0].expiry;
    lab.chain.mine(expiry - lab.chain.height() - 1).unwrap();
    assert_eq!(spender(&lab, htlc), None, "not before it expires");
    lab.chain.mine(1).unwrap();
    let timed_out = spent(&lab, htlc).await;
    lab.chain.mine(1).unwrap();
    assert_eq!(lab.chain.transaction(&timed_out.compute_txid()).unwrap().1, Some(expiry + 1));
    lab.chain.mine(DELAY - 1).unwrap();
    let sweep = spent(&lab, OutPoint::new(timed_out.compute_txid(), 0)).await;
    lab.chain.mine(1).unwrap();
    let (_, height) = lab.chain.transaction(&sweep.compute_txid()).unwrap();
    assert_eq!(height, Some(lab.chain.height()));
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_theft_is_refused_when_the_channel_is_closed_already() {
    let lab = lab(LspOptions::default()).await;
    let (mut wallet, route) = watched(&lab).await;
    pay(&lab, &wallet.invoice(&route, 5_000_000)).await.unwrap();
    wallet.until_balance(15_000_000).await;
    wallet.stop();
    let states = states(&lab, &wallet).await;
    cheat(&lab, &states[4]).await;
    lab.chain.mine(1).unwrap();
    let keys = lab.with_lsp(|lsp| Arc::clone(lsp.base.loaded.keys())).await.unwrap();
    let error = Theft::begin(&states[2], keys, lab.chain.clone()).err().unwrap().to_string();
    assert!(error.contains("missing") || error.contains("conflict"), "{error}");
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_deaf_to_a_fulfilment_still_has_the_htlc_and_hears_it_on_the_next_connection() {
    let lab = Arc::new(lab(LspOptions::default()).await);
    let (mut wallet, route) = watched(&lab).await;
    let deaf = Rules { deaf: vec!["update_fulfill_htlc".into()], ..Rules::default() };
    lab.with_lsp(move |lsp| lsp.base.hostile.set(deaf)).await.unwrap();
    let invoice = wallet.invoice(&route, 5_000_000);
    let paying = tokio::spawn({
        let lab = Arc::clone(&lab);
        async move { pay(&lab, &invoice).await }
    });
    let messages = lab.messages.clone();
    let heard = move |_: &_| messages.since(0).iter().filter(|entry| entry.kind == "update_fulfill_htlc").count() == 3;
    // Of the first payment the wallet's and its own to the payer, and now the wallet's.
    until(&lab, heard).await;
    let last = states(&lab, &wallet).await.pop().unwrap();
    assert_eq!((last.client_has.to_sat(), last.htlcs.len()), (10_000, 1), "for it the wallet has not claimed");
    assert!(!paying.is_finished());
    lab.with_lsp(|lsp| lsp.base.hostile.set(Rules::default())).await.unwrap();
    wallet.stop();
    wallet.start().await;
    paying.await.unwrap().unwrap();
    wallet.until_balance(15_000_000).await;
    lab.stop().await;
}
