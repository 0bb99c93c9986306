//! Giving channels up whose state is lost, on the user's explicit word (`recover: 'force-close'`).
//!
//! A wallet whose state of a channel is gone or older than the peer's can't go on with it, and must not close it itself: its
//! own commitment may be revoked, and publishing it forfeits everything in the channel. The peer can close it safely. So a
//! channel that is given up is closed towards the peer only: what the peer then publishes pays us our side.
//!
//! What must hold: no transaction that spends the funding output of such a channel leaves this node, in this session and every
//! later one; a channel whose state is current is left alone, also with the word given.

use super::BroadcastGate;
use crate::ldk::{ChainMonitor, ChannelManager};
use bitcoin::secp256k1::PublicKey;
use lightning::ln::msgs::ChannelReestablish;
use lightning::ln::types::ChannelId;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What was given up, and whether more may be.
pub struct Recovery {
    allowed: AtomicBool,
    given_up: Mutex<BTreeSet<ChannelId>>,
    broadcasts: Arc<BroadcastGate>,
}

impl Recovery {
    /// Nothing is given up, and nothing may be.
    pub(super) fn new(broadcasts: Arc<BroadcastGate>) -> Self {
        Recovery { allowed: AtomicBool::new(false), given_up: Mutex::default(), broadcasts }
    }

    /// The user's word.
    pub fn allow(&self) {
        self.allowed.store(true, Ordering::Relaxed);
    }

    /// Whether the word is given.
    pub fn is_allowed(&self) -> bool {
        self.allowed.load(Ordering::Relaxed)
    }

    pub(super) fn broadcasts(&self) -> &BroadcastGate {
        &self.broadcasts
    }

    /// The channels that are given up: the next start must know them.
    pub fn given_up(&self) -> Vec<ChannelId> {
        self.set().iter().copied().collect()
    }

    /// A channel was given up in an earlier session, or is now. What its monitor would publish stays here.
    pub fn remember(&self, channel: ChannelId, monitors: &ChainMonitor) {
        if let Ok(monitor) = monitors.get_monitor(channel) {
            self.broadcasts.never_spend(monitor.get_funding_txo().into_bitcoin_outpoint());
        }
        self.set().insert(channel);
    }

    /// Gives a channel up: the peer is told that it failed.
    pub(super) fn give_up(
        &self,
        channel: ChannelId,
        peer: PublicKey,
        manager: &ChannelManager,
        monitors: &ChainMonitor,
    ) {
        tracing::warn!(%channel, "its state is lost: the channel is given up, and the peer asked to close it");
        self.remember(channel, monitors);
        let reason = "the state of this channel is lost".to_owned();
        if let Err(error) = manager.force_close_broadcasting_latest_txn(&channel, &peer, reason) {
            tracing::debug!(%channel, ?error, "it was closed already");
        }
    }

    fn set(&self) -> MutexGuard<'_, BTreeSet<ChannelId>> {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the peer holds the secret of a commitment that our state has not revoked: LDK panics on it. `ours` is what we would
/// say of the channel. (BOLT 2, message retransmission: `next_revocation_number` and `next_commitment_number`.)
pub(super) fn is_ahead_of(theirs: &ChannelReestablish, ours: &ChannelReestablish) -> bool {
    theirs.next_local_commitment_number != 0
        && theirs.next_remote_commitment_number.saturating_add(1) > ours.next_local_commitment_number
}
