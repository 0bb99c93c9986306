//! The keys of a wallet's rows.

/// LDK's channel manager.
pub const MANAGER: &str = "manager";
/// One row per channel monitor: `monitor/<funding outpoint or channel id>`.
pub const MONITOR_PREFIX: &str = "monitor/";
/// What did not load when the user gave it up: `lost/<its key>`. Kept for whoever may still make something of it.
pub const LOST_PREFIX: &str = "lost/";
/// The node's own state (JIT route, fee estimates, claimed payments, summary), JSON.
pub const NODE: &str = "node";
/// One row per event that is not acked: `outbox/<id>`, JSON.
pub const OUTBOX_PREFIX: &str = "outbox/";
/// One row per payment received: `ledger/<payment hash>`, JSON; never read at boot.
pub const LEDGER_PREFIX: &str = crate::store::COLD_PREFIX;
