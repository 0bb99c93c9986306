//! mayfly-core: a Lightning node that lives for one request. No JavaScript in here.
//!
//! The way through is in `docs/architecture.md`; each module's head says what problem it solves and what must hold.

#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests bound what they wait for, and read the seed to rerun")
)]

pub mod chain;
pub mod checkpoint;
pub mod clock;
pub mod config;
pub mod entropy;
pub mod error;
pub mod events;
pub mod failpoint;
#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests"
)]
mod fuzz;
pub mod guard;
pub mod invoice;
mod keyed_hash;
pub mod keys;
pub mod ldk;
pub mod lease;
pub mod lock;
pub mod log;
pub mod lsp;
#[cfg(feature = "mutations")]
pub mod mutation;
#[cfg(not(feature = "mutations"))]
mod mutation;
pub mod net;
pub mod node;
pub mod onchain;
pub mod payment_secret;
pub mod reply;
pub mod stats;
pub mod store;
#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "tests")]
mod testing;
pub mod timeouts;
pub mod wallet;
