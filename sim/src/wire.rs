//! The connection between the two: messages in order, one at a time, so that it can break at any of them.

use bitcoin::secp256k1::PublicKey;
use lightning::ln::msgs::{ChannelMessageHandler, CommitmentUpdate, ErrorAction, MessageSendEvent};
use mayfly_core::checkpoint::MessageGate;
use std::collections::VecDeque;

/// Both directions of one connection.
#[derive(Default)]
pub struct Wire {
    /// Whether there is a connection.
    pub up: bool,
    /// What the wallet said and the LSP has not heard.
    pub to_peer: VecDeque<MessageSendEvent>,
    /// What the LSP said and the wallet has not heard.
    pub to_wallet: VecDeque<MessageSendEvent>,
}

impl Wire {
    /// The connection is gone, and what was on its way with it.
    pub fn cut(&mut self) {
        *self = Wire::default();
    }

    /// What is on its way; for reports.
    pub fn describe(&self) -> String {
        let names = |queue: &VecDeque<MessageSendEvent>| queue.iter().map(name).collect::<Vec<_>>().join(", ");
        format!("to the LSP: [{}], to the wallet: [{}]", names(&self.to_peer), names(&self.to_wallet))
    }

    /// Whether nothing is on its way.
    pub fn is_quiet(&self) -> bool {
        self.to_peer.is_empty() && self.to_wallet.is_empty()
    }
}

/// LDK hands a commitment and its updates out as one; on the wire they are many messages.
pub fn split(event: MessageSendEvent) -> Vec<MessageSendEvent> {
    let MessageSendEvent::UpdateHTLCs { node_id, channel_id, updates } = event else { return vec![event] };
    let empty = || CommitmentUpdate {
        update_add_htlcs: Vec::new(),
        update_fulfill_htlcs: Vec::new(),
        update_fail_htlcs: Vec::new(),
        update_fail_malformed_htlcs: Vec::new(),
        update_fee: None,
        commitment_signed: Vec::new(),
    };
    let mut parts = Vec::new();
    let each = |message| CommitmentUpdate { update_add_htlcs: vec![message], ..empty() };
    parts.extend(updates.update_add_htlcs.into_iter().map(each));
    let each = |message| CommitmentUpdate { update_fulfill_htlcs: vec![message], ..empty() };
    parts.extend(updates.update_fulfill_htlcs.into_iter().map(each));
    let each = |message| CommitmentUpdate { update_fail_htlcs: vec![message], ..empty() };
    parts.extend(updates.update_fail_htlcs.into_iter().map(each));
    let each = |message| CommitmentUpdate { update_fail_malformed_htlcs: vec![message], ..empty() };
    parts.extend(updates.update_fail_malformed_htlcs.into_iter().map(each));
    parts.extend(updates.update_fee.map(|message| CommitmentUpdate { update_fee: Some(message), ..empty() }));
    if !updates.commitment_signed.is_empty() {
        parts.push(CommitmentUpdate { commitment_signed: updates.commitment_signed, ..empty() });
    }
    parts.into_iter().map(|updates| MessageSendEvent::UpdateHTLCs { node_id, channel_id, updates }).collect()
}

/// What came of handing a message over.
#[derive(PartialEq, Eq)]
pub enum Heard {
    /// The connection goes on.
    Yes,
    /// The sender closed the connection behind it.
    AndHungUp,
}

/// Hands a message to a gate, as LDK's peer manager would.
pub fn deliver(gate: &MessageGate, from: PublicKey, event: MessageSendEvent) -> Heard {
    use MessageSendEvent::*;
    match event {
        SendOpenChannel { msg, .. } => gate.handle_open_channel(from, &msg),
        SendAcceptChannel { msg, .. } => gate.handle_accept_channel(from, &msg),
        SendFundingCreated { msg, .. } => gate.handle_funding_created(from, &msg),
        SendFundingSigned { msg, .. } => gate.handle_funding_signed(from, &msg),
        SendChannelReady { msg, .. } => gate.handle_channel_ready(from, &msg),
        SendRevokeAndACK { msg, .. } => gate.handle_revoke_and_ack(from, &msg),
        SendChannelReestablish { msg, .. } => gate.handle_channel_reestablish(from, &msg),
        SendChannelUpdate { msg, .. } => gate.handle_channel_update(from, &msg),
        SendAnnouncementSignatures { msg, .. } => gate.handle_announcement_signatures(from, &msg),
        SendShutdown { msg, .. } => gate.handle_shutdown(from, &msg),
        SendClosingSigned { msg, .. } => gate.handle_closing_signed(from, &msg),
        UpdateHTLCs { updates, .. } => {
            updates.update_add_htlcs.iter().for_each(|msg| gate.handle_update_add_htlc(from, msg));
            updates.update_fulfill_htlcs.into_iter().for_each(|msg| gate.handle_update_fulfill_htlc(from, msg));
            updates.update_fail_htlcs.iter().for_each(|msg| gate.handle_update_fail_htlc(from, msg));
            updates.update_fail_malformed_htlcs.iter().for_each(|m| gate.handle_update_fail_malformed_htlc(from, m));
            updates.update_fee.iter().for_each(|msg| gate.handle_update_fee(from, msg));
            updates.commitment_signed.iter().for_each(|msg| gate.handle_commitment_signed(from, msg));
        }
        HandleError { action, .. } => return complain(gate, from, action),
        BroadcastChannelUpdate { .. } | SendPeerStorage { .. } | SendPeerStorageRetrieval { .. } => {}
        other => panic!("not carried: {other:?}"),
    }
    Heard::Yes
}

fn complain(gate: &MessageGate, from: PublicKey, action: ErrorAction) -> Heard {
    match action {
        ErrorAction::SendErrorMessage { msg } => gate.handle_error(from, &msg),
        ErrorAction::DisconnectPeer { msg } => {
            msg.iter().for_each(|msg| gate.handle_error(from, msg));
            return Heard::AndHungUp;
        }
        ErrorAction::DisconnectPeerWithWarning { .. } => return Heard::AndHungUp,
        _ => {}
    }
    Heard::Yes
}

/// What a message is called; for reports.
pub fn name(event: &MessageSendEvent) -> String {
    use MessageSendEvent::*;
    match event {
        UpdateHTLCs { updates, .. } => {
            let parts = [
                ("update_add_htlc", updates.update_add_htlcs.len()),
                ("update_fulfill_htlc", updates.update_fulfill_htlcs.len()),
                ("update_fail_htlc", updates.update_fail_htlcs.len()),
                ("update_fail_malformed_htlc", updates.update_fail_malformed_htlcs.len()),
                ("update_fee", usize::from(updates.update_fee.is_some())),
                ("commitment_signed", updates.commitment_signed.len()),
            ];
            parts.iter().filter(|(_, count)| *count > 0).map(|(name, _)| *name).collect::<Vec<_>>().join("+")
        }
        HandleError { action, .. } => format!("{action:?}"),
        other => {
            let text = format!("{other:?}");
            text.split([' ', '{']).next().unwrap_or_default().to_owned()
        }
    }
}
