//! The LSP: LSPS0 transport, the LSPS4 client, and the JIT route that a wallet needs to mint.

pub mod lsps4;
pub mod scid;
mod state;
pub mod transport;

use serde::{Deserialize, Serialize};
use state::NoLiquidityState;

/// Enough to mint without I/O: the LSP's intercept SCID for this wallet and the CLTV delta it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct JitRoute {
    /// The short channel id as LDK's integer: block << 40 | transaction << 16 | output.
    pub scid: u64,
    /// The LSP's `cltv_expiry_delta`.
    pub cltv_expiry_delta: u16,
}
