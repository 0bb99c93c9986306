//! What needs no commit needs the store's word; what needs one is not let go by a word alone.

use super::pair::name;
use super::{Pair, Side};
use crate::error::Code;
use crate::lease::tests::{held, Database, HandClocks, TTL};
use crate::store::Rows;
use lightning::chain::chaininterface::BroadcasterInterface;
use lightning::ln::msgs::{BaseMessageHandler, MessageSendEvent};

/// A pair whose wallet lives in a database.
struct Leased {
    pair: Pair,
    database: Database,
    clocks: HandClocks,
}

async fn leased() -> Leased {
    let held = held().await;
    let (database, clocks) = (held.database.clone(), held.clocks.clone());
    let lsp = Side::new(true, &Rows::new()).await;
    let mut pair = Pair { lsp, wallet: Side::held(held) };
    pair.connect();
    Leased { pair, database, clocks }
}

/// With a usable channel, and connected anew: the wallet's `channel_reestablish` is queued, and the LSP's is there.
async fn reconnected() -> Leased {
    let mut leased = leased().await;
    let pair = &mut leased.pair;
    pair.open_channel();
    pair.settle().await;
    assert!(pair.wallet.usable());
    pair.disconnect();
    pair.lsp.turn().await;
    pair.wallet.turn().await;
    leased.database.asked();
    leased.pair.connect();
    leased.pair.lsp.turn().await;
    leased.pair.carry_one_each();
    leased
}

fn sent(pair: &Pair) -> Vec<&'static str> {
    let out: Vec<MessageSendEvent> = pair.wallet.loaded.messages().get_and_clear_pending_msg_events();
    out.iter().map(name).collect()
}

#[tokio::test]
async fn a_reestablish_leaves_after_a_check_that_was_sent_after_it_was_made() {
    let Leased { mut pair, database, .. } = reconnected().await;
    assert!(sent(&pair).is_empty());
    pair.wallet.committer.renew(false).await.unwrap();
    assert_eq!(database.asked(), ["check"], "one round trip");
    // What LDK has to say behind it waits for a commit.
    assert_eq!(sent(&pair), ["channel_reestablish"]);
    pair.settle().await;
    assert!(pair.wallet.usable());
}

#[tokio::test]
async fn a_check_that_was_on_its_way_before_does_not_let_it_go() {
    let mut leased = leased().await;
    let pair = &mut leased.pair;
    pair.open_channel();
    pair.settle().await;
    pair.disconnect();
    let asked = pair.wallet.committer.lease().ask();
    pair.connect();
    pair.lsp.turn().await;
    pair.carry_one_each();
    assert!(sent(pair).is_empty());
    pair.wallet.committer.lease().proven(asked);
    assert!(sent(pair).is_empty());
    pair.wallet.committer.renew(false).await.unwrap();
    assert_eq!(sent(pair)[0], "channel_reestablish");
}

#[tokio::test]
async fn the_check_may_come_before_the_peers_reestablish_does() {
    let mut leased = leased().await;
    let pair = &mut leased.pair;
    pair.open_channel();
    pair.settle().await;
    pair.disconnect();
    pair.lsp.turn().await;
    pair.wallet.turn().await;
    pair.connect();
    // 1. Ours is made, and the store is asked. 2. Theirs arrives: nothing is asked again.
    assert!(sent(pair).is_empty());
    pair.wallet.committer.renew(false).await.unwrap();
    assert!(sent(pair).is_empty());
    leased.database.asked();
    pair.lsp.turn().await;
    pair.carry_one_each();
    assert_eq!(sent(pair)[0], "channel_reestablish");
    assert!(leased.database.asked().is_empty());
}

#[tokio::test]
async fn a_channel_update_asks_for_no_check_and_leaves_with_the_next_one() {
    let mut leased = leased().await;
    let pair = &mut leased.pair;
    pair.open_channel();
    pair.settle().await;
    // A payment, so that nothing of the opening is said again, which would wait for a commit.
    let invoice = pair.mint(Some(1_000_000));
    pair.pay(&invoice, 1_000_000, 144);
    pair.settle().await;
    pair.disconnect();
    pair.lsp.turn().await;
    pair.wallet.turn().await;
    pair.connect();
    assert!(sent(pair).is_empty());
    pair.wallet.committer.renew(false).await.unwrap();
    pair.lsp.turn().await;
    pair.carry_one_each();
    assert_eq!(sent(pair), ["channel_reestablish"]);
    // Made with it. Nobody waits for it: a check that it asked for would only be in the way of the next commit.
    leased.database.asked();
    assert_eq!(pair.wallet.committer.lease().due_at(false), None);
    assert!(sent(pair).is_empty());
    pair.wallet.committer.confirm().await.unwrap();
    assert_eq!(sent(pair), ["channel_update"]);
}

