//! A wallet whose channel is closed by its own commitment before the LSP has said anything: an HTLC is about to expire, or the
//! user asked for it. With whatever old store that happens, no revoked commitment goes out; with the newest, ours does.

use super::Pair;
use crate::store::Rows;
use bitcoin::block::{Header, Version};
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, CompactTarget, Transaction, TxMerkleNode};
use lightning::chain::channelmonitor::Balance;
use lightning::chain::Confirm;

/// `CLTV_CLAIM_BUFFER` of LDK, which is not public: so many blocks before its expiry a claimed HTLC closes its channel.
const CLAIM_BUFFER: u32 = 36;

/// A block that nothing is checked of.
fn header(height: u32) -> Header {
    Header {
        version: Version::TWO,
        prev_blockhash: BlockHash::all_zeros(),
        merkle_root: TxMerkleNode::all_zeros(),
        time: 1_700_000_000 + height,
        bits: CompactTarget::from_consensus(0x207f_ffff),
        nonce: 0,
    }
}

/// A wallet with two payments, and a third that is claimed and committed, and whose fulfilment the LSP has not heard.
async fn claimed_not_fulfilled() -> Pair {
    let mut pair = Pair::with_channel().await;
    for amount in [250_000_000, 150_000_000] {
        let invoice = pair.mint(Some(amount));
        pair.pay(&invoice, amount, 144);
        pair.settle().await;
    }
    pair.wallet.events.clear();
    let invoice = pair.mint(Some(5_000_000));
    pair.pay(&invoice, 5_000_000, 144);
    for _ in 0..40 {
        pair.lsp.turn().await;
        pair.wallet.turn().await;
        if pair.wallet.has_event("PaymentClaimed") {
            return pair;
        }
        pair.carry_one_each();
    }
    panic!("nothing was claimed: {:?}", pair.wallet.events);
}

fn expiry(pair: &Pair) -> u32 {
    let channels = pair.wallet.loaded.manager().list_channels();
    channels[0].pending_inbound_htlcs[0].cltv_expiry
}

/// The wallet's chain grows to that height.
fn at_height(pair: &Pair, height: u32) {
    let (manager, monitors) = (pair.wallet.loaded.manager(), pair.wallet.loaded.monitors());
    manager.best_block_updated(&header(height), height);
    monitors.best_block_updated(&header(height), height);
}

fn close(pair: &Pair) {
    let manager = pair.wallet.loaded.manager();
    let id = manager.list_channels()[0].channel_id;
    manager.force_close_broadcasting_latest_txn(&id, &pair.lsp.id(), "a test".to_owned()).unwrap();
}

/// Whether the LSP, which sees this commitment in a block, could take all of it.
async fn is_revoked(lsp: &Rows, commitment: &Transaction) -> bool {
    let pair = Pair::of(lsp, &Rows::new()).await;
    let monitors = pair.lsp.loaded.monitors();
    monitors.transactions_confirmed(&header(1), &[(1, commitment)], 1);
    let balances = monitors.get_monitor(monitors.list_monitors()[0]).unwrap().get_claimable_balances();
    balances.iter().any(|balance| matches!(balance, Balance::CounterpartyRevokedOutputClaimable { .. }))
}

/// Restarts both, and the chain or the user closes the wallet's channel before they meet.
async fn closed_before_they_meet(lsp: &Rows, wallet: &Rows) -> Pair {
    let mut pair = Pair::of(lsp, wallet).await;
    close(&pair);
    pair.wallet.turn().await;
    assert!(pair.wallet.committer.stats().commits > 0, "the close is committed");
    assert!(pair.wallet.broadcast.is_empty() && pair.wallet.loaded.broadcasts().is_in_doubt());
    pair
}

