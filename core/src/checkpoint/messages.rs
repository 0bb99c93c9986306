//! Holds every channel message until its cut is committed, and stops what must never be answered.
//!
//! Stands as channel message handler between LDK's peer manager and its channel manager. The channel manager is set when the
//! wallet is loaded (`attach`), so that TCP and Noise's first act can run beside the load.
//!
//! Two things end the node here, before LDK sends or broadcasts anything (`STATE_CORRUPT`):
//! * a `channel_reestablish` for a channel that no monitor knows: LDK would answer one that is *made to* force-close;
//! * LDK's own panic when the peer proves that our state is older than what it saw.

use super::{Fault, PersistQueue};
use crate::error::{Code, Error};
use crate::ldk::{ChainMonitor, ChannelManager};
use bitcoin::constants::ChainHash;
use bitcoin::secp256k1::PublicKey;
use lightning::ln::msgs::*;
use lightning::ln::types::ChannelId;
use lightning::types::features::{InitFeatures, NodeFeatures};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::sync::Notify;

struct Attached {
    manager: Arc<ChannelManager>,
    monitors: Arc<ChainMonitor>,
}

#[derive(Default)]
struct Queues {
    /// Wait for a commit.
    held: Vec<MessageSendEvent>,
    /// May go.
    released: Vec<MessageSendEvent>,
}

/// The gate. See the module's head.
pub struct MessageGate {
    attached: OnceLock<Attached>,
    queues: Mutex<Queues>,
    queue: Arc<PersistQueue>,
    fault: Fault,
    wake: Arc<Notify>,
    htlcs_added: AtomicU64,
    answers_unknown_channels: AtomicBool,
}

impl MessageGate {
    /// A gate without a channel manager: nothing passes yet.
    pub fn new(queue: Arc<PersistQueue>, fault: Fault, wake: Arc<Notify>) -> Self {
        MessageGate {
            attached: OnceLock::new(),
            queues: Mutex::default(),
            queue,
            fault,
            wake,
            htlcs_added: AtomicU64::new(0),
            answers_unknown_channels: AtomicBool::new(false),
        }
    }

    /// Lets LDK answer a `channel_reestablish` for a channel that no monitor knows, which gives that channel up. For a node
    /// that opens channels: its peers rightly remember some that it dropped before they were funded.
    pub fn answer_unknown_channels(&self) {
        self.answers_unknown_channels.store(true, Ordering::Relaxed);
    }

    /// Sets the loaded channel manager, once.
    pub(super) fn attach(&self, manager: Arc<ChannelManager>, monitors: Arc<ChainMonitor>) {
        let _ = self.attached.set(Attached { manager, monitors });
    }

    /// How many `update_add_htlc` peers have sent: tells a departing node whether a payment came while it said goodbye.
    pub fn htlcs_added(&self) -> u64 {
        self.htlcs_added.load(Ordering::Relaxed)
    }

    /// Moves what LDK wants to send into the gate. True if something waits for a commit.
    pub(super) fn pull(&self) -> bool {
        let pulled = self
            .enter("get_and_clear_pending_msg_events", |attached| attached.manager.get_and_clear_pending_msg_events());
        let Some(pulled) = pulled else { return false };
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        for event in pulled {
            // Only while nothing is held before it: the order of messages is part of the protocol.
            if queues.held.is_empty() && self.needs_no_commit(&event) {
                queues.released.push(event);
            } else {
                queues.held.push(event);
            }
        }
        !queues.held.is_empty()
    }

    /// What waits for a commit; the caller commits it.
    pub(super) fn take_held(&self) -> Vec<MessageSendEvent> {
        std::mem::take(&mut self.queues.lock().unwrap_or_else(PoisonError::into_inner).held)
    }

    /// Lets messages go whose cut is committed.
    pub(super) fn release(&self, messages: Vec<MessageSendEvent>) {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner).released.extend(messages);
    }

    /// Messages that promise nothing which a crash could take back. `accept_channel`: the peer forgets an unfunded channel
    /// on disconnect. `channel_reestablish`: commitment numbers move only together with a monitor update, so with none
    /// queued it describes the committed state.
    fn needs_no_commit(&self, event: &MessageSendEvent) -> bool {
        match event {
            MessageSendEvent::SendAcceptChannel { .. } => true,
            MessageSendEvent::SendChannelReestablish { .. } | MessageSendEvent::SendChannelUpdate { .. } => {
                self.queue.is_empty()
            }
            _ => false,
        }
    }

    /// The channel manager, unless the node is over.
    fn open_attached(&self) -> Option<&Attached> {
        if self.fault.is_raised() {
            return None;
        }
        self.attached.get()
    }

    /// Hands a peer's message to LDK and wakes the run loop, which looks at what came of it.
    fn deliver<T>(&self, what: &'static str, call: impl FnOnce(&Attached) -> T) -> Option<T> {
        let result = self.enter(what, call);
        self.wake.notify_one();
        result
    }

    /// Calls into LDK; a panic of LDK ends the node instead of the thread that reads the socket.
    fn enter<T>(&self, what: &'static str, call: impl FnOnce(&Attached) -> T) -> Option<T> {
        let attached = self.open_attached()?;
        match catch_unwind(AssertUnwindSafe(|| call(attached))) {
            Ok(value) => Some(value),
            Err(panic) => {
                self.fault.raise(explain_panic(what, panic.as_ref()));
                None
            }
        }
    }
}

