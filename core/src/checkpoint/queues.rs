//! Messages on their way out: held for a commit, in a cut that is being committed, waiting for the peer's word, free to go.
//!
//! What must hold: the messages of one peer leave in the order in which LDK made them; none passes a commit that it depends
//! on, the one that is just being written included; none reaches another connection than the one that it was made for. What needs no
//! commit waits for an answer of the store to a question that was asked after LDK made it (`lease/`): the commit of a holder that was
//! replaced would fail, and so would that.

use crate::lease::{Lease, Stamp};
use crate::mutation::{self, Mutation};
use bitcoin::secp256k1::PublicKey;
use lightning::ln::msgs::{ChannelReestablish, MessageSendEvent};
use lightning::ln::types::ChannelId;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// See the module's head.
pub(super) struct Queues {
    lease: Arc<Lease>,
    held: Vec<MessageSendEvent>,
    /// Need no commit, and wait for the store's word.
    passing: Vec<Stamped>,
    released: Vec<MessageSendEvent>,
    /// Our `channel_reestablish`, until the peer's own has shown that our state is current.
    unspoken: Vec<Stamped>,
    /// Channels whose peer has shown that on this connection.
    confirmed: HashSet<(PublicKey, ChannelId)>,
    /// Channels whose peer has still to show it, and whether payments pass them when it has.
    awaited: HashMap<(PublicKey, ChannelId), bool>,
    /// Who has messages in the cut that is being committed.
    in_cut: Option<HashSet<PublicKey>>,
    /// Counts disconnects, and at which count each peer was last disconnected.
    disconnects: u64,
    last_disconnect: HashMap<PublicKey, u64>,
    /// Nothing is left unspoken: see `MessageGate::answer_unknown_channels`.
    speaks_first: bool,
}

/// A message, and what the store must have answered.
struct Stamped {
    event: MessageSendEvent,
    stamp: Stamp,
}

/// The messages of one cut, and when they were taken.
pub(super) struct Parcel {
    messages: Vec<MessageSendEvent>,
    taken_at: u64,
}

impl Parcel {
    /// Whether it holds the preimage of a payment for a peer.
    pub fn fulfils(&self) -> bool {
        let fulfils = |event: &MessageSendEvent| matches!(event, MessageSendEvent::UpdateHTLCs { updates, .. } if !updates.update_fulfill_htlcs.is_empty());
        self.messages.iter().any(fulfils)
    }

    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }
}

impl Queues {
    pub fn under(lease: Arc<Lease>) -> Self {
        Queues {
            lease,
            held: Vec::new(),
            passing: Vec::new(),
            released: Vec::new(),
            unspoken: Vec::new(),
            confirmed: HashSet::new(),
            awaited: HashMap::new(),
            in_cut: None,
            disconnects: 0,
            last_disconnect: HashMap::new(),
            speaks_first: false,
        }
    }

    pub fn speak_first(&mut self) {
        self.speaks_first = true;
    }

    /// Takes what LDK wants to send. `clean`: no monitor is queued.
    pub fn push(&mut self, events: Vec<MessageSendEvent>, clean: bool) {
        for event in events {
            if mutation::is_on(Mutation::UngatedMessages) {
                self.let_go(Stamped { event, stamp: Stamp::NONE });
            } else if self.may_pass(&event, clean) {
                let unchecked = mutation::is_on(Mutation::UncheckedMessages);
                let stamp = if unchecked { Stamp::NONE } else { self.lease.stamp() };
                // Nobody waits for this one: a check of its own would only be in the way of the payment's first commit.
                if !matches!(event, MessageSendEvent::SendChannelUpdate { .. }) {
                    self.lease.need(stamp);
                }
                self.let_go(Stamped { event, stamp });
            } else {
                self.held.push(event);
            }
        }
    }

    pub fn has_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// What waits for a commit. From here to `release` a commit is being written.
    pub fn take_held(&mut self) -> Parcel {
        let messages = std::mem::take(&mut self.held);
        self.in_cut = Some(messages.iter().filter_map(recipient).collect());
        Parcel { messages, taken_at: self.disconnects }
    }

    /// The commit is through: its messages go, unless their connection is gone, and what waited for it alone follows.
    pub fn release(&mut self, parcel: Parcel, clean: bool) {
        self.in_cut = None;
        // Made before these, and the commit has answered for them, too.
        self.let_pass();
        for event in parcel.messages {
            let gone_at = recipient(&event).and_then(|peer| self.last_disconnect.get(&peer));
            if gone_at.is_none_or(|gone_at| *gone_at <= parcel.taken_at) {
                self.let_go(Stamped { event, stamp: Stamp::NONE });
            }
        }
        let held = std::mem::take(&mut self.held);
        self.push(held, clean);
    }

