//! What the message gate holds, what it lets pass, and what it drops.

use super::pair::{hand_over, name};
use super::{load, Pair};
use crate::error::{Code, Error};
use crate::store::memory::Lost;
use crate::store::{Batch, Rows};
use lightning::chain::chaininterface::BroadcasterInterface;
use lightning::ln::msgs::{BaseMessageHandler, ChannelMessageHandler, ErrorMessage, MessageSendEvent};
use lightning::ln::types::ChannelId;
use std::time::Duration;

fn names(events: &[MessageSendEvent]) -> Vec<&'static str> {
    events.iter().map(name).collect()
}

/// Up to the point where the wallet has LDK's answer to `funding_created` in its gate, and nothing is committed.
async fn before_funding_signed() -> Pair {
    let mut pair = Pair::of(&Rows::new(), &Rows::new()).await;
    pair.connect();
    pair.open_channel();
    loop {
        pair.lsp.turn().await;
        let funding = pair.lsp.wire.front().is_some_and(|event| name(event) == "funding_created");
        pair.carry_one_each();
        pair.wallet.drive();
        if funding {
            return pair;
        }
        pair.wallet.send();
    }
}

fn sent(pair: &Pair) -> Vec<&'static str> {
    names(&pair.wallet.loaded.messages().get_and_clear_pending_msg_events())
}

