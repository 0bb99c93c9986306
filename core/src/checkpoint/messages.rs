//! Holds every channel message until its cut is committed, and stops what must never be answered.
//!
//! Stands as channel message handler between LDK's peer manager and its channel manager. The channel manager is set when the
//! wallet is loaded (`attach`), so that TCP and Noise's first act can run beside the load.
//!
//! What a peer says about a channel is judged by its `channel_reestablish` first: see `reestablish.rs`. Until that has passed,
//! nothing else that the peer says about that channel reaches LDK (BOLT 2 lets it say nothing else). A store that went back in
//! time must not be closed with: the peer would take all of it as the penalty for a revoked commitment, and a hostile one would
//! only have to send an `error` to get it.

use super::pace::Pace;
use super::queues::{Parcel, Queues};
use super::recovery::Recovery;
use super::reestablish::fallen_behind;
use super::{reserve, Fault, PersistQueue};
use crate::error::Error;
use crate::failpoint::{self, Point};
use crate::guard;
use crate::ldk::{ChainMonitor, ChannelManager};
use crate::lease::Lease;
use bitcoin::constants::ChainHash;
use bitcoin::secp256k1::PublicKey;
use lightning::ln::msgs::*;
use lightning::ln::types::ChannelId;
use lightning::types::features::{InitFeatures, NodeFeatures};
use std::any::Any;
use std::collections::HashSet;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::Notify;
use tokio::time::Instant;

pub(super) struct Attached {
    pub(super) manager: Arc<ChannelManager>,
    pub(super) monitors: Arc<ChainMonitor>,
}

/// The gate. See the module's head.
pub struct MessageGate {
    attached: OnceLock<Attached>,
    queues: Mutex<Queues>,
    pace: Mutex<Pace>,
    pub(super) queue: Arc<PersistQueue>,
    pub(super) recovery: Recovery,
    pub(super) fault: Fault,
    pub(super) wake: Arc<Notify>,
    htlcs_added: AtomicU64,
    /// Channels with an HTLC that was announced and that no commitment holds yet: LDK does not tell of those.
    announced: Mutex<HashSet<ChannelId>>,
    pub(super) answers_unknown_channels: AtomicBool,
}

impl MessageGate {
    /// A gate without a channel manager: nothing passes yet.
    pub fn new(
        queue: Arc<PersistQueue>,
        recovery: Recovery,
        fault: Fault,
        wake: Arc<Notify>,
        lease: Arc<Lease>,
    ) -> Self {
        MessageGate {
            attached: OnceLock::new(),
            queues: Mutex::new(Queues::under(lease)),
            pace: Mutex::default(),
            queue,
            recovery,
            fault,
            wake,
            htlcs_added: AtomicU64::new(0),
            announced: Mutex::default(),
            answers_unknown_channels: AtomicBool::new(false),
        }
    }

    /// Lets LDK answer a `channel_reestablish` for a channel that no monitor knows, which gives that channel up. For a node
    /// that opens channels: its peers rightly remember some that it dropped before they were funded. Such a node also says
    /// its own `channel_reestablish` first: two that wait for each other would wait for ever. And it closes when it must: it stays,
    /// and its peers do not.
    pub fn answer_unknown_channels(&self) {
        self.answers_unknown_channels.store(true, Ordering::Relaxed);
        self.queues().speak_first();
        self.recovery.broadcasts().never_doubt();
    }

    /// The channels that are given up, and whether more may be.
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Sets the loaded channel manager, once.
    pub(super) fn attach(&self, manager: Arc<ChannelManager>, monitors: Arc<ChainMonitor>) {
        let _ = self.attached.set(Attached { manager, monitors });
    }

    /// How many `update_add_htlc` peers have sent: tells a departing node whether a payment came while it said goodbye.
    pub fn htlcs_added(&self) -> u64 {
        self.htlcs_added.load(Ordering::Relaxed)
    }

    /// Whether an HTLC was announced whose commitment has still to come: the peer has it in the channel already.
    pub fn has_announced(&self, channel: &ChannelId) -> bool {
        self.announced().contains(channel)
    }

    fn announced(&self) -> MutexGuard<'_, HashSet<ChannelId>> {
        self.announced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until when the peer may still have something to say to our last revocation: leaving earlier cuts it short.
    pub fn listen_until(&self) -> Option<Instant> {
        self.pace().listen_until()
    }

    /// Moves what LDK wants to send into the gate. True if something waits for a commit.
    pub(super) fn pull(&self) -> bool {
        let Some(pulled) = self.pending_in_ldk() else { return false };
        let mut queues = self.queues();
        queues.push(pulled, self.queue.is_empty());
        queues.has_held()
    }

    pub(super) fn pending_in_ldk(&self) -> Option<Vec<MessageSendEvent>> {
        self.enter("get_and_clear_pending_msg_events", |attached| attached.manager.get_and_clear_pending_msg_events())
    }

