//! What a peer's `channel_reestablish` tells of our state, before LDK acts on it (BOLT 2, message retransmission).
//!
//! Four kinds end the node, before anything is sent or broadcast (`STATE_CORRUPT`):
//! * one for a channel that no monitor knows: LDK would answer one that is *made to* force-close;
//! * one that proves our state older than what the peer saw: LDK would panic;
//! * one that waits for a commitment which our state has not made yet: LDK would close the channel;
//! * any other that LDK would close the channel for.
//!
//! With the user's word (`recover: 'force-close'`) the channel is given up instead: see `recovery.rs`.
//!
//! Our own `channel_reestablish` waits until the peer's has passed: an old one makes the peer close the channel. An LDK peer sends
//! its own right behind `init`, so nothing is lost by listening first.
//!
//! Of a channel that LDK has closed, with our commitment still waiting for the peer's word, LDK hears nothing more: it would ask the
//! peer to close. The transaction itself says which state it is of, and the peer's number which states are revoked.

use super::doubt::obscured_number;
use super::messages::{Attached, MessageGate};
use super::recovery::is_ahead_of;
use crate::error::{Code, Error};
use bitcoin::secp256k1::PublicKey;
use bitcoin::{OutPoint, Transaction};
use lightning::ln::chan_utils::CommitmentTransaction;
use lightning::ln::msgs::{ChannelMessageHandler, ChannelReestablish, ErrorAction, MessageSendEvent};
use lightning::ln::types::ChannelId;
use std::sync::atomic::Ordering;

impl MessageGate {
    /// Judges it, and hands it to LDK if it passes.
    pub(super) fn hear_reestablish(&self, peer: PublicKey, message: &ChannelReestablish) {
        let known = self.enter("channel look-up", |attached| attached.monitors.get_monitor(message.channel_id).is_ok());
        let may_answer = self.answers_unknown_channels.load(Ordering::Relaxed) || self.recovery.is_allowed();
        if known == Some(false) && !may_answer {
            self.fault.raise(Error::new(
                Code::StateCorrupt,
                format!(
                    "the LSP has channel {} with this wallet and the store has none (a lost disk, a preview database, the wrong store URL): nothing was sent or broadcast; point `store` at the wallet's store; if that is lost for good, `recover: 'force-close'` gives the channel up",
                    message.channel_id
                ),
            ));
            return;
        }
        if let Some(commitment) = self.commitment_in_doubt(message.channel_id) {
            self.judge_commitment(&commitment, message);
            return;
        }
        if self.asks_to_close_what_is_closed(message) {
            tracing::debug!(channel = %message.channel_id, "the peer asks to close a channel that is closed");
            return;
        }
        if self.proves_us_behind(peer, message) {
            if !self.recovery.is_allowed() {
                self.fault.raise(fallen_behind(&message.channel_id.to_string()));
                return;
            }
            self.queues().forget(peer, message.channel_id);
            self.deliver("giving a channel up", |attached| {
                self.recovery.give_up(message.channel_id, peer, &attached.manager, &attached.monitors);
            });
            return;
        }
        self.enter("handle_channel_reestablish", |attached| {
            attached.manager.handle_channel_reestablish(peer, message);
        });
        // None: a fault, at this call or before.
        let Some(answer) = self.pending_in_ldk() else { return };
        let behind = answer.iter().any(|event| says_that_we_are_behind(event, message.channel_id));
        let refusal = answer.iter().find_map(|event| closing_error(event, message.channel_id));
        let refusal = refusal.filter(|_| self.queues().awaits(peer, message.channel_id));
        let lost = if behind {
            Some(fallen_behind(&message.channel_id.to_string()))
        } else {
            refusal.map(|text| does_not_fit(message.channel_id, text))
        };
        match lost {
            Some(reason) if !self.recovery.is_allowed() => return self.fault.raise(reason),
            // LDK has closed it towards the peer; what it would publish stays here.
            Some(_) => {
                let remember = |attached: &Attached| self.recovery.remember(message.channel_id, &attached.monitors);
                self.enter("giving a channel up", remember);
            }
            None => {}
        }
        let refused = answer.iter().any(|event| is_complaint(event, peer));
        if !refused {
            self.trust(message.channel_id);
        }
        let mut queues = self.queues();
        if !refused {
            queues.confirm(peer, message.channel_id);
        }
        queues.push(answer, self.queue.is_empty());
        drop(queues);
        self.wake.notify_one();
    }

    fn funding_of(&self, channel: ChannelId) -> Option<OutPoint> {
        let monitor = |attached: &Attached| attached.monitors.get_monitor(channel).map(|m| m.get_funding_txo()).ok();
        self.enter("channel look-up", monitor)?.map(|funding| funding.into_bitcoin_outpoint())
    }

