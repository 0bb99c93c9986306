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
/// One row per payment received: `ledger/<payment hash>`, JSON; cold, as the next: no boot reads it.
pub const LEDGER_PREFIX: &str = "ledger/";
/// The same payments in the order of their times: `ledger-times/<milliseconds since 1970>/<payment hash>`, empty.
pub const LEDGER_TIMES_PREFIX: &str = "ledger-times/";
