//! Where a panic happened, for the `INTERNAL` error that it becomes.
//!
//! Rust's own hook prints to stderr, which belongs to the host. Ours remembers the location for the thread and prints nothing.

use std::any::Any;
use std::cell::Cell;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Once;

use mayfly_core::error::{Code, Error, Result};

thread_local! {
    static LOCATION: Cell<Option<String>> = const { Cell::new(None) };
}

static HOOK: Once = Once::new();

/// Runs `body`; a panic in it becomes an `INTERNAL` error with its location.
pub fn caught<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    HOOK.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            let location = info.location().map(|at| format!("{}:{}", at.file(), at.line()));
            // A thread that is past its thread-locals has nobody left to tell.
            let _ = LOCATION.try_with(|last| last.set(location));
        }));
    });
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
        let location = LOCATION.take().unwrap_or_else(|| "an unknown place".to_owned());
        let message = text(payload.as_ref()).to_owned();
        // A payload whose drop panics would unwind out of the handler: leak that one.
        std::mem::forget(payload);
        Err(Error::new(
            Code::Internal,
            format!("a bug in mayfly: panic at {location}: {message}; please report it with this text"),
        ))
    })
}

fn text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
