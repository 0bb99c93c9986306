//! What the node does about LDK's events. Each handler runs before the cut that commits what it changed: an event becomes a
//! row of that commit, and the money is claimed inside the handler, since LDK does not repeat `PaymentClaimable`.

use super::channel_policy;
use super::view::hex;
use super::Wallet;
use crate::checkpoint::rows::LEDGER_PREFIX;
use crate::clock;
use crate::config::SkimLimit;
use crate::error::{Code, Error};
use crate::events::{EventType, PaymentEvent};
use crate::failpoint::{self, Point};
use bitcoin::secp256k1::PublicKey;
use lightning::events::{
    ClaimedHTLC, Event, EventsProvider, HTLCHandlingFailureReason, HTLCHandlingFailureType, PaymentPurpose,
};
use lightning::ln::onion_utils::LocalHTLCFailureReason;
use lightning::ln::types::ChannelId;
use lightning::sign::SpendableOutputDescriptor;
use lightning::types::payment::{PaymentHash, PaymentPreimage};
use lightning::util::config::{ChannelConfigOverrides, ChannelConfigUpdate, ChannelHandshakeConfigUpdate};
use lightning::util::ser::Writeable;
use serde::Serialize;
use std::cell::RefCell;

/// Outputs of closed channels that are ours to spend: one row each.
pub(super) const SPENDABLE_PREFIX: &str = "spendable/";

/// Unacked refusals that are kept: every boot reads them.
const MAX_REFUSALS: usize = 100;

/// A received payment, for good.
#[derive(Serialize)]
struct LedgerRow<'a> {
    payment_hash: &'a str,
    amount_msat: u64,
    skimmed_msat: u64,
    timestamp_ms: u64,
}

