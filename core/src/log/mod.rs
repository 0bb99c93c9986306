//! What a node tells while it works: records and the ends of spans, under names that stay.
//!
//! Rust's own name of a record's origin is the path of a module, which changes whenever the code is tidied up. So whoever listens
//! sees the names of [`targets`], and says by them how much of what is wanted ([`Levels`]).
//!
//! A span is a phase that takes time ([`phase!`]): its end is told with how it went. Without a listener neither spans nor records
//! are made: what is left is a look at one static per place in the code.

mod ldk;
mod levels;
mod phase;
pub mod targets;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;

pub use ldk::{LdkLog, Observer};
pub use levels::Levels;
pub(crate) use phase::{note, phase, timed};

/// The name of the span of a session: the life of a wallet in this process from the claim to the release. What is told during it
/// carries its [`LABELS`].
pub const SESSION: &str = "session";

/// The fields of [`SESSION`] that tell two sessions of one process apart.
pub const LABELS: [&str; 2] = ["session", "epoch"];