    pub fn take_released(&mut self) -> Vec<MessageSendEvent> {
        self.let_pass();
        std::mem::take(&mut self.released)
    }

    /// Our `channel_reestablish` for that channel, if it is not said yet.
    pub fn unspoken_reestablish(&self, peer: PublicKey, channel: ChannelId) -> Option<ChannelReestablish> {
        let stamped = self.unspoken.iter().chain(&self.passing).map(|it| &it.event);
        stamped.chain(&self.held).find_map(|event| match event {
            MessageSendEvent::SendChannelReestablish { node_id, msg } => {
                (*node_id == peer && msg.channel_id == channel).then(|| msg.clone())
            }
            _ => None,
        })
    }

    /// The channel is given up: what we would have said of its state is never said, and nothing is expected of the peer.
    pub fn forget(&mut self, peer: PublicKey, channel: ChannelId) {
        let is_it = |event: &MessageSendEvent| matches!(event, MessageSendEvent::SendChannelReestablish { node_id, msg } if *node_id == peer && msg.channel_id == channel);
        for queue in [&mut self.unspoken, &mut self.passing] {
            queue.retain(|it| !is_it(&it.event));
        }
        self.held.retain(|event| !is_it(event));
        self.awaited.remove(&(peer, channel));
    }

    /// A connection begins with these channels, which are ready or not: of each the peer must show first that our state is
    /// current.
    pub fn connected(&mut self, peer: PublicKey, channels: impl IntoIterator<Item = (ChannelId, bool)>) {
        if !self.speaks_first {
            self.awaited.extend(channels.into_iter().map(|(channel, ready)| ((peer, channel), ready)));
        }
    }

    /// Whether the peer has still to show that our state of this channel is current.
    pub fn awaits(&self, peer: PublicKey, channel: ChannelId) -> bool {
        self.awaited.contains_key(&(peer, channel))
    }

    /// The same of any of its channels.
    pub fn awaits_any(&self, peer: PublicKey) -> bool {
        self.awaited.keys().any(|(awaited, _)| *awaited == peer)
    }

    /// The same of a ready one. One that is not ready may never have been funded: the peer then knows nothing of it.
    pub fn awaits_ready(&self, peer: PublicKey) -> bool {
        self.awaited.iter().any(|((awaited, _), ready)| *awaited == peer && *ready)
    }

    /// The peer's `channel_reestablish` fits our state: ours may be said.
    pub fn confirm(&mut self, peer: PublicKey, channel: ChannelId) {
        self.awaited.remove(&(peer, channel));
        self.confirmed.insert((peer, channel));
        let unspoken = std::mem::take(&mut self.unspoken);
        unspoken.into_iter().for_each(|it| self.let_go(it));
    }

    /// Messages of a dead connection must never reach the next one: there, `channel_reestablish` speaks first.
    pub fn disconnected(&mut self, peer: PublicKey) {
        self.disconnects += 1;
        self.last_disconnect.insert(peer, self.disconnects);
        for queue in [&mut self.held, &mut self.released] {
            queue.retain(|event| recipient(event) != Some(peer));
        }
        for queue in [&mut self.unspoken, &mut self.passing] {
            queue.retain(|it| recipient(&it.event) != Some(peer));
        }
        self.confirmed.retain(|(confirmed, _)| *confirmed != peer);
        self.awaited.retain(|(awaited, _), _| *awaited != peer);
    }

    fn let_go(&mut self, it: Stamped) {
        match &it.event {
            MessageSendEvent::SendChannelReestablish { node_id, msg }
                if !self.speaks_first && !self.confirmed.contains(&(*node_id, msg.channel_id)) =>
            {
                self.unspoken.push(it);
            }
            _ if self.lease.passed(it.stamp) => self.released.push(it.event),
            _ => self.passing.push(it),
        }
    }

    /// What waited for the store's word alone goes, if that came.
    fn let_pass(&mut self) {
        let passing = std::mem::take(&mut self.passing);
        passing.into_iter().for_each(|it| self.let_go(it));
    }

    /// Messages that promise nothing which a crash could take back. `accept_channel`: the peer forgets an unfunded channel
    /// on disconnect. `channel_reestablish`: commitment numbers move only together with a monitor update, so with none
    /// queued and no commit on its way it describes the committed state.
    fn may_pass(&self, event: &MessageSendEvent, clean: bool) -> bool {
        let Some(peer) = recipient(event) else { return false };
        let first = self.held.iter().all(|held| recipient(held) != Some(peer));
        let in_cut = self.in_cut.as_ref();
        match event {
            MessageSendEvent::SendAcceptChannel { .. } => first && !in_cut.is_some_and(|cut| cut.contains(&peer)),
            MessageSendEvent::SendChannelReestablish { .. } | MessageSendEvent::SendChannelUpdate { .. } => {
                first && clean && in_cut.is_none()
            }
            _ => false,
        }
    }
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
