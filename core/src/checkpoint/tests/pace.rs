//! How long a leaving node listens: as long as the peer took to answer.

use super::pair::name;
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

/// The peer revokes, and says behind it what that means for our side; between the two nothing is pending here any more.
#[tokio::test(start_paused = true)]
async fn behind_a_revocation_that_removed_a_payment_a_wallet_listens_for_the_commitment_that_follows() {
    let mut pair = Pair::with_channel().await;
    // So that no earlier revocation is what is listened for.
    let invoice = pair.mint(Some(5_000_000));
    pair.pay(&invoice, 5_000_000, 144);
    while !pair.wallet.has_event("PaymentClaimed") || pending(&pair) > 0 {
        pair.lsp.turn().await;
        pair.wallet.turn().await;
        advance(Duration::from_secs(2)).await;
        pair.carry_one_each();
    }
    assert!(pair.lsp.wire.iter().any(|event| name(event) == "update_htlcs"), "its commitment is on its way");
    let listens = pair.wallet.loaded.messages().listen_until();
    assert!(listens.is_some_and(|until| until > Instant::now()), "{listens:?}");
    pair.carry_one_each();
    let listens = pair.wallet.loaded.messages().listen_until();
    assert!(listens.is_none_or(|until| until <= Instant::now()), "{listens:?}: it came");
    pair.settle().await;
    assert_eq!(pair.lsp.loaded.manager().list_channels()[0].pending_outbound_htlcs.len(), 0);
}

fn pending(pair: &Pair) -> usize {
    pair.wallet.loaded.manager().list_channels()[0].pending_inbound_htlcs.len()
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
