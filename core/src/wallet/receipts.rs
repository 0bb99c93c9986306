//! What this wallet has received: an invoice is paid once.
//!
//! Nobody else knows. LDK keeps nothing of an invoice: it derives the preimage again, and would claim one invoice as often as
//! somebody pays it. The ledger has a row per payment hash, which no boot reads; so one row is asked for when a payment is
//! claimable, and only if this session doesn't know already.
//!
//! LDK's `PaymentClaimable` waits in LDK until the answer is there (`ReplayEvent`). The cases:
//! * **The process dies, the look-up fails, or is dropped half-way.** Nothing was claimed and nothing is lost: the event is
//!   LDK's still, and part of every manager that is written meanwhile. The next turn, or the next start, asks again.
//! * **Claimed.** The claim, the ledger's row and the event for JavaScript are one commit, so a row is there if and only if the
//!   claim is.
//! * **Claimed, and dead before the LSP has the preimage.** LDK repeats the claim at the next load, with `PaymentClaimed` and not
//!   with `PaymentClaimable`: nobody asks whether it was paid before.
//! * **The same invoice again**, in this session: known. In a later one: its row is found. While the first is still being
//!   put together or claimed: LDK fails the second by itself. So two at once are one payment.
//! * **In parts.** LDK says claimable when all are there. The same parts once more are refused when they are all there, or by
//!   LDK's timer if they never are.
//! * **Refused before** (skim, amount, too late): no row. It may be paid again, properly.

use super::ledger;
use super::view::hex;
use crate::store::Rows;
use lightning::events::ClaimedHTLC;
use lightning::ln::channel_state::{ChannelDetails, InboundHTLCDetails, InboundHTLCStateDetails};
use lightning::ln::types::ChannelId;
use lightning::types::payment::PaymentHash;
use std::collections::{BTreeSet, HashSet};

/// What a session knows of payments received.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    /// Received, in this session or, as LDK or the ledger said, before.
    received: HashSet<[u8; 32]>,
    /// The ledger has no row of it.
    unpaid: HashSet<[u8; 32]>,
    /// Claimable, and unknown until the ledger is asked.
    asked: BTreeSet<[u8; 32]>,
    /// HTLCs that are claimed. Of two with one payment hash, only one is.
    htlcs: HashSet<(ChannelId, u64)>,
}

impl Receipts {
    /// Whether that payment hash was paid before; `None`: the ledger must be asked.
    pub fn was_paid(&self, hash: &PaymentHash) -> Option<bool> {
        if self.received.contains(&hash.0) {
            return Some(true);
        }
        self.unpaid.contains(&hash.0).then_some(false)
    }

    /// The next look-up asks for it.
    pub fn ask(&mut self, hash: &PaymentHash) {
        self.asked.insert(hash.0);
    }

    /// What to ask the ledger for: nothing, or what must be known and, in the same round trip, what soon will have to be.
    pub fn take_asked(&mut self, channels: impl FnOnce() -> Vec<ChannelDetails>) -> Vec<[u8; 32]> {
        let mut asked = std::mem::take(&mut self.asked);
        if !asked.is_empty() {
            let pending = channels().into_iter().flat_map(|channel| channel.pending_inbound_htlcs);
            asked.extend(
                pending.filter(|htlc| self.was_paid(&htlc.payment_hash).is_none()).map(|htlc| htlc.payment_hash.0),
            );
        }
        asked.into_iter().collect()
    }

    /// The rows that the ledger has of these.
    pub fn answer(&mut self, asked: &[[u8; 32]], found: &Rows) {
        for hash in asked {
            let of = if found.contains_key(&key(hash)) { &mut self.received } else { &mut self.unpaid };
            of.insert(*hash);
        }
    }

    /// LDK says that it is claimed: now, or before a load.
    pub fn claimed(&mut self, hash: &PaymentHash, htlcs: &[ClaimedHTLC], channels: &[ChannelDetails]) {
        self.received.insert(hash.0);
        self.unpaid.remove(&hash.0);
        for htlc in htlcs {
            let channel = channels.iter().find(|channel| channel.channel_id == htlc.channel_id);
            let pending = channel.into_iter().flat_map(|channel| &channel.pending_inbound_htlcs);
            // LDK does not name it. Ids grow, and the first that came is the one that was claimed.
            let same = pending.filter(|pending| {
                pending.payment_hash == *hash
                    && (pending.amount_msat, pending.cltv_expiry) == (htlc.value_msat, htlc.cltv_expiry)
                    && may_be_claimed(pending)
                    && !self.htlcs.contains(&(htlc.channel_id, pending.htlc_id))
            });
            if let Some(id) = same.map(|pending| pending.htlc_id).min() {
                self.htlcs.insert((htlc.channel_id, id));
            }
        }
    }

    /// Whether this very HTLC is claimed, and not only another of the same payment hash.
    pub fn has_claimed(&self, channel: &ChannelDetails, htlc: &InboundHTLCDetails) -> bool {
        self.htlcs.contains(&(channel.channel_id, htlc.htlc_id))
    }
}

/// Neither on its way in, nor failed.
fn may_be_claimed(htlc: &InboundHTLCDetails) -> bool {
    use InboundHTLCStateDetails::{AwaitingRemoteRevokeToAdd, AwaitingRemoteRevokeToRemoveFail};
    !matches!(htlc.state, Some(AwaitingRemoteRevokeToAdd | AwaitingRemoteRevokeToRemoveFail))
}

/// The ledger's row of a payment.
pub(super) fn key(hash: &[u8; 32]) -> String {
    ledger::key(&hex(hash))
}