impl Wallet {
    /// Handles all events that LDK has now. True if there were any.
    pub(super) fn handle_ldk_events(&mut self) -> bool {
        let events = RefCell::new(Vec::new());
        let collect = |event: Event| {
            events.borrow_mut().push(event);
            Ok(())
        };
        self.loaded.manager().process_pending_events(&collect);
        self.loaded.monitors().process_pending_events(&collect);
        let events = events.into_inner();
        let any = !events.is_empty();
        for event in events {
            self.handle_ldk_event(event);
        }
        any
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
            Event::PaymentClaimable { payment_hash, purpose, amount_msat, counterparty_skimmed_fee_msat, .. } => {
                self.claim_or_refuse(payment_hash, &purpose, amount_msat, counterparty_skimmed_fee_msat);
            }
            Event::PaymentClaimed { payment_hash, amount_msat, htlcs, payment_id, .. } => {
                let id = payment_id.map_or_else(|| hex(&payment_hash.0), |id| hex(&id.0));
                self.tell_received(payment_hash, id, amount_msat, &htlcs);
            }
            Event::SpendableOutputs { outputs, .. } => self.keep_spendable(&outputs),
            Event::ChannelClosed { channel_id, reason, .. } => {
                tracing::warn!(channel = %channel_id, %reason, "a channel is closed");
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

    fn claim_or_refuse(&mut self, hash: PaymentHash, purpose: &PaymentPurpose, amount_msat: u64, skimmed_msat: u64) {
        let preimage: Option<PaymentPreimage> = match purpose {
            PaymentPurpose::Bolt11InvoicePayment { payment_preimage, .. } => *payment_preimage,
            _ => None,
        };
        let Some(preimage) = preimage else {
            tracing::info!(payment_hash = %hex(&hash.0), "refused a payment that no invoice of this wallet asked for");
            self.loaded.manager().fail_htlc_backwards(&hash);
            return;
        };
        let allowed = allowed_skim(self.terms.skim, amount_msat, skimmed_msat);
        if skimmed_msat > allowed {
            self.loaded.manager().fail_htlc_backwards(&hash);
            self.tell_skim_refused(hash, amount_msat, skimmed_msat, allowed);
            return;
        }
        self.claimed.insert(hash.0);
        failpoint::reached(Point::BeforeClaim);
        self.loaded.manager().claim_funds(preimage);
        failpoint::reached(Point::AfterClaim);
    }

    /// LDK repeats this at each load while a monitor holds the preimage: told once per payment id.
    fn tell_received(&mut self, hash: PaymentHash, id: String, amount_msat: u64, htlcs: &[ClaimedHTLC]) {
        self.claimed.insert(hash.0);
        self.seen_now.insert(id.clone());
        if self.row.told.contains(&id) {
            return;
        }
        self.row.told.push(id.clone());
        let skimmed_msat = htlcs.iter().map(|htlc| htlc.counterparty_skimmed_fee_msat).sum();
        let payment_hash = hex(&hash.0);
        let timestamp_ms = clock::now_ms();
        let ledger = LedgerRow { payment_hash: &payment_hash, amount_msat, skimmed_msat, timestamp_ms };
        match serde_json::to_vec(&ledger) {
            Ok(bytes) => self.staged.put(format!("{LEDGER_PREFIX}{id}"), bytes),
            Err(error) => self.loaded.fault().raise(Error::new(Code::Internal, format!("a ledger row: {error}"))),
        }
        self.outbox.push(PaymentEvent {
            id: id.clone(),
            event_type: EventType::Received,
            payment_hash,
            payment_id: Some(id),
            amount_msat,
            skimmed_msat,
            reason: None,
            timestamp_ms,
            wake_by: None,
        });
    }

    fn tell_skim_refused(&mut self, hash: PaymentHash, amount_msat: u64, skimmed_msat: u64, allowed: u64) {
        let reason = format!(
            "the LSP would keep {skimmed_msat} msat of this payment; maxSkimPpm and maxSkimBaseMsat allow {allowed}"
        );
        self.tell_refused(hash, amount_msat, skimmed_msat, reason);
    }

    /// LDK has failed it already. Only a payer's own odd onion would look the same.
    fn tell_short(&mut self, hash: PaymentHash) {
        let channels = self.loaded.manager().list_channels();
        let pending = channels.iter().flat_map(|channel| &channel.pending_inbound_htlcs);
        let arrived = pending.filter(|htlc| htlc.payment_hash == hash).map(|htlc| htlc.amount_msat).next();
        let reason = "less arrived than the payer's onion says, and the LSP does not say that it keeps the rest";
        self.tell_refused(hash, arrived.unwrap_or(0), 0, reason.to_owned());
    }

    /// Once per payment until it is acked, and not without end: who sends these pays nothing for them.
    fn tell_refused(&mut self, hash: PaymentHash, amount_msat: u64, skimmed_msat: u64, reason: String) {
        let payment_hash = hex(&hash.0);
        tracing::warn!(payment_hash, amount_msat, reason, "refused a payment");
        let told = self.outbox.tells(EventType::SkimRefused, &payment_hash);
        if told || self.outbox.count(EventType::SkimRefused) >= MAX_REFUSALS {
            return;
        }
        self.outbox.push(PaymentEvent {
            id: format!("skim-{:016x}", self.outbox.next_number()),
            event_type: EventType::SkimRefused,
            payment_hash,
            payment_id: None,
            amount_msat,
            skimmed_msat,
            reason: Some(reason),
            timestamp_ms: clock::now_ms(),
            wake_by: None,
        });
    }

    fn keep_spendable(&mut self, outputs: &[SpendableOutputDescriptor]) {
        for output in outputs {
            let outpoint = output.spendable_outpoint();
            let key = format!("{SPENDABLE_PREFIX}{}:{}", outpoint.txid, outpoint.index);
            let value = match output {
                SpendableOutputDescriptor::StaticOutput { output, .. } => output.value,
                SpendableOutputDescriptor::DelayedPaymentOutput(descriptor) => descriptor.output.value,
                SpendableOutputDescriptor::StaticPaymentOutput(descriptor) => descriptor.output.value,
            };
            self.row.spendable_sats.insert(format!("{}:{}", outpoint.txid, outpoint.index), value.to_sat());
            self.staged.put(key, output.encode());
        }
    }
}

/// What an LSP may keep of a payment whose sender paid `net + skimmed`.
pub(super) fn allowed_skim(limit: SkimLimit, net_msat: u64, skimmed_msat: u64) -> u64 {
    let paid = u128::from(net_msat) + u128::from(skimmed_msat);
    // Rounded up: an LSP's own fee is the ceiling of the same product.
    let proportional = paid.saturating_mul(limit.ppm.into()).div_ceil(1_000_000);
    limit.base_msat.saturating_add(u64::try_from(proportional).unwrap_or(u64::MAX))
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
