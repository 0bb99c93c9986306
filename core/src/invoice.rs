//! Stateless BOLT 11 (P1).

/// What to mint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MintRequest {
    pub amount_msat: Option<u64>,
    pub description: String,
    pub expiry_secs: u32,
}

/// A minted invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invoice {
    pub bolt11: String,
    pub payment_hash: String,
    pub expires_at_ms: u64,
    pub scid: u64,
    pub amount_msat: Option<u64>,
}
