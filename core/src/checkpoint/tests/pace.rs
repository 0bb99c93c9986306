//! How long a leaving node listens: as long as the peer took to answer.

use super::Pair;
use lightning::ln::msgs::BaseMessageHandler;
use std::time::Duration;
use tokio::time::{advance, Instant};

/// `settle`, with that much time between a message and the next. Returns when the wallet last said something.
async fn settle_slowly(pair: &mut Pair, each: Duration) -> Instant {
    let mut spoke = Instant::now();
    loop {
        pair.lsp.turn().await;
        let said = pair.wallet.said.len();
        pair.wallet.turn().await;
        if pair.wallet.said.len() > said {
            spoke = Instant::now();
        }
        if pair.lsp.wire.is_empty() && pair.wallet.wire.is_empty() {
            return spoke;
        }
        advance(each).await;
        pair.carry_one_each();
    }
}

async fn paid_slowly(each: Duration) -> (Pair, Instant) {
    let mut pair = Pair::with_channel().await;
    let invoice = pair.mint(Some(5_000_000));
    pair.pay(&invoice, 5_000_000, 144);
    let spoke = settle_slowly(&mut pair, each).await;
    assert_eq!(pair.wallet.said.last(), Some(&"revoke_and_ack"));
    (pair, spoke)
}

#[tokio::test(start_paused = true)]
async fn behind_its_last_revocation_a_wallet_listens_for_longer_the_longer_the_peer_took_to_answer() {
    let mut before = Duration::ZERO;
    for each in [0, 10, 100].map(Duration::from_millis) {
        let (pair, spoke) = paid_slowly(each).await;
        let listens = pair.wallet.loaded.messages().listen_until().unwrap() - spoke;
        // There and back.
        assert!(listens > 2 * each, "{listens:?} for {each:?}");
        assert!(listens > before, "{listens:?} for {each:?}");
        before = listens;
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_was_away_is_not_waited_for() {
    let (pair, spoke) = paid_slowly(Duration::from_secs(60)).await;
    assert_eq!(pair.wallet.loaded.messages().listen_until(), Some(spoke + Duration::from_secs(1)));
}

#[tokio::test]
async fn without_a_revocation_on_this_connection_nothing_is_listened_for() {
    let mut pair = Pair::with_channel().await;
    assert_eq!(pair.wallet.loaded.messages().listen_until(), None, "opening a channel revokes nothing");
    let invoice = pair.mint(Some(5_000_000));
    pair.pay(&invoice, 5_000_000, 144);
    pair.settle().await;
    assert!(pair.wallet.loaded.messages().listen_until().is_some());
    let lsp = pair.lsp.id();
    pair.wallet.loaded.messages().peer_disconnected(lsp);
    assert_eq!(pair.wallet.loaded.messages().listen_until(), None);
}
