//! A phase: a span whose end says how it went.
//!
//! Its field `outcome` is `ok`, the error's code, or `dropped`: then the work was given up before it ended, as everything is that
//! runs when `destroy()` is called.

use crate::error::Result;
use std::future::Future;
use tracing::{Instrument, Span};

/// `phase!(target: "mayfly::store", DEBUG, "claim", epoch = Empty)`: the span of a phase, which may leave fields to be recorded.
macro_rules! phase {
    (target: $target:expr, $level:ident, $name:expr $(, $($fields:tt)*)?) => {
        tracing::span!(target: $target, tracing::Level::$level, $name, outcome = "dropped", $($($fields)*)?)
    };
}
pub(crate) use phase;

/// Runs a phase within its span.
pub async fn timed<T>(span: Span, work: impl Future<Output = Result<T>>) -> Result<T> {
    let result = work.instrument(span.clone()).await;
    note(&span, &result);
    result
}

/// Says in a phase's span how it went.
pub fn note<T>(span: &Span, result: &Result<T>) {
    span.record("outcome", result.as_ref().map_or_else(|error| error.code.as_str(), |_| "ok"));
}