    /// Whether the peer has still to say, on this connection, what it knows of one of our ready channels.
    pub fn awaits_reestablish(&self, peer: PublicKey) -> bool {
        self.queues().awaits_ready(peer)
    }

    /// Whether it has still to say it of this one.
    pub fn awaits_reestablish_of(&self, peer: PublicKey, channel: ChannelId) -> bool {
        self.queues().awaits(peer, channel)
    }

    /// What waits for a commit; the caller commits it.
    pub(super) fn take_held(&self) -> Parcel {
        self.queues().take_held()
    }

    /// Lets messages go whose cut is committed.
    pub(super) fn release(&self, parcel: Parcel) {
        self.queues().release(parcel, self.queue.is_empty());
    }

    pub(super) fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The channel manager, unless the node is over.
    fn open_attached(&self) -> Option<&Attached> {
        if self.fault.is_raised() {
            return None;
        }
        self.attached.get()
    }

    /// Hands a peer's message to LDK and wakes the run loop, which looks at what came of it.
    pub(super) fn deliver<T>(&self, what: &'static str, call: impl FnOnce(&Attached) -> T) -> Option<T> {
        let result = self.enter(what, |attached| {
            failpoint::reached(Point::MidPeerMessage);
            call(attached)
        });
        self.wake.notify_one();
        result
    }

    /// Whether this comes before the `channel_reestablish` that must come first; it is passed over.
    fn is_premature(&self, what: &'static str, peer: PublicKey, channel: ChannelId) -> bool {
        let premature = self.queues().awaits(peer, channel);
        if premature {
            tracing::warn!(%peer, %channel, what, "passed over: it came before the channel_reestablish of its channel");
        }
        premature
    }

    /// Calls into LDK; a panic of LDK ends the node instead of the thread that reads the socket.
    pub(super) fn enter<T>(&self, what: &'static str, call: impl FnOnce(&Attached) -> T) -> Option<T> {
        let attached = self.open_attached()?;
        match catch_unwind(AssertUnwindSafe(|| call(attached))) {
            Ok(value) => Some(value),
            Err(panic) => {
                self.fault.raise(explain_panic(what, panic));
                None
            }
        }
    }
}

/// LDK panics on purpose when a peer proves that our state has fallen behind; any other panic is a bug.
fn explain_panic(what: &str, panic: Box<dyn Any + Send>) -> Error {
    if guard::text(panic.as_ref()).contains("fallen behind") {
        return fallen_behind("(unknown)");
    }
    guard::explain(what, panic)
}

impl BaseMessageHandler for MessageGate {
    fn get_and_clear_pending_msg_events(&self) -> Vec<MessageSendEvent> {
        if self.pull() {
            self.wake.notify_one();
        }
        if self.fault.is_raised() {
            return Vec::new();
        }
        let released = self.queues().take_released();
        self.pace().leaves(&released);
        released
    }

    fn peer_disconnected(&self, peer: PublicKey) {
        self.deliver("peer_disconnected", |attached| attached.manager.peer_disconnected(peer));
        self.queues().disconnected(peer);
        self.pace().disconnected();
        self.announced().clear();
    }

    fn provided_node_features(&self) -> NodeFeatures {
        self.enter("provided_node_features", |attached| attached.manager.provided_node_features())
            .unwrap_or_else(NodeFeatures::empty)
    }

    fn provided_init_features(&self, peer: PublicKey) -> InitFeatures {
        let mut features = self
            .enter("provided_init_features", |attached| attached.manager.provided_init_features(peer))
            .unwrap_or_else(InitFeatures::empty);
        // LDK 0.2.7 can't rescale its in-flight limits when a splice locks: a splicing LSP could then push an HTLC that
        // makes us close the channel. Without the bit an LSP opens a channel instead.
        features.clear_splicing();
        features.clear_splicing_production();
        features
    }

    fn peer_connected(&self, peer: PublicKey, init: &Init, inbound: bool) -> Result<(), ()> {
        let known = self.enter("channel look-up", |attached| {
            let channels = attached.manager.list_channels_with_counterparty(&peer).into_iter();
            let channels = channels.map(|channel| (channel.channel_id, channel.is_channel_ready));
            channels.filter(|(id, _)| attached.monitors.get_monitor(*id).is_ok()).collect::<Vec<_>>()
        });
        self.queues().connected(peer, known.unwrap_or_default());
        self.deliver("peer_connected", |attached| attached.manager.peer_connected(peer, init, inbound))
            .unwrap_or(Err(()))
    }
}

/// Forwards messages as they are.
macro_rules! forward {
    ($($method:ident($message:ty)),* $(,)?) => {
        $(fn $method(&self, peer: PublicKey, message: $message) {
            self.deliver(stringify!($method), |attached| attached.manager.$method(peer, message));
        })*
    };
}

/// Forwards messages about a channel, once the peer has reestablished it.
macro_rules! forward_in_order {
    ($($method:ident($message:ty)),* $(,)?) => {
        $(fn $method(&self, peer: PublicKey, message: $message) {
            if !self.is_premature(stringify!($method), peer, message.channel_id) {
                self.deliver(stringify!($method), |attached| attached.manager.$method(peer, message));
            }
        })*
    };
}

