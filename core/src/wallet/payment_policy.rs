//! Which payments are claimed, of those whose parts are all there and whose secret LDK has verified. What LDK refuses by itself
//! never comes here: a wrong secret, less than the invoice asked for, an invoice that has expired (by the time of the last block,
//! with two hours of grace).
//!
//! What must hold: what is claimed can be enforced on the chain, and what is refused was not worth less to the payer than the
//! goods are: the payer gets all of it back.

use crate::chain::sync::MAX_LAG;
use crate::config::SkimLimit;
use crate::invoice::MIN_FINAL_CLTV_EXPIRY_DELTA;
use lightning::chain::channelmonitor::HTLC_FAIL_BACK_BUFFER;

/// How many blocks an HTLC must still have to be claimed. Invoices ask for 144, so a payment loses half of its day before this
/// refuses it. What is left pays for: LDK's 39 before it would close the channel to claim (36 to be confirmed in, 3 for the
/// peer to answer), 6 that a chain server may lag behind without our knowing, and over four hours from the claim to `wakeBy`
/// for a wallet that dies right after it.
pub(super) const MIN_BLOCKS_TO_CLAIM: u32 = MIN_FINAL_CLTV_EXPIRY_DELTA as u32 / 2;
const _: () = assert!(MIN_BLOCKS_TO_CLAIM > HTLC_FAIL_BACK_BUFFER + MAX_LAG);

/// A payment whose parts are all there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claimable {
    /// What arrived, net of the skim.
    pub amount_msat: u64,
    /// What the LSP kept.
    pub skimmed_msat: u64,
    /// What the invoice asked for, if it did.
    pub asked_msat: Option<u64>,
    /// Its earliest part expires so many blocks after the best one known.
    pub blocks_left: u32,
    /// Its invoice was paid before.
    pub paid_before: bool,
}

/// Why a payment is failed back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// One invoice, one payment.
    PaidBefore,
    /// More than twice of what was asked, which is how far payers may go to hide the amount (BOLT 4).
    TooMuch,
    /// Not enough blocks are left to claim it on the chain.
    TooLate,
    /// The LSP keeps more than this.
    Skim { allowed_msat: u64 },
}

/// `None`: it is claimed.
pub(super) fn refusal(payment: &Claimable, limit: SkimLimit) -> Option<Refusal> {
    let paid = u128::from(payment.amount_msat) + u128::from(payment.skimmed_msat);
    let allowed_msat = allowed_skim(limit, payment.amount_msat, payment.skimmed_msat);
    if payment.paid_before {
        Some(Refusal::PaidBefore)
    } else if payment.asked_msat.is_some_and(|asked| paid > 2 * u128::from(asked)) {
        Some(Refusal::TooMuch)
    } else if payment.blocks_left < MIN_BLOCKS_TO_CLAIM {
        Some(Refusal::TooLate)
    } else if payment.skimmed_msat > allowed_msat {
        Some(Refusal::Skim { allowed_msat })
    } else {
        None
    }
}

/// What an LSP may keep of a payment whose sender paid `net + skimmed`.
pub(super) fn allowed_skim(limit: SkimLimit, net_msat: u64, skimmed_msat: u64) -> u64 {
    let paid = u128::from(net_msat) + u128::from(skimmed_msat);
    // Rounded up: an LSP's own fee is the ceiling of the same product.
    let proportional = paid.saturating_mul(limit.ppm.into()).div_ceil(1_000_000);
    limit.base_msat.saturating_add(u64::try_from(proportional).unwrap_or(u64::MAX))
}