#[tokio::test]
async fn accept_channel_leaves_without_a_commit_and_funding_signed_does_not() {
    let mut pair = before_funding_signed().await;
    assert_eq!(pair.wallet.said, ["accept_channel"]);
    assert_eq!(pair.wallet.committer.stats().commits, 0);
    assert!(pair.wallet.loaded.wants_commit());
    assert!(sent(&pair).is_empty());
    let cut = pair.wallet.loaded.cut(Batch::default());
    assert!(sent(&pair).is_empty(), "a cut that is not committed lets nothing go");
    pair.wallet.committer.commit(&cut.batch).await.unwrap();
    assert!(sent(&pair).is_empty(), "only the gate's opening lets it go");
    pair.wallet.loaded.open_gate(cut);
    assert_eq!(sent(&pair), ["funding_signed", "channel_ready"]);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_fails_lets_nothing_go_then_or_later() {
    let mut pair = before_funding_signed().await;
    pair.wallet.store.fence();
    assert!(pair.wallet.loaded.wants_commit());
    assert_eq!(pair.wallet.commit().await.unwrap_err().code, Code::Fenced);
    assert!(sent(&pair).is_empty());

    let mut pair = before_funding_signed().await;
    for _ in 0..100 {
        pair.wallet.store.lose_commit(Lost::Request);
    }
    assert!(pair.wallet.loaded.wants_commit());
    assert_eq!(pair.wallet.commit().await.unwrap_err().code, Code::StoreUnavailable);
    assert!(sent(&pair).is_empty());
}

#[tokio::test]
async fn what_is_held_released_or_in_a_cut_is_dropped_when_its_peer_disconnects() {
    // Held.
    let mut pair = before_funding_signed().await;
    let lsp = pair.lsp.id();
    assert!(pair.wallet.loaded.wants_commit());
    pair.wallet.loaded.messages().peer_disconnected(lsp);
    pair.wallet.turn().await;
    assert_eq!(pair.wallet.said, ["accept_channel"]);
    // Released.
    let mut pair = before_funding_signed().await;
    pair.wallet.commit().await.unwrap();
    pair.wallet.loaded.messages().peer_disconnected(lsp);
    assert!(sent(&pair).is_empty());
    // In a cut whose commit is on its way, also when the peer is back before it is through.
    let mut pair = before_funding_signed().await;
    let cut = pair.wallet.loaded.cut(Batch::default());
    pair.disconnect();
    pair.connect();
    pair.wallet.committer.commit(&cut.batch).await.unwrap();
    pair.wallet.loaded.open_gate(cut);
    let said = sent(&pair);
    assert!(!said.contains(&"funding_signed") && !said.contains(&"channel_ready"), "{said:?}");
}

#[tokio::test]
async fn what_one_peer_loses_another_keeps() {
    let mut pair = before_funding_signed().await;
    let stranger = bitcoin::secp256k1::PublicKey::from_slice(&[2; 33]).unwrap();
    pair.wallet.commit().await.unwrap();
    let init = lightning::ln::msgs::Init {
        features: pair.wallet.loaded.messages().provided_init_features(stranger),
        networks: None,
        remote_network_address: None,
    };
    pair.wallet.loaded.messages().peer_connected(stranger, &init, true).unwrap();
    pair.wallet.loaded.messages().peer_disconnected(stranger);
    assert_eq!(sent(&pair), ["funding_signed", "channel_ready"]);
}

#[tokio::test]
async fn a_reestablish_needs_no_commit_of_its_own_unless_a_monitor_waits_for_one() {
    let mut pair = Pair::with_channel().await;
    pair.disconnect();
    pair.lsp.turn().await;
    pair.wallet.turn().await;
    let commits = pair.wallet.committer.stats().commits;
    pair.connect();
    pair.lsp.turn().await;
    pair.carry_one_each();
    assert_eq!(sent(&pair)[0], "channel_reestablish");
    assert_eq!(pair.wallet.committer.stats().commits, commits);
}

/// A wallet with an HTLC whose commitment is in memory only, so that its next reestablish would tell of uncommitted state.
async fn with_an_uncommitted_commitment() -> Pair {
    let mut pair = Pair::with_channel().await;
    let invoice = pair.mint(Some(5_000_000));
    pair.pay(&invoice, 5_000_000, 144);
    pair.lsp.turn().await;
    let add = pair.lsp.wire.pop_front().unwrap();
    hand_over(&pair.wallet, pair.lsp.id(), add);
    pair
}

#[tokio::test]
async fn a_reestablish_waits_while_a_monitor_is_queued() {
    let mut pair = with_an_uncommitted_commitment().await;
    pair.disconnect();
    pair.connect();
    pair.lsp.send();
    pair.carry_one_each();
    assert!(sent(&pair).is_empty());
    pair.wallet.turn().await;
    assert!(pair.wallet.said.contains(&"channel_reestablish"), "{:?}", pair.wallet.said);
    pair.settle().await;
    assert!(pair.wallet.has_event("PaymentClaimed"));
}

#[tokio::test]
async fn a_reestablish_waits_while_a_commit_is_on_its_way() {
    let mut pair = with_an_uncommitted_commitment().await;
    // 1. The cut is taken: no monitor is queued any more, and nothing is durable yet.
    let cut = pair.wallet.loaded.cut(Batch::default());
    // 2. The connection breaks and is made again, and LDK wants to reestablish from the state in memory.
    pair.disconnect();
    pair.connect();
    pair.lsp.send();
    pair.carry_one_each();
    // 3. A process that died here would be asked about a commitment that its store does not know.
    assert!(sent(&pair).is_empty());
    // 4. The commit is through.
    pair.wallet.committer.commit(&cut.batch).await.unwrap();
    pair.wallet.loaded.open_gate(cut);
    pair.wallet.send();
    assert_eq!(pair.wallet.said.last(), Some(&"channel_reestablish"));
    pair.settle().await;
    assert!(pair.wallet.has_event("PaymentClaimed"));
}

#[tokio::test]
async fn nothing_overtakes_what_the_same_peer_has_in_a_cut() {
    let mut pair = before_funding_signed().await;
    let cut = pair.wallet.loaded.cut(Batch::default());
    pair.open_channel();
    pair.lsp.turn().await;
    pair.carry_one_each();
    pair.wallet.drive();
    assert!(sent(&pair).is_empty(), "accept_channel of a second channel waits behind funding_signed");
    pair.wallet.committer.commit(&cut.batch).await.unwrap();
    pair.wallet.loaded.open_gate(cut);
    assert_eq!(sent(&pair), ["funding_signed", "channel_ready", "accept_channel"]);
}

#[tokio::test]
async fn our_reestablish_waits_for_the_peers_which_may_tell_that_our_state_is_old() {
    let mut pair = Pair::with_channel().await;
    pair.disconnect();
    pair.connect();
    assert!(!pair.wallet.loaded.wants_commit());
    assert!(sent(&pair).is_empty());
    pair.lsp.send();
    assert_eq!(names(pair.lsp.wire.make_contiguous()), ["channel_reestablish"]);
    pair.carry_one_each();
    assert_eq!(sent(&pair)[0], "channel_reestablish");
    // A new connection begins anew.
    pair.disconnect();
    pair.connect();
    assert!(sent(&pair).is_empty());
}

#[tokio::test]
async fn before_the_peers_reestablish_an_error_closes_nothing_and_after_it_the_channel_it_names() {
    let mut pair = Pair::with_channel().await;
    let channel = pair.wallet.loaded.manager().list_channels()[0].channel_id;
    pair.disconnect();
    pair.connect();
    let lsp = pair.lsp.id();
    let say = |pair: &Pair, channel_id| {
        let error = ErrorMessage { channel_id, data: "give up".to_owned() };
        pair.wallet.loaded.messages().handle_error(lsp, &error);
    };
    say(&pair, channel);
    say(&pair, ChannelId::new_zero());
    assert_eq!(pair.wallet.loaded.manager().list_channels().len(), 1);
    pair.settle().await;
    assert!(pair.wallet.usable(), "an honest reestablish is heard all the same");
    say(&pair, ChannelId::new_zero());
    assert!(pair.wallet.loaded.manager().list_channels().is_empty());
}

#[tokio::test]
async fn a_reestablish_that_ldk_would_close_the_channel_for_is_state_corrupt_and_nothing_is_said_or_broadcast() {
    let mut pair = Pair::with_channel().await;
    pair.disconnect();
    pair.connect();
    pair.lsp.send();
    let Some(MessageSendEvent::SendChannelReestablish { mut msg, node_id }) = pair.lsp.wire.pop_front() else {
        panic!("the LSP speaks of its channel first");
    };
    msg.next_remote_commitment_number += 5;
    msg.your_last_per_commitment_secret = [17; 32];
    let said = pair.wallet.said.len();
    hand_over(&pair.wallet, pair.lsp.id(), MessageSendEvent::SendChannelReestablish { node_id, msg });
    assert_eq!(pair.wallet.fault_code(), Some("STATE_CORRUPT"));
    pair.wallet.send();
    assert_eq!(pair.wallet.said.len(), said, "{:?}", pair.wallet.said);
    assert!(pair.wallet.broadcast.is_empty());
}

#[tokio::test]
async fn the_splice_bits_are_not_offered() {
    let pair = Pair::of(&Rows::new(), &Rows::new()).await;
    let theirs = pair.lsp.id();
    let plain = pair.wallet.loaded.manager().provided_init_features(theirs);
    let offered = pair.wallet.loaded.messages().provided_init_features(theirs);
    assert!(plain.supports_splicing_production() || plain.supports_splicing(), "else the gate has nothing to clear");
    assert!(!offered.supports_splicing_production() && !offered.supports_splicing());
    assert!(offered.supports_zero_conf() == plain.supports_zero_conf() && offered.supports_static_remote_key());
}

#[tokio::test]
async fn a_reestablish_for_a_channel_that_the_store_does_not_know_is_state_corrupt_and_nothing_goes_out() {
    let pair = Pair::with_channel().await;
    let mut pair = Pair::of(&pair.lsp.rows_now(), &Rows::new()).await;
    pair.connect();
    pair.settle().await;
    assert_eq!(pair.wallet.fault_code(), Some("STATE_CORRUPT"));
    let reason = pair.wallet.loaded.fault().reason().unwrap();
    assert!(reason.message.contains(&pair.lsp.loaded.manager().list_channels()[0].channel_id.to_string()));
    assert!(pair.wallet.said.is_empty() && pair.wallet.broadcast.is_empty());
    assert!(!pair.lsp.has_event("ChannelClosed"));
}

#[tokio::test]
async fn after_a_fault_nothing_enters_ldk_and_nothing_goes_out() {
    let mut pair = before_funding_signed().await;
    let transaction = super::broadcast::transaction(1);
    pair.wallet.loaded.broadcasts().broadcast_transactions(&[&transaction]);
    let cut = pair.wallet.loaded.cut(Batch::default());
    pair.wallet.committer.commit(&cut.batch).await.unwrap();
    pair.wallet.loaded.fault().raise(Error::new(Code::StateCorrupt, "first"));
    pair.wallet.loaded.fault().raise(Error::new(Code::Internal, "second"));
    assert_eq!(pair.wallet.loaded.fault().reason().unwrap().message, "first");
    assert!(pair.wallet.loaded.open_gate(cut).is_empty(), "a fault during the commit holds its broadcasts, too");
    assert!(sent(&pair).is_empty());
    assert!(!pair.wallet.loaded.wants_commit());
    let before = pair.wallet.rows_now();
    pair.open_channel();
    pair.lsp.send();
    pair.carry_one_each();
    pair.wallet.loaded.messages().peer_disconnected(pair.lsp.id());
    assert!(pair
        .wallet
        .loaded
        .messages()
        .peer_connected(
            pair.lsp.id(),
            &lightning::ln::msgs::Init {
                features: pair.lsp.loaded.manager().provided_init_features(pair.wallet.id()),
                networks: None,
                remote_network_address: None
            },
            false
        )
        .is_err());
    assert_eq!(pair.wallet.rows_now(), before);
    assert!(sent(&pair).is_empty());
}

#[tokio::test]
async fn before_the_wallet_is_loaded_no_peer_gets_in() {
    let keys = super::keys(false);
    let engine = super::engine(&keys);
    let init = lightning::ln::msgs::Init {
        features: lightning::types::features::InitFeatures::empty(),
        networks: None,
        remote_network_address: None,
    };
    assert!(engine.messages().peer_connected(super::keys(true).node_id(), &init, false).is_err());
    assert!(engine.messages().get_and_clear_pending_msg_events().is_empty());
    load(&keys, &Rows::new()).unwrap();
}

#[tokio::test]
async fn each_update_add_htlc_is_counted_so_that_a_goodbye_can_tell_whether_a_payment_came() {
    let mut pair = Pair::with_channel().await;
    assert_eq!(pair.wallet.loaded.messages().htlcs_added(), 0);
    let invoice = pair.mint(Some(5_000_000));
    pair.pay(&invoice, 5_000_000, 144);
    pair.settle().await;
    assert_eq!(pair.wallet.loaded.messages().htlcs_added(), 1);
}

/// LDK tells of an HTLC only once a commitment holds it, and a goodbye between the two would leave it in the peer's channel unheard.
#[tokio::test]
async fn an_htlc_is_pending_from_its_announcement_to_its_commitment_or_the_end_of_the_connection() {
    let mut pair = Pair::with_channel().await;
    let channel = pair.wallet.loaded.manager().list_channels()[0].channel_id;
    let announced = |pair: &Pair| pair.wallet.loaded.messages().has_announced(&channel);
    let lsp = pair.lsp.id();
    for cut in [false, true] {
        let invoice = pair.mint(Some(5_000_000));
        pair.pay(&invoice, 5_000_000, 144);
        pair.lsp.turn().await;
        let Some(MessageSendEvent::UpdateHTLCs { updates, .. }) = pair.lsp.wire.pop_front() else { unreachable!() };
        assert!(!announced(&pair));
        pair.wallet.loaded.messages().handle_update_add_htlc(lsp, &updates.update_add_htlcs[0]);
        let channels = pair.wallet.loaded.manager().list_channels();
        assert!(channels.iter().all(|channel| channel.pending_inbound_htlcs.is_empty()), "LDK tells of it by now");
        assert!(announced(&pair));
        if cut {
            pair.disconnect();
        } else {
            pair.wallet.loaded.messages().handle_commitment_signed(lsp, &updates.commitment_signed[0]);
        }
        assert!(!announced(&pair));
        pair.settle().await;
    }
}

#[tokio::test]
async fn the_run_loop_is_woken_by_a_message_and_by_a_fault() {
    let pair = Pair::of(&Rows::new(), &Rows::new()).await;
    let woken = || tokio::time::timeout(Duration::from_secs(5), pair.wallet.loaded.wake().notified());
    pair.wallet.loaded.fault().raise(Error::fenced());
    woken().await.unwrap();
    let transaction = super::broadcast::transaction(1);
    pair.wallet.loaded.broadcasts().broadcast_transactions(&[&transaction]);
    woken().await.unwrap();
}