#[tokio::test]
async fn a_holder_that_was_replaced_never_says_its_reestablish() {
    let Leased { mut pair, database, clocks } = reconnected().await;
    clocks.pass(TTL);
    database.pass(TTL);
    database.take_over().await.unwrap();
    assert_eq!(pair.wallet.committer.renew(false).await.unwrap_err().code, Code::Fenced);
    assert!(sent(&pair).is_empty());
}

#[tokio::test]
async fn a_store_that_is_down_keeps_it_back_and_ends_nothing() {
    let Leased { mut pair, database, .. } = reconnected().await;
    database.is_down(true);
    pair.wallet.committer.renew(false).await.unwrap();
    assert!(sent(&pair).is_empty());
    database.is_down(false);
    pair.wallet.committer.confirm().await.unwrap();
    assert_eq!(sent(&pair)[0], "channel_reestablish");
}

#[tokio::test]
async fn accept_channel_leaves_with_a_check_and_before_what_the_next_commit_lets_go() {
    let Leased { mut pair, database, .. } = leased().await;
    pair.open_channel();
    pair.lsp.turn().await;
    pair.carry_one_each();
    pair.wallet.drive();
    assert!(sent(&pair).is_empty());
    assert!(!pair.wallet.loaded.wants_commit());
    pair.wallet.committer.renew(false).await.unwrap();
    assert_eq!(database.asked(), ["check"]);
    assert_eq!(sent(&pair), ["accept_channel"]);
}

#[tokio::test]
async fn a_commit_is_the_stores_word_too_and_the_order_stays() {
    let Leased { mut pair, database, .. } = leased().await;
    pair.open_channel();
    pair.lsp.turn().await;
    pair.carry_one_each();
    pair.wallet.drive();
    assert!(sent(&pair).is_empty());
    database.asked();
    pair.wallet.commit().await.unwrap();
    assert_eq!(sent(&pair), ["accept_channel"]);
    pair.wallet.committer.renew(false).await.unwrap();
    assert_eq!(database.asked(), ["commit"], "nothing else is asked");
}

#[tokio::test]
async fn what_waits_for_the_stores_word_is_dropped_with_its_connection() {
    let Leased { mut pair, .. } = leased().await;
    pair.open_channel();
    pair.lsp.turn().await;
    pair.carry_one_each();
    pair.wallet.drive();
    assert!(sent(&pair).is_empty());
    pair.disconnect();
    pair.connect();
    pair.wallet.committer.confirm().await.unwrap();
    assert!(!sent(&pair).contains(&"accept_channel"));
}

#[tokio::test]
async fn a_transaction_that_a_timer_hands_out_again_waits_for_a_commit_though_no_monitor_changed() {
    let Leased { mut pair, database, .. } = leased().await;
    pair.open_channel();
    pair.settle().await;
    let funding = pair.lsp.broadcast[0].clone();
    database.asked();
    let before = database.wallet.position().seq;
    pair.wallet.loaded.broadcasts().broadcast_transactions(&[&funding]);
    // A check is no fence: the process may freeze before the transaction is on its way.
    pair.wallet.committer.confirm().await.unwrap();
    assert!(pair.wallet.broadcast.is_empty());
    assert!(pair.wallet.loaded.wants_commit());
    pair.wallet.commit().await.unwrap();
    assert_eq!(pair.wallet.broadcast, [funding]);
    assert_eq!(database.asked(), ["check", "commit"]);
    assert_eq!(database.wallet.position().seq.0, before.0 + 1, "a commit of its own");
}

#[tokio::test]
async fn a_transaction_of_a_holder_that_was_replaced_stays() {
    let Leased { mut pair, database, clocks } = leased().await;
    pair.open_channel();
    pair.settle().await;
    let funding = pair.lsp.broadcast[0].clone();
    pair.wallet.loaded.broadcasts().broadcast_transactions(&[&funding]);
    clocks.pass(TTL);
    database.pass(TTL);
    let _successor = database.take_over().await.unwrap();
    assert_eq!(pair.wallet.commit().await.unwrap_err().code, Code::Fenced);
    assert!(pair.wallet.broadcast.is_empty());
}
