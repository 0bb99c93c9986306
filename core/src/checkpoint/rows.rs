//! The keys of a wallet's rows; reading one, and what is said of one that does not load.

use crate::error::{shown, Code, Error, Result};
use lightning::ln::msgs::DecodeError;
use std::panic::{catch_unwind, AssertUnwindSafe};

/// LDK's channel manager.
pub const MANAGER: &str = "manager";
/// One row per channel monitor: `monitor/<funding outpoint or channel id>`.
pub const MONITOR_PREFIX: &str = "monitor/";
/// One row per update of a monitor since its row was written: `delta/<as in its row's key>/<update id, 20 digits>`.
pub const DELTA_PREFIX: &str = "delta/";
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

/// How much of a row's key an error shows: `delta/`, a funding outpoint and an update's number.
const ROW_SHOWN: usize = 104;

/// What a row holds. LDK refuses most broken rows and panics on some.
pub(super) fn loaded<T>(row: &str, read: impl FnOnce() -> std::result::Result<T, DecodeError>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(corrupt_row(row, &format!("{error:?}"))),
        Err(_) => Err(corrupt_row(row, "LDK panicked")),
    }
}

/// `STATE_CORRUPT`, and what the user can do.
pub(super) fn corrupt_row(row: &str, problem: &str) -> Error {
    let row = shown(row, ROW_SHOWN);
    Error::new(
        Code::StateCorrupt,
        format!("row {row} of the store does not load ({problem}); nothing was sent or changed; restore the store from where it was written as a whole; if that is lost for good, `recover: 'force-close'` gives the channels up"),
    )
}