#[tokio::test]
async fn the_newest_store_closes_with_its_commitment_and_its_claim_once_the_lsp_has_spoken() {
    let mut pair = claimed_not_fulfilled().await;
    let (lsp, wallet) = (pair.lsp.rows_now(), pair.wallet.store.rows());
    pair = Pair::of(&lsp, &wallet).await;
    let expiry = expiry(&pair);
    at_height(&pair, expiry - CLAIM_BUFFER - 1);
    pair.wallet.turn().await;
    assert!(!pair.wallet.has_event("ChannelClosed"));
    at_height(&pair, expiry - CLAIM_BUFFER);
    pair.wallet.turn().await;
    assert!(pair.wallet.has_event("ChannelClosed") && pair.wallet.broadcast.is_empty());
    assert_eq!(pair.wallet.loaded.broadcasts().expiry_in_doubt(), Some(expiry), "what the claim's script says");

    pair.connect();
    pair.settle().await;
    assert_eq!(pair.wallet.fault_code(), None);
    let [commitment, claim] = pair.wallet.broadcast.as_slice() else { panic!("{:?}", pair.wallet.broadcast) };
    assert_eq!(claim.input[0].previous_output.txid, commitment.compute_txid());
    assert!(!is_revoked(&lsp, commitment).await);
    assert!(pair.wallet.said.is_empty(), "a closed channel is not talked about: {:?}", pair.wallet.said);
}

#[tokio::test]
async fn a_lsp_that_fulfils_in_time_keeps_the_channel_open() {
    let mut pair = claimed_not_fulfilled().await;
    let (lsp, wallet) = (pair.lsp.rows_now(), pair.wallet.store.rows());
    pair = Pair::of(&lsp, &wallet).await;
    let expiry = expiry(&pair);
    at_height(&pair, expiry - CLAIM_BUFFER - 1);
    pair.connect();
    pair.settle().await;
    assert!(pair.lsp.has_event("PaymentSent") && pair.wallet.usable());
    at_height(&pair, expiry + 100);
    pair.settle().await;
    assert!(!pair.wallet.has_event("ChannelClosed") && pair.wallet.broadcast.is_empty());
}

#[tokio::test]
async fn whatever_old_store_closes_before_the_lsp_has_spoken_no_revoked_commitment_goes_out() {
    let pair = claimed_not_fulfilled().await;
    let (lsp, history) = (pair.lsp.rows_now(), pair.wallet.history);
    let newest = history.len() - 1;
    let (mut noticed, mut punishable) = (0, 0);
    for (age, old) in history.iter().enumerate() {
        let mut pair = closed_before_they_meet(&lsp, old).await;
        let what = format!("commit {age} of {newest}");
        pair.connect();
        pair.settle().await;
        assert!(pair.wallet.said.is_empty(), "{what}: {:?}", pair.wallet.said);
        assert!(!pair.lsp.has_event("ChannelClosed"), "{what}");
        if let Some(code) = pair.wallet.fault_code() {
            noticed += 1;
            assert_eq!(code, "STATE_CORRUPT", "{what}");
            assert!(pair.wallet.loaded.fault().reason().unwrap().message.contains("older than"), "{what}");
            assert!(pair.wallet.broadcast.is_empty(), "{what}");
            let held = Pair::of(&Rows::new(), &pair.wallet.store.rows()).await;
            held.wallet.loaded.monitors().rebroadcast_pending_claims();
            held.wallet.loaded.broadcasts().trust_all();
            let commitment = held.wallet.loaded.broadcasts().take().remove(0);
            let revoked = is_revoked(&lsp, &commitment).await;
            // The first ones have nothing of ours that could be taken.
            assert!(revoked || commitment.output.len() == 1, "{what}: without reason");
            punishable += usize::from(revoked);
        } else {
            assert!(!is_revoked(&lsp, &pair.wallet.broadcast[0]).await, "{what}");
        }
    }
    assert!(punishable >= 4 && noticed < newest, "{punishable} of {noticed} noticed, {newest} old states");
}

