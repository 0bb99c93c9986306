//! What becomes of payments: claimed or refused, told, and written into the ledger.

use super::ledger::LedgerEntry;
use super::payment_policy::{refusal, Claimable, Refusal};
use super::view::hex;
use super::Wallet;
use crate::clock;
use crate::events::{EventType, PaymentEvent};
use crate::failpoint::{self, Point};
use crate::payment_secret::asked_msat;
use lightning::chain::channelmonitor::HTLC_FAIL_BACK_BUFFER;
use lightning::events::{ClaimedHTLC, PaymentPurpose};
use lightning::sign::NodeSigner;
use lightning::types::payment::PaymentHash;

/// Unacked refusals that are kept: every boot reads them.
const MAX_REFUSALS: usize = 100;

impl Wallet {
    /// Of a payment whose parts are all there. `deadline` is the height from which on LDK would fail it back by itself.
    pub(super) fn claim_or_refuse(
        &mut self,
        hash: PaymentHash,
        purpose: &PaymentPurpose,
        amount_msat: u64,
        skimmed_msat: u64,
        deadline: u32,
    ) {
        let manager = self.loaded.manager();
        let payment_hash = hex(&hash.0);
        let PaymentPurpose::Bolt11InvoicePayment { payment_preimage: Some(preimage), payment_secret } = purpose else {
            tracing::info!(payment_hash, "refused a payment that no invoice of this wallet asked for");
            manager.fail_htlc_backwards(&hash);
            return;
        };
        let expiry = deadline.saturating_add(HTLC_FAIL_BACK_BUFFER);
        let payment = Claimable {
            amount_msat,
            skimmed_msat,
            asked_msat: asked_msat(&self.loaded.keys().get_expanded_key(), payment_secret),
            blocks_left: expiry.saturating_sub(manager.current_best_block().height),
            paid_before: self.receipts.was_paid(&hash).unwrap_or(true),
        };
        let Some(refusal) = refusal(&payment, self.terms.skim) else {
            failpoint::reached(Point::BeforeClaim);
            manager.claim_funds(*preimage);
            failpoint::reached(Point::AfterClaim);
            return;
        };
        manager.fail_htlc_backwards(&hash);
        match refusal {
            Refusal::Skim { allowed_msat } => self.tell_skim_refused(hash, amount_msat, skimmed_msat, allowed_msat),
            refusal => tracing::info!(payment_hash, ?refusal, ?payment, "refused a payment"),
        }
    }

    /// LDK repeats this at each load while a monitor holds the preimage: told once. What was told long ago the ledger knows.
    pub(super) fn tell_received(&mut self, hash: PaymentHash, id: String, amount_msat: u64, htlcs: &[ClaimedHTLC]) {
        let is_recent = self.row.told.contains(&id);
        let is_told = is_recent || self.receipts.was_paid(&hash) == Some(true);
        self.receipts.claimed(&hash, htlcs, &self.loaded.manager().list_channels());
        if !is_recent {
            self.row.told.push(id.clone());
        }
        if is_told {
            self.repeated.insert(id);
            return;
        }
        self.received += 1;
        let skimmed_msat = htlcs.iter().map(|htlc| htlc.counterparty_skimmed_fee_msat).sum();
        let payment_hash = hex(&hash.0);
        let timestamp_ms = clock::now_ms();
        let (entry_hash, payment_id) = (payment_hash.clone(), id.clone());
        let entry = LedgerEntry { payment_hash: entry_hash, payment_id, amount_msat, skimmed_msat, timestamp_ms };
        if let Err(error) = entry.stage(&mut self.staged) {
            self.loaded.fault().raise(error);
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
    pub(super) fn tell_short(&mut self, hash: PaymentHash) {
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
}
