//! What the node does about LDK's events. Each handler runs before the cut that commits what it changed: an event becomes a
//! row of that commit, and the money is claimed inside the handler: LDK repeats `PaymentClaimable` only as long as it was not
//! handled.

use super::channel_policy;
use super::view::hex;
use super::Wallet;
use bitcoin::secp256k1::PublicKey;
use lightning::chain::transaction::OutPoint;
use lightning::events::{
    ClosureReason, Event, EventsProvider, HTLCHandlingFailureReason, HTLCHandlingFailureType, ReplayEvent,
};
use lightning::ln::channelmanager::PaymentId;
use lightning::ln::onion_utils::LocalHTLCFailureReason;
use lightning::ln::types::ChannelId;
use lightning::types::payment::PaymentHash;
use lightning::util::config::{ChannelConfigOverrides, ChannelConfigUpdate, ChannelHandshakeConfigUpdate};
use std::cell::{Cell, RefCell};

impl Wallet {
    /// Handles the events that LDK has now. True if there were any. A payment of which it is not known whether it was received
    /// before stays in LDK, and what comes behind it, until [`Receipts`] knows.
    ///
    /// [`Receipts`]: super::receipts::Receipts
    pub(super) fn handle_ldk_events(&mut self) -> bool {
        let (events, asks) = (RefCell::new(Vec::new()), Cell::new(None));
        let collect = |event: Event| {
            if let Some(hash) = self.unknown_payment(&event) {
                asks.set(Some(hash));
                return Err(ReplayEvent());
            }
            events.borrow_mut().push(event);
            Ok(())
        };
        self.loaded.manager().process_pending_events(&collect);
        self.loaded.monitors().process_pending_events(&collect);
        if let Some(hash) = asks.take() {
            self.receipts.ask(&hash);
        }
        let events = events.into_inner();
        let any = !events.is_empty();
        for event in events {
            self.handle_ldk_event(event);
        }
        any
    }

    /// The payment that the ledger must be asked for before this can be handled.
    fn unknown_payment(&self, event: &Event) -> Option<PaymentHash> {
        let (hash, is_told) = match event {
            Event::PaymentClaimable { payment_hash, .. } => (payment_hash, false),
            Event::PaymentClaimed { payment_hash, payment_id, .. } => {
                (payment_hash, self.row.told.contains(&told_id(payment_hash, *payment_id)))
            }
            _ => return None,
        };
        (!is_told && self.receipts.was_paid(hash).is_none()).then_some(*hash)
    }

    fn handle_ldk_event(&mut self, event: Event) {
        match event {
            Event::OpenChannelRequest {
                temporary_channel_id,
                counterparty_node_id,
                channel_negotiation_type,
                is_announced,
                params,
                ..
            } => {
                let channels = self.loaded.manager().list_channels();
                let used = channels.iter().map(channel_policy::is_used);
                let refusal = channel_policy::refusal(&channel_negotiation_type, is_announced, &params, used);
                self.answer_open_channel(&temporary_channel_id, counterparty_node_id, refusal);
            }
            Event::PaymentClaimable {
                payment_hash,
                purpose,
                amount_msat,
                counterparty_skimmed_fee_msat,
                claim_deadline,
                ..
            } => {
                let deadline = claim_deadline.unwrap_or(0);
                self.claim_or_refuse(payment_hash, &purpose, amount_msat, counterparty_skimmed_fee_msat, deadline);
            }
            Event::PaymentClaimed { payment_hash, amount_msat, htlcs, payment_id, .. } => {
                self.tell_received(payment_hash, told_id(&payment_hash, payment_id), amount_msat, &htlcs);
            }
            Event::SpendableOutputs { outputs, channel_id } => {
                self.holdings.keep(&outputs, &mut self.staged);
                // LDK need not have written the monitor that says so, and one that has not said it says it again at each load.
                channel_id.into_iter().for_each(|channel| self.loaded.write_monitor(channel));
            }
            Event::ChannelClosed { channel_id, reason, channel_funding_txo, .. } => {
                tracing::warn!(channel = %channel_id, %reason, "a channel is closed");
                self.keep_closing(&reason, channel_funding_txo);
            }
            Event::HTLCHandlingFailed { failure_type, failure_reason, .. } => {
                tracing::info!(failure = ?failure_type, reason = ?failure_reason, "an HTLC was not accepted");
                if let (HTLCHandlingFailureType::Receive { payment_hash }, Some(reason)) =
                    (failure_type, failure_reason)
                {
                    if reason == HTLCHandlingFailureReason::from(LocalHTLCFailureReason::FinalIncorrectHTLCAmount) {
                        self.tell_short(payment_hash);
                    }
                }
            }
            _ => {}
        }
    }

    /// LDK hands out the transaction of a cooperative close once, and then knows no channel that could repeat it.
    fn keep_closing(&mut self, reason: &ClosureReason, funding: Option<OutPoint>) {
        use ClosureReason::{CounterpartyInitiatedCooperativeClosure, LocallyInitiatedCooperativeClosure};
        if !matches!(reason, CounterpartyInitiatedCooperativeClosure | LocallyInitiatedCooperativeClosure) {
            return;
        }
        let Some(funding) = funding else { return };
        if let Some(closing) = self.loaded.broadcasts().held_spender(funding.into_bitcoin_outpoint()) {
            let height = self.loaded.manager().current_best_block().height;
            if let Err(error) = self.holdings.keep_closing(closing, height, &mut self.staged) {
                self.loaded.fault().raise(error);
            }
        }
    }

    /// 0-conf from the configured LSP, unless it is refused; nothing from anyone else.
    fn answer_open_channel(&self, channel: &ChannelId, peer: PublicKey, refusal: Option<String>) {
        let manager = self.loaded.manager();
        let reason = match refusal {
            _ if peer != self.terms.lsp => "only the configured LSP may open".to_owned(),
            Some(reason) => reason,
            None => {
                let overrides = Some(channel_overrides());
                let accepted = manager.accept_inbound_channel_from_trusted_peer_0conf(channel, &peer, 0, overrides);
                if let Err(error) = accepted {
                    tracing::warn!(%channel, %peer, ?error, "LDK refused a channel");
                }
                return;
            }
        };
        tracing::warn!(%channel, %peer, reason, "refused a channel");
        if let Err(error) = manager.force_close_broadcasting_latest_txn(channel, &peer, reason) {
            tracing::warn!(%channel, %peer, ?error, "a channel request was not answered");
        }
    }
}

/// What the event of a received payment is called.
fn told_id(hash: &PaymentHash, payment: Option<PaymentId>) -> String {
    payment.map_or_else(|| hex(&hash.0), |id| hex(&id.0))
}

/// For a channel from the LSP: the whole channel may be in flight (the default of 10 % blocks the first payment), and a
/// skimmed HTLC is accepted (the skim limit is checked before claiming).
fn channel_overrides() -> ChannelConfigOverrides {
    ChannelConfigOverrides {
        handshake_overrides: Some(ChannelHandshakeConfigUpdate {
            max_inbound_htlc_value_in_flight_percent_of_channel: Some(100),
            ..Default::default()
        }),
        update_overrides: Some(skim_acceptance()),
    }
}

/// LDK does not persist this setting: it is applied again to every channel after every load.
pub(super) fn skim_acceptance() -> ChannelConfigUpdate {
    ChannelConfigUpdate { accept_underpaying_htlcs: Some(true), ..Default::default() }
}
