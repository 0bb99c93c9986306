//! Channels towards clients: what is forwarded into them, and when one is opened.

use super::held::{channel_sat, plan, HeldHtlc, Plan, Room};
use super::options::LspOptions;
use super::{rows, Lsp, OPEN_COOLDOWN};
use crate::node::{lsp_settings, Base, Turn};
use bitcoin::hashes::Hash;
use bitcoin::secp256k1::PublicKey;
use bitcoin::ScriptBuf;
use lightning::events::Event;
use lightning::ln::types::ChannelId;
use lightning::util::errors::APIError;
use tokio::time::Instant;

impl Lsp {
    /// Forwards what fits into the client's channels and opens one for the rest.
    pub(super) fn serve(&self, node: &Base, client: PublicKey, options: &LspOptions, turn: &mut Turn) {
        if !node.port.is_connected(&client) {
            return;
        }
        let channels = node.manager().list_channels_with_counterparty(&client);
        let rooms: Vec<Room> = channels
            .iter()
            .map(|channel| Room {
                channel: channel.channel_id,
                usable: channel.is_usable,
                limit_msat: channel.next_outbound_htlc_limit_msat,
            })
            .collect();
        let Plan { forwards, missing_msat } = {
            let state = self.state.borrow();
            let held: Vec<&HeldHtlc> = state.held.iter().filter(|htlc| htlc.client == client).collect();
            plan(&held, &rooms, options)
        };
        for forward in forwards {
            let done = node.manager().forward_intercepted_htlc(forward.id, &forward.channel, client, forward.out_msat);
            if let Err(APIError::ChannelUnavailable { err }) = done {
                // Still ours: the channel went between the listing and now; the next turn sees it.
                tracing::debug!(%client, err, "not forwarded yet");
                continue;
            }
            // Any other error means that LDK has failed it already, for its CLTV.
            rows::delete_held(turn, &forward.id);
            self.state.borrow_mut().held.retain(|htlc| htlc.id != forward.id);
        }
        if missing_msat > 0 {
            self.open_channel(node, client, channel_sat(missing_msat, options));
        }
    }

    fn open_channel(&self, node: &Base, client: PublicKey, sat: u64) {
        let mut state = self.state.borrow_mut();
        let now = Instant::now();
        if state.opening.get(&client).is_some_and(|since| now < *since + OPEN_COOLDOWN) {
            return;
        }
        state.opening.insert(client, now);
        drop(state);
        if let Err(error) = node.manager().create_channel(client, sat, 0, 0, None, Some(lsp_settings())) {
            tracing::warn!(%client, sat, ?error, "opening a channel failed");
        }
    }

    pub(super) fn channel_event(&self, node: &Base, event: Event) {
        match event {
            Event::FundingGenerationReady {
                temporary_channel_id,
                counterparty_node_id,
                channel_value_satoshis,
                output_script,
                ..
            } => self.fund(node, temporary_channel_id, counterparty_node_id, channel_value_satoshis, output_script),
            Event::ChannelReady { counterparty_node_id, .. } => {
                let mut state = self.state.borrow_mut();
                state.opening.remove(&counterparty_node_id);
                state.due.insert(counterparty_node_id);
            }
            Event::ChannelClosed { channel_id, counterparty_node_id, reason, .. } => {
                tracing::info!(%channel_id, %reason, "a channel closed");
                let mut state = self.state.borrow_mut();
                if let Some(client) = counterparty_node_id {
                    state.opening.remove(&client);
                }
                self.forget_funding(&mut state.funding, &channel_id);
            }
            Event::ChannelPending { channel_id, former_temporary_channel_id, .. } => {
                // Broadcast with this turn: the wallet sees its inputs spent in the mempool.
                let mut state = self.state.borrow_mut();
                state.funding.remove(&former_temporary_channel_id.unwrap_or(channel_id));
            }
            Event::OpenChannelRequest { temporary_channel_id, counterparty_node_id, .. } => {
                let accepted =
                    node.manager().accept_inbound_channel(&temporary_channel_id, &counterparty_node_id, 0, None);
                if let Err(error) = accepted {
                    tracing::warn!(%counterparty_node_id, ?error, "an inbound channel was not accepted");
                }
            }
            _ => {}
        }
    }

    fn fund(&self, node: &Base, channel: ChannelId, client: PublicKey, sat: u64, script: ScriptBuf) {
        let transaction = match self.wallet().pay(&node.chain, &script, sat) {
            Ok(transaction) => transaction,
            Err(error) => {
                tracing::error!(%client, sat, %error, "the LSP can't pay for a channel");
                return;
            }
        };
        self.state.borrow_mut().funding.insert(channel, transaction.clone());
        if let Err(error) = node.manager().funding_transaction_generated(channel, client, transaction) {
            tracing::warn!(%client, ?error, "a channel was gone before it was funded");
            self.forget_funding(&mut self.state.borrow_mut().funding, &channel);
        }
    }

    /// The coins of a funding transaction that is never broadcast can be spent again.
    fn forget_funding(
        &self,
        funding: &mut std::collections::BTreeMap<ChannelId, bitcoin::Transaction>,
        channel: &ChannelId,
    ) {
        // A channel that was funded and never signed is closed under its final id, which its funding output makes.
        let final_id = |tx: &bitcoin::Transaction| {
            let txid = tx.compute_txid().to_byte_array();
            (0..tx.output.len()).any(|index| {
                u16::try_from(index).is_ok_and(|index| ChannelId::v1_from_funding_txid(&txid, index) == *channel)
            })
        };
        let known = funding.iter().find(|(id, tx)| *id == channel || final_id(tx)).map(|(id, _)| *id);
        if let Some(transaction) = known.and_then(|id| funding.remove(&id)) {
            self.wallet().release(&transaction);
        }
    }
}
