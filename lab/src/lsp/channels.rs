//! Channels towards clients: what is forwarded into them, and when one is opened.
//!
//! A channel is opened only if the wallet can pay for it now. If it never can, what is held for the client is failed at once;
//! if coins are only reserved (signed, not broadcast yet, for other channels), it waits for them. Should the wallet be short
//! when the time to pay has come, nothing of the channel stays.

use super::close::is_closing;
use super::held::{channel_sat, plan, HeldHtlc, Plan, Room};
use super::options::LspOptions;
use super::{rows, Lsp, OPEN_COOLDOWN};
use crate::chain::Afford;
use crate::node::{lsp_settings, Base, Turn};
use bitcoin::hashes::Hash;
use bitcoin::secp256k1::PublicKey;
use bitcoin::ScriptBuf;
use lightning::events::Event;
use lightning::ln::types::ChannelId;
use lightning::util::errors::APIError;
use std::time::Duration;
use tokio::time::Instant;

/// What a client's reestablishments may take after `init`.
const RESUMING: Duration = Duration::from_secs(1);

impl Lsp {
    /// Forwards what fits into the client's channels and opens one for the rest.
    pub(super) fn serve(&self, node: &Base, client: PublicKey, options: &LspOptions, turn: &mut Turn) {
        if !node.port.is_connected(&client) {
            return;
        }
        let channels = node.manager().list_channels_with_counterparty(&client);
        let resuming = channels.iter().any(|channel| channel.is_channel_ready && !channel.is_usable);
        if resuming && !options.mdk_timer && self.resumes_until(&client).is_some() {
            return;
        }
        let rooms: Vec<Room> = channels
            .iter()
            .filter(|channel| !is_closing(channel))
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
            self.open_channel(node, client, channel_sat(missing_msat, options), turn);
        }
    }

    /// Until when a client may take to reestablish its channels. LDK forwards into any of them that has room, also into one that is
    /// not usable yet, where the payment fails: so all of them are waited for, but not for ever.
    pub(super) fn resumes_until(&self, client: &PublicKey) -> Option<Instant> {
        let until = *self.state.borrow().connected.get(client)? + RESUMING;
        (until > Instant::now()).then_some(until)
    }

    fn open_channel(&self, node: &Base, client: PublicKey, sat: u64, turn: &mut Turn) {
        let now = Instant::now();
        if self.state.borrow().opening.get(&client).is_some_and(|since| now < *since + OPEN_COOLDOWN) {
            return;
        }
        match self.wallet().can_pay(&node.chain, sat) {
            Afford::Now => {}
            Afford::Later => return,
            Afford::Never => return self.give_up(node, client, "the LSP can't pay for a channel", turn),
        }
        self.state.borrow_mut().opening.insert(client, now);
        if let Err(error) = node.manager().create_channel(client, sat, 0, 0, None, Some(lsp_settings())) {
            tracing::warn!(%client, sat, ?error, "opening a channel failed");
            self.give_up(node, client, "no channel can be opened", turn);
        }
    }

    /// Nothing more can be done for what is held for this client.
    fn give_up(&self, node: &Base, client: PublicKey, why: &str, turn: &mut Turn) {
        self.state.borrow_mut().opening.remove(&client);
        self.fail_held(node, why, turn, |htlc| htlc.client == client);
    }

    pub(super) fn channel_event(&self, node: &Base, event: Event, turn: &mut Turn) {
        match event {
            Event::FundingGenerationReady {
                temporary_channel_id,
                counterparty_node_id,
                channel_value_satoshis,
                output_script,
                ..
            } => {
                let (sat, script) = (channel_value_satoshis, output_script);
                self.fund(node, temporary_channel_id, counterparty_node_id, sat, script, turn);
            }
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

    fn fund(&self, node: &Base, channel: ChannelId, client: PublicKey, sat: u64, script: ScriptBuf, turn: &mut Turn) {
        let transaction = match self.wallet().pay(&node.chain, &script, sat) {
            Ok(transaction) => transaction,
            Err(error) => {
                // Between opening and now another channel took the coins.
                tracing::warn!(%client, sat, %error, "a channel is given up before it was funded");
                let why = "the LSP can't pay for it".to_owned();
                if let Err(error) = node.manager().force_close_broadcasting_latest_txn(&channel, &client, why) {
                    tracing::debug!(%client, ?error, "it was gone already");
                }
                if self.wallet().can_pay(&node.chain, sat) == Afford::Never {
                    self.give_up(node, client, "the LSP can't pay for a channel", turn);
                }
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