    fn trust(&self, channel: ChannelId) {
        if let Some(funding) = self.funding_of(channel) {
            self.recovery.broadcasts().trust(&funding);
        }
    }

    fn commitment_in_doubt(&self, channel: ChannelId) -> Option<Transaction> {
        self.recovery.broadcasts().commitment_in_doubt(&self.funding_of(channel)?)
    }

    /// Whether the peer holds the secret of that commitment of ours. `next_revocation_number` counts the commitments that we have
    /// revoked (BOLT 2); a commitment is numbered from zero. One whose number can't be told waits on.
    fn judge_commitment(&self, commitment: &Transaction, theirs: &ChannelReestablish) {
        let channel = theirs.channel_id;
        let initial = self.enter("channel look-up", |attached| {
            attached.monitors.get_monitor(channel).ok().and_then(|monitor| monitor.initial_counterparty_commitment_tx())
        });
        let Some(number) = initial.flatten().and_then(|initial| commitment_number(commitment, &initial)) else {
            return;
        };
        if theirs.next_remote_commitment_number <= number {
            tracing::info!(%channel, number, "the peer shows that our commitment is not revoked: it goes out");
            self.trust(channel);
        } else if self.recovery.is_allowed() {
            let remember = |attached: &Attached| self.recovery.remember(channel, &attached.monitors);
            self.enter("giving a channel up", remember);
        } else {
            self.fault.raise(fallen_behind(&channel.to_string()));
        }
    }

    /// Zero asks us to close (BOLT 2). LDK answers it for a channel that it no longer has by asking back, and two LDK nodes
    /// would go on so for ever.
    fn asks_to_close_what_is_closed(&self, theirs: &ChannelReestablish) -> bool {
        theirs.next_local_commitment_number == 0
            && self.enter("channel look-up", |attached| {
                attached.manager.list_channels().iter().all(|channel| channel.channel_id != theirs.channel_id)
            }) == Some(true)
    }

    /// Asked before LDK hears it, which would panic.
    fn proves_us_behind(&self, peer: PublicKey, theirs: &ChannelReestablish) -> bool {
        let Some(pulled) = self.pending_in_ldk() else { return false };
        let mut queues = self.queues();
        queues.push(pulled, self.queue.is_empty());
        let ours = queues.unspoken_reestablish(peer, theirs.channel_id);
        ours.is_some_and(|ours| is_ahead_of(theirs, &ours))
    }
}

/// The number of our commitment, from zero. Both sides' are obscured with the same factor (BOLT 3), and the peer's first is zero.
fn commitment_number(ours: &Transaction, initial: &CommitmentTransaction) -> Option<u64> {
    let first = obscured_number(&initial.trust().built_transaction().transaction)?;
    Some(obscured_number(ours)? ^ first)
}

/// LDK closes a channel whose peer waits for a commitment after one that we don't know of. Its own words are the only sign.
fn says_that_we_are_behind(event: &MessageSendEvent, channel: ChannelId) -> bool {
    closing_error(event, channel)
        .is_some_and(|text| text.contains("future remote commitment") || text.contains("future local commitment"))
}

/// What LDK tells the peer when it closes that channel.
fn closing_error(event: &MessageSendEvent, channel: ChannelId) -> Option<&str> {
    let MessageSendEvent::HandleError { action, .. } = event else { return None };
    let (ErrorAction::SendErrorMessage { msg } | ErrorAction::DisconnectPeer { msg: Some(msg) }) = action else {
        return None;
    };
    (msg.channel_id == channel).then_some(msg.data.as_str())
}

/// LDK has something against what the peer said, be it only a warning.
fn is_complaint(event: &MessageSendEvent, peer: PublicKey) -> bool {
    matches!(event, MessageSendEvent::HandleError { node_id, .. } if *node_id == peer)
}

fn does_not_fit(channel: ChannelId, why: &str) -> Error {
    let why: String = why.chars().take(200).collect();
    Error::new(
        Code::StateCorrupt,
        format!("what the LSP says of channel {channel} and what the store holds do not fit together ({why}): the store is old, or the LSP lost its own state or lies; nothing was sent or broadcast; bring the newest store back, or ask the LSP; if that is lost for good, `recover: 'force-close'` gives the channel up"),
    )
}

pub(super) fn fallen_behind(channel: &str) -> Error {
    Error::new(
        Code::StateCorrupt,
        format!("the store's state of channel {channel} is older than what the LSP says it has seen: the store is old (a restored backup, a lagging replica, or two stores for one mnemonic), or the LSP lies; nothing was sent or broadcast; bring the newest store back; if that is lost for good, `recover: 'force-close'` gives the channel up"),
    )
}
