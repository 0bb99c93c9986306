//! The way into LDK's code: a panic in it ends the node, not the process.

use crate::error::{Code, Error, Result};
use std::panic::{catch_unwind, AssertUnwindSafe};

/// Runs LDK code; a panic in it becomes `INTERNAL` and the node is over, the process is not.
pub(crate) fn guarded<T>(what: &str, call: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        let line = text.lines().next().unwrap_or_default();
        Error::new(
            Code::Internal,
            format!("a panic in {what}: {line}; the node is stopped, what was committed is safe"),
        )
    })
}