impl ChannelMessageHandler for MessageGate {
    forward!(
        handle_open_channel_v2(&OpenChannelV2),
        handle_accept_channel(&AcceptChannel),
        handle_accept_channel_v2(&AcceptChannelV2),
        handle_funding_created(&FundingCreated),
        handle_funding_signed(&FundingSigned),
        handle_peer_storage(PeerStorage),
        handle_peer_storage_retrieval(PeerStorageRetrieval),
        handle_channel_update(&ChannelUpdate),
    );

    forward_in_order!(
        handle_channel_ready(&ChannelReady),
        handle_shutdown(&Shutdown),
        handle_closing_signed(&ClosingSigned),
        handle_stfu(&Stfu),
        handle_splice_init(&SpliceInit),
        handle_splice_ack(&SpliceAck),
        handle_splice_locked(&SpliceLocked),
        handle_tx_add_input(&TxAddInput),
        handle_tx_add_output(&TxAddOutput),
        handle_tx_remove_input(&TxRemoveInput),
        handle_tx_remove_output(&TxRemoveOutput),
        handle_tx_complete(&TxComplete),
        handle_tx_signatures(&TxSignatures),
        handle_tx_init_rbf(&TxInitRbf),
        handle_tx_ack_rbf(&TxAckRbf),
        handle_tx_abort(&TxAbort),
        handle_update_fulfill_htlc(UpdateFulfillHTLC),
        handle_update_fail_htlc(&UpdateFailHTLC),
        handle_update_fail_malformed_htlc(&UpdateFailMalformedHTLC),
        handle_update_fee(&UpdateFee),
        handle_announcement_signatures(&AnnouncementSignatures),
    );

    fn handle_open_channel(&self, peer: PublicKey, message: &OpenChannel) {
        match reserve::refusal(peer, message) {
            Some(answer) => {
                self.queues().push(vec![answer], self.queue.is_empty());
                self.wake.notify_one();
            }
            None => drop(
                self.deliver("handle_open_channel", |attached| attached.manager.handle_open_channel(peer, message)),
            ),
        }
    }

    fn handle_error(&self, peer: PublicKey, message: &ErrorMessage) {
        if message.channel_id.is_zero() && self.queues().awaits_any(peer) {
            // It means all channels: those whose state is known to be current.
            let channels =
                self.enter("channel look-up", |attached| attached.manager.list_channels_with_counterparty(&peer));
            for channel in channels.unwrap_or_default() {
                self.handle_error(peer, &ErrorMessage { channel_id: channel.channel_id, data: message.data.clone() });
            }
        } else if !self.is_premature("handle_error", peer, message.channel_id) {
            self.deliver("handle_error", |attached| attached.manager.handle_error(peer, message));
        }
    }

    fn handle_update_add_htlc(&self, peer: PublicKey, message: &UpdateAddHTLC) {
        if self.is_premature("handle_update_add_htlc", peer, message.channel_id) {
            return;
        }
        self.htlcs_added.fetch_add(1, Ordering::Relaxed);
        self.announced().insert(message.channel_id);
        self.deliver("handle_update_add_htlc", |attached| attached.manager.handle_update_add_htlc(peer, message));
    }

    fn handle_revoke_and_ack(&self, peer: PublicKey, message: &RevokeAndACK) {
        if self.is_premature("handle_revoke_and_ack", peer, message.channel_id) {
            return;
        }
        self.pace().answered();
        self.deliver("handle_revoke_and_ack", |attached| attached.manager.handle_revoke_and_ack(peer, message));
    }

    fn handle_commitment_signed(&self, peer: PublicKey, message: &CommitmentSigned) {
        if self.is_premature("handle_commitment_signed", peer, message.channel_id) {
            return;
        }
        self.pace().heard_commitment();
        self.announced().remove(&message.channel_id);
        self.deliver("handle_commitment_signed", |attached| attached.manager.handle_commitment_signed(peer, message));
    }

    fn handle_commitment_signed_batch(&self, peer: PublicKey, channel: ChannelId, batch: Vec<CommitmentSigned>) {
        if self.is_premature("handle_commitment_signed_batch", peer, channel) {
            return;
        }
        self.pace().heard_commitment();
        self.announced().remove(&channel);
        self.deliver("handle_commitment_signed_batch", |attached| {
            attached.manager.handle_commitment_signed_batch(peer, channel, batch);
        });
    }

    fn handle_channel_reestablish(&self, peer: PublicKey, message: &ChannelReestablish) {
        self.hear_reestablish(peer, message);
    }

    fn get_chain_hashes(&self) -> Option<Vec<ChainHash>> {
        self.enter("get_chain_hashes", |attached| attached.manager.get_chain_hashes()).flatten()
    }

    fn message_received(&self) {
        self.enter("message_received", |attached| attached.manager.message_received());
    }
}