#[tokio::test]
async fn a_close_that_an_earlier_session_committed_is_in_doubt_again_and_still_judged() {
    let pair = claimed_not_fulfilled().await;
    let (lsp, history) = (pair.lsp.rows_now(), pair.wallet.history.clone());
    for (old, revoked) in [(&history[0], true), (history.last().unwrap(), false)] {
        let earlier = closed_before_they_meet(&lsp, old).await;
        let mut pair = Pair::of(&lsp, &earlier.wallet.store.rows()).await;
        pair.wallet.loaded.monitors().rebroadcast_pending_claims();
        pair.wallet.turn().await;
        assert!(pair.wallet.broadcast.is_empty() && pair.wallet.loaded.broadcasts().is_in_doubt());
        pair.connect();
        pair.settle().await;
        assert_eq!(pair.wallet.fault_code(), revoked.then_some("STATE_CORRUPT"));
        assert_eq!(pair.wallet.broadcast.is_empty(), revoked);
        assert!(pair.wallet.said.is_empty(), "{:?}", pair.wallet.said);
    }
}

#[tokio::test]
async fn without_the_lsp_the_commitment_goes_when_the_patience_ends_and_not_without_the_lease() {
    let pair = claimed_not_fulfilled().await;
    let (lsp, newest) = (pair.lsp.rows_now(), pair.wallet.store.rows());
    let mut pair = closed_before_they_meet(&lsp, &newest).await;
    pair.wallet.loaded.broadcasts().trust_all();
    pair.wallet.turn().await;
    assert_eq!(pair.wallet.broadcast.len(), 2, "the commitment and the claim");

    let pair = closed_before_they_meet(&lsp, &newest).await;
    let claimant = crate::store::Claimant::of_process(2);
    let mut successor = pair.wallet.store.store();
    drop(pair.wallet.committer);
    crate::store::Store::claim_and_load(&mut successor, &claimant).await.unwrap();
    pair.wallet.loaded.broadcasts().trust_all();
    assert!(pair.wallet.loaded.wants_commit(), "it goes with a commit, which a fenced holder has none of");
}

#[tokio::test]
async fn after_the_store_moved_no_patience_ends_the_doubt_and_the_lsps_word_does() {
    let pair = claimed_not_fulfilled().await;
    let (lsp, history) = (pair.lsp.rows_now(), pair.wallet.history);
    for (state, revoked) in [(&history[0], true), (history.last().unwrap(), false)] {
        let mut pair = Pair::of(&lsp, state).await;
        let broadcasts = std::sync::Arc::clone(pair.wallet.loaded.broadcasts());
        broadcasts.only_the_peer_ends_doubt();
        close(&pair);
        pair.wallet.turn().await;
        broadcasts.trust_all();
        pair.wallet.turn().await;
        assert!(pair.wallet.broadcast.is_empty() && broadcasts.is_in_doubt());
        assert!(broadcasts.is_doubt_firm());
        pair.connect();
        pair.settle().await;
        assert_eq!(pair.wallet.fault_code(), revoked.then_some("STATE_CORRUPT"));
        assert_eq!(pair.wallet.broadcast.is_empty(), revoked);
        assert_eq!(broadcasts.is_doubt_firm(), revoked, "whether a later session must ask again");
    }
}

#[tokio::test]
async fn a_channel_that_is_given_up_is_never_closed_by_us_also_if_it_was_closed_before() {
    let pair = claimed_not_fulfilled().await;
    let (lsp, history) = (pair.lsp.rows_now(), pair.wallet.history);
    let mut pair = closed_before_they_meet(&lsp, &history[0]).await;
    pair.wallet.loaded.messages().recovery().allow();
    pair.connect();
    pair.settle().await;
    pair.wallet.loaded.broadcasts().trust_all();
    pair.wallet.turn().await;
    assert_eq!(pair.wallet.fault_code(), None);
    assert!(pair.wallet.broadcast.is_empty());
    assert_eq!(pair.wallet.loaded.messages().recovery().given_up().len(), 1);
}
