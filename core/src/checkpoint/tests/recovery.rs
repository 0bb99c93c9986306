//! With the user's word to give channels up whose state is lost: they are closed by the peer, never by us, and no others are.

use super::{engine, keys, Pair};
use crate::chain::fees::Fees;
use crate::checkpoint::rows;
use crate::log::LdkLog;
use crate::store::Rows;
use bitcoin::{OutPoint, Transaction};
use lightning::chain::BestBlock;
use std::sync::Arc;

/// Restarts both from these states, the wallet with the user's word.
async fn meet(lsp: &Rows, wallet: &Rows) -> Pair {
    let mut pair = Pair::of(lsp, wallet).await;
    pair.wallet.loaded.messages().recovery().allow();
    pair.connect();
    pair.settle().await;
    pair
}

fn funding(pair: &Pair) -> OutPoint {
    let monitors = pair.lsp.loaded.monitors();
    let id = monitors.list_monitors()[0];
    let funding = monitors.get_monitor(id).unwrap().get_funding_txo();
    funding.into_bitcoin_outpoint()
}

fn spends(transactions: &[Transaction], output: OutPoint) -> Vec<&Transaction> {
    transactions.iter().filter(|tx| tx.input.iter().any(|input| input.previous_output == output)).collect()
}

/// The LSP's state after two payments, and the wallet's after each of its commits.
async fn two_payments() -> (Rows, Vec<Rows>) {
    let mut pair = Pair::with_channel().await;
    for amount in [250_000_000, 150_000_000] {
        let invoice = pair.mint(Some(amount));
        pair.pay(&invoice, amount, 144);
        pair.settle().await;
    }
    (pair.lsp.rows_now(), pair.wallet.history)
}

#[tokio::test]
async fn whatever_old_state_is_given_up_the_peer_closes_with_its_newest_and_we_publish_nothing() {
    let (lsp, history) = two_payments().await;
    let newest = history.len() - 1;
    let mut given_up = 0;
    for (age, old) in history.iter().enumerate() {
        let pair = meet(&lsp, old).await;
        let what = format!("commit {age} of {newest}: {:?}", pair.wallet.said);
        assert_eq!(pair.wallet.fault_code(), None, "{what}");
        assert_eq!(spends(&pair.wallet.broadcast, funding(&pair)).len(), 0, "{what}");
        let closed = pair.lsp.has_event("ChannelClosed");
        given_up += usize::from(closed);
        if !closed {
            assert!(pair.wallet.usable() && pair.lsp.usable(), "{what}");
            assert!(pair.wallet.loaded.messages().recovery().given_up().is_empty(), "{what}");
            continue;
        }
        assert_ne!(age, newest, "a current state is not given up");
        let closings = spends(&pair.lsp.broadcast, funding(&pair));
        assert!(!closings.is_empty(), "{what}");
        for closing in closings {
            let ours = closing.output.iter().filter(|output| output.value.to_sat() == 400_000);
            assert_eq!(ours.count(), 1, "both payments are in it: {what}");
        }
    }
    assert!(given_up >= newest - 1, "{given_up} of {newest} old states");
}

#[tokio::test]
async fn what_is_given_up_stays_so_after_a_restart_without_the_word() {
    let (lsp, history) = two_payments().await;
    let pair = meet(&lsp, &history[0]).await;
    let given_up = pair.wallet.loaded.messages().recovery().given_up();
    assert_eq!(given_up.len(), 1);
    let output = funding(&pair);

    let again = Pair::of(&pair.lsp.rows_now(), &pair.wallet.store.rows()).await;
    let wallet = &again.wallet;
    wallet.loaded.messages().recovery().remember(given_up[0], wallet.loaded.monitors());
    wallet.loaded.monitors().rebroadcast_pending_claims();
    let monitor = wallet.loaded.monitors().get_monitor(given_up[0]).unwrap();
    monitor.broadcast_latest_holder_commitment_txn(
        wallet.loaded.broadcasts(),
        &Arc::new(Fees::default()),
        &Arc::new(LdkLog::new("test")),
    );
    assert_eq!(spends(&wallet.loaded.broadcasts().take(), output).len(), 0, "not even when it is asked for");
}

#[tokio::test]
async fn an_empty_store_with_the_word_lets_the_peer_close_and_takes_a_new_channel() {
    let (lsp, _) = two_payments().await;
    let mut pair = meet(&lsp, &Rows::new()).await;
    assert_eq!(pair.wallet.fault_code(), None);
    assert!(pair.lsp.has_event("ChannelClosed"));
    assert!(pair.wallet.broadcast.is_empty());
    pair.open_channel();
    pair.settle().await;
    assert!(pair.wallet.usable(), "{:?}", pair.wallet.said);
}

#[tokio::test]
async fn rows_that_do_not_load_are_refused_without_the_word_and_set_aside_with_it() {
    let (_, history) = two_payments().await;
    let newest = history.last().unwrap();
    let monitor = newest.keys().find(|key| key.starts_with(rows::MONITOR_PREFIX)).unwrap().clone();
    for (broken, lost_monitor) in [(rows::MANAGER.to_owned(), false), (monitor.clone(), true)] {
        let mut rows = newest.clone();
        rows.get_mut(&broken).unwrap().truncate(100);
        let best = BestBlock::from_network(bitcoin::Network::Regtest);
        let refused = engine(&keys(false)).load(&rows, best).err().unwrap();
        assert_eq!(refused.code.as_str(), "STATE_CORRUPT");
        assert!(refused.message.contains(&broken) && refused.message.contains("recover"), "{refused}");

        let engine = engine(&keys(false));
        engine.messages().recovery().allow();
        let loaded = engine.load(&rows, best).unwrap();
        assert!(loaded.set_aside().contains(&broken), "{broken}");
        assert_eq!(loaded.manager().list_channels().len(), 0);
        let given_up = loaded.messages().recovery().given_up();
        assert_eq!(given_up.len(), usize::from(!lost_monitor), "what still watches the chain does not publish");
    }
}
