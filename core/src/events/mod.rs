//! What JavaScript is told about payments.
//!
//! An event is written into the outbox in the same transaction as the state that it tells of, is handed out only after that
//! commit, and is deleted by the commit that its `ackEvent` waits for: at least once, never lost, a repeat has the same id.

pub mod out;
mod outbox;
#[cfg(test)]
mod tests;

pub use outbox::Outbox;

use serde::{Deserialize, Serialize};

/// What happened to a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventType {
    /// Claimed and durable: the money is ours once the LSP has the preimage.
    Received,
    /// The LSP wanted to keep more than the skim limit, or kept something and did not say so; the payment was refused.
    SkimRefused,
}

/// One event of the outbox. At least once, never lost; a repeat has the same `id`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentEvent {
    /// Stable across redeliveries; ordered as the events happened.
    pub id: String,
    /// What happened.
    pub event_type: EventType,
    /// 64 hex characters.
    pub payment_hash: String,
    /// LDK's id of this set of HTLCs, 64 hex characters.
    pub payment_id: Option<String>,
    /// What arrived, net of the skim, in millisatoshi.
    pub amount_msat: u64,
    /// What the LSP kept, in millisatoshi.
    pub skimmed_msat: u64,
    /// Why it was refused.
    pub reason: Option<String>,
    /// Wall time of the event in milliseconds since 1970.
    pub timestamp_ms: u64,
    /// Run again before this block height: the claimed HTLC is not fulfilled yet.
    pub wake_by: Option<u32>,
}
