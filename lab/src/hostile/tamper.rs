//! Bends a node's channel messages on their way out and in: between its gate and LDK's peer manager.
//!
//! Only what no signature covers can be bent without the peer closing the channel at once for a wrong signature: whether a
//! message is sent at all, `open_channel`'s fields, the skim that an `update_add_htlc` admits. Of what comes in, one message alone
//! can't be left out: the signature after it covers it. So whoever is deaf to one hears nothing more of that connection.

use super::{Hostile, OpenChannelFields, Rules};
use bitcoin::constants::ChainHash;
use bitcoin::secp256k1::PublicKey;
use lightning::ln::msgs::*;
use lightning::ln::types::ChannelId;
use lightning::types::features::{InitFeatures, NodeFeatures};
use mayfly_core::checkpoint::MessageGate;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What can be kept from being sent.
pub const MUTABLE: [&str; 6] =
    ["channel_reestablish", "accept_channel", "funding_created", "channel_ready", "revoke_and_ack", "update_add_htlc"];

/// What it can be deaf to.
pub const HEARD: [&str; 3] = ["commitment_signed", "revoke_and_ack", "update_fulfill_htlc"];

/// A message gate's messages, bent.
pub struct Tamper {
    gate: Arc<MessageGate>,
    hostile: Hostile,
    /// Whom it does not hear any more on this connection.
    unheard: Mutex<BTreeSet<PublicKey>>,
}

impl Tamper {
    /// In front of that gate.
    pub fn new(gate: Arc<MessageGate>, hostile: Hostile) -> Self {
        Tamper { gate, hostile, unheard: Mutex::default() }
    }

    /// Whether a message of that name reaches the node.
    fn hears(&self, peer: PublicKey, name: &str) -> bool {
        let deaf = self.hostile.rules().deaf.iter().any(|deaf| deaf == name);
        let mut unheard = self.unheard();
        if deaf {
            unheard.insert(peer);
        }
        !unheard.contains(&peer)
    }

    fn unheard(&self) -> MutexGuard<'_, BTreeSet<PublicKey>> {
        self.unheard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name(event: &MessageSendEvent) -> Option<&'static str> {
    let index = match event {
        MessageSendEvent::SendChannelReestablish { .. } => 0,
        MessageSendEvent::SendAcceptChannel { .. } => 1,
        MessageSendEvent::SendFundingCreated { .. } => 2,
        MessageSendEvent::SendChannelReady { .. } => 3,
        MessageSendEvent::SendRevokeAndACK { .. } => 4,
        MessageSendEvent::UpdateHTLCs { updates, .. } if !updates.update_add_htlcs.is_empty() => 5,
        _ => return None,
    };
    MUTABLE.get(index).copied()
}

fn bend(mut event: MessageSendEvent, rules: &Rules) -> Option<MessageSendEvent> {
    if name(&event).is_some_and(|name| rules.mute.iter().any(|muted| muted == name)) {
        return None;
    }
    match &mut event {
        MessageSendEvent::SendOpenChannel { msg, .. } => rules.open_channel.write(msg),
        MessageSendEvent::UpdateHTLCs { updates, .. } if rules.hide_skim => {
            updates.update_add_htlcs.iter_mut().for_each(|htlc| htlc.skimmed_fee_msat = None);
        }
        _ => {}
    }
    Some(event)
}

impl OpenChannelFields {
    fn write(&self, message: &mut OpenChannel) {
        fn put<T: Copy>(field: &mut T, value: Option<T>) {
            *field = value.unwrap_or(*field);
        }
        let fields = &mut message.common_fields;
        put(&mut message.channel_reserve_satoshis, self.channel_reserve_sat);
        put(&mut fields.dust_limit_satoshis, self.dust_limit_sat);
        put(&mut fields.htlc_minimum_msat, self.htlc_minimum_msat);
        put(&mut fields.to_self_delay, self.to_self_delay);
        put(&mut fields.max_accepted_htlcs, self.max_accepted_htlcs);
        put(&mut fields.commitment_feerate_sat_per_1000_weight, self.feerate_per_kw);
        put(&mut fields.funding_satoshis, self.funding_sat);
    }
}

impl BaseMessageHandler for Tamper {
    fn get_and_clear_pending_msg_events(&self) -> Vec<MessageSendEvent> {
        let rules = self.hostile.rules();
        self.gate.get_and_clear_pending_msg_events().into_iter().filter_map(|event| bend(event, &rules)).collect()
    }

    fn peer_disconnected(&self, peer: PublicKey) {
        self.unheard().remove(&peer);
        self.gate.peer_disconnected(peer);
    }

    fn provided_node_features(&self) -> NodeFeatures {
        self.gate.provided_node_features()
    }

    fn provided_init_features(&self, peer: PublicKey) -> InitFeatures {
        let Rules { no_features, feature, .. } = self.hostile.rules();
        let mut features = if no_features { InitFeatures::empty() } else { self.gate.provided_init_features(peer) };
        if let Some(bit) = feature {
            // An error means a bit that LDK gives a meaning: it is in its own features, if at all.
            let _ = match bit % 2 {
                0 => features.set_required_custom_bit(bit),
                _ => features.set_optional_custom_bit(bit),
            };
        }
        features
    }

    fn peer_connected(&self, peer: PublicKey, init: &Init, inbound: bool) -> Result<(), ()> {
        self.gate.peer_connected(peer, init, inbound)
    }
}

/// Passes messages on as they are, if they are heard.
macro_rules! forward {
    ($($method:ident($message:ty)),* $(,)?) => {
        $(fn $method(&self, peer: PublicKey, message: $message) {
            if self.hears(peer, stringify!($method).trim_start_matches("handle_")) {
                self.gate.$method(peer, message);
            }
        })*
    };
}

impl ChannelMessageHandler for Tamper {
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
        handle_update_add_htlc(&UpdateAddHTLC),
        handle_update_fulfill_htlc(UpdateFulfillHTLC),
        handle_update_fail_htlc(&UpdateFailHTLC),
        handle_update_fail_malformed_htlc(&UpdateFailMalformedHTLC),
        handle_commitment_signed(&CommitmentSigned),
        handle_revoke_and_ack(&RevokeAndACK),
        handle_update_fee(&UpdateFee),
        handle_announcement_signatures(&AnnouncementSignatures),
        handle_channel_update(&ChannelUpdate),
        handle_error(&ErrorMessage),
        handle_channel_reestablish(&ChannelReestablish),
    );

    fn handle_commitment_signed_batch(&self, peer: PublicKey, channel: ChannelId, batch: Vec<CommitmentSigned>) {
        if self.hears(peer, "commitment_signed") {
            self.gate.handle_commitment_signed_batch(peer, channel, batch);
        }
    }

    fn get_chain_hashes(&self) -> Option<Vec<ChainHash>> {
        self.gate.get_chain_hashes()
    }

    fn message_received(&self) {
        self.gate.message_received();
    }
}