/// LDK panics on purpose when a peer proves that our state has fallen behind; any other panic is a bug.
fn explain_panic(what: &str, panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    if text.contains("fallen behind") {
        return Error::new(
            Code::StateCorrupt,
            "the store's state is older than what the LSP has seen (a restored backup, a lagging replica, or two stores for one mnemonic): nothing was sent or broadcast; bring the newest store back",
        );
    }
    let first_line = text.lines().next().unwrap_or_default();
    Error::new(Code::Internal, format!("LDK panicked in {what}: {first_line}"))
}

fn recipient(event: &MessageSendEvent) -> Option<PublicKey> {
    use MessageSendEvent::*;
    match event {
        SendAcceptChannel { node_id, .. }
        | SendAcceptChannelV2 { node_id, .. }
        | SendOpenChannel { node_id, .. }
        | SendOpenChannelV2 { node_id, .. }
        | SendFundingCreated { node_id, .. }
        | SendFundingSigned { node_id, .. }
        | SendStfu { node_id, .. }
        | SendSpliceInit { node_id, .. }
        | SendSpliceAck { node_id, .. }
        | SendSpliceLocked { node_id, .. }
        | SendTxAddInput { node_id, .. }
        | SendTxAddOutput { node_id, .. }
        | SendTxRemoveInput { node_id, .. }
        | SendTxRemoveOutput { node_id, .. }
        | SendTxComplete { node_id, .. }
        | SendTxSignatures { node_id, .. }
        | SendTxInitRbf { node_id, .. }
        | SendTxAckRbf { node_id, .. }
        | SendTxAbort { node_id, .. }
        | SendChannelReady { node_id, .. }
        | SendAnnouncementSignatures { node_id, .. }
        | UpdateHTLCs { node_id, .. }
        | SendRevokeAndACK { node_id, .. }
        | SendClosingSigned { node_id, .. }
        | SendClosingComplete { node_id, .. }
        | SendClosingSig { node_id, .. }
        | SendShutdown { node_id, .. }
        | SendChannelReestablish { node_id, .. }
        | SendChannelAnnouncement { node_id, .. }
        | SendChannelUpdate { node_id, .. }
        | HandleError { node_id, .. }
        | SendChannelRangeQuery { node_id, .. }
        | SendShortIdsQuery { node_id, .. }
        | SendReplyChannelRange { node_id, .. }
        | SendGossipTimestampFilter { node_id, .. }
        | SendPeerStorage { node_id, .. }
        | SendPeerStorageRetrieval { node_id, .. } => Some(*node_id),
        BroadcastChannelAnnouncement { .. } | BroadcastChannelUpdate { .. } | BroadcastNodeAnnouncement { .. } => None,
    }
}

impl BaseMessageHandler for MessageGate {
    fn get_and_clear_pending_msg_events(&self) -> Vec<MessageSendEvent> {
        if self.pull() {
            self.wake.notify_one();
        }
        if self.fault.is_raised() {
            return Vec::new();
        }
        std::mem::take(&mut self.queues.lock().unwrap_or_else(PoisonError::into_inner).released)
    }

    fn peer_disconnected(&self, peer: PublicKey) {
        self.deliver("peer_disconnected", |attached| attached.manager.peer_disconnected(peer));
        // Messages of the dead connection must never reach the next one: there, channel_reestablish speaks first.
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.held.retain(|event| recipient(event) != Some(peer));
        queues.released.retain(|event| recipient(event) != Some(peer));
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

impl ChannelMessageHandler for MessageGate {
    forward!(
        handle_open_channel(&OpenChannel),
        handle_open_channel_v2(&OpenChannelV2),
        handle_accept_channel(&AcceptChannel),
        handle_accept_channel_v2(&AcceptChannelV2),
        handle_funding_created(&FundingCreated),
        handle_funding_signed(&FundingSigned),
        handle_channel_ready(&ChannelReady),
        handle_peer_storage(PeerStorage),
        handle_peer_storage_retrieval(PeerStorageRetrieval),
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
        handle_commitment_signed(&CommitmentSigned),
        handle_revoke_and_ack(&RevokeAndACK),
        handle_update_fee(&UpdateFee),
        handle_announcement_signatures(&AnnouncementSignatures),
        handle_channel_update(&ChannelUpdate),
        handle_error(&ErrorMessage),
    );

    fn handle_update_add_htlc(&self, peer: PublicKey, message: &UpdateAddHTLC) {
        self.htlcs_added.fetch_add(1, Ordering::Relaxed);
        self.deliver("handle_update_add_htlc", |attached| attached.manager.handle_update_add_htlc(peer, message));
    }

    fn handle_commitment_signed_batch(&self, peer: PublicKey, channel: ChannelId, batch: Vec<CommitmentSigned>) {
        self.deliver("handle_commitment_signed_batch", |attached| {
            attached.manager.handle_commitment_signed_batch(peer, channel, batch);
        });
    }

    fn handle_channel_reestablish(&self, peer: PublicKey, message: &ChannelReestablish) {
        let known = self.enter("channel look-up", |attached| attached.monitors.get_monitor(message.channel_id).is_ok());
        if known == Some(false) && !self.answers_unknown_channels.load(Ordering::Relaxed) {
            self.fault.raise(Error::new(
                Code::StateCorrupt,
                format!(
                    "the LSP has channel {} with this wallet and the store has none (a lost disk, a preview database, the wrong store URL): nothing was sent or broadcast; point `store` at the wallet's store",
                    message.channel_id
                ),
            ));
            return;
        }
        self.deliver("handle_channel_reestablish", |attached| {
            attached.manager.handle_channel_reestablish(peer, message)
        });
    }

    fn get_chain_hashes(&self) -> Option<Vec<ChainHash>> {
        self.enter("get_chain_hashes", |attached| attached.manager.get_chain_hashes()).flatten()
    }

    fn message_received(&self) {
        self.enter("message_received", |attached| attached.manager.message_received());
    }
}
