//! Output commit (P4): nothing leaves the node before the state that it depends on is committed, in one transaction.
//!
//! LDK's own order (monitor first, manager later) loses channels when a process dies between the two, and LDK releases
//! messages before either is durable. Here every output is held instead:
//!
//! 1. `PersistQueue` answers `Completed` to every monitor update and remembers it.
//! 2. `MessageGate` stands between LDK's channel manager and its peer manager and holds every outgoing message;
//!    `BroadcastGate` holds every transaction; the node holds its events and promises.
//! 3. `Loaded::cut` takes manager, what changed in monitors, and held outputs at one instant. All of LDK is driven by one thread,
//!    so nothing can move between the encodings.
//! 4. `Committer::commit` writes the cut in one transaction, conditional on (epoch, seq).
//! 5. Only `Loaded::open_gate` lets that cut's outputs go. A commitment of ours waits longer: see `doubt.rs`.
//!
//! A process that dies anywhere in between has said nothing that its committed state does not cover. A holder that is
//! fenced fails at 4 and is over: it can't have said anything either.

mod broadcast;
mod committer;
mod doubt;
mod engine;
mod fault;
mod messages;
mod monitors;
mod pace;
mod persist;
mod queues;
mod recovery;
mod reestablish;
mod reserve;
pub mod rows;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
pub(crate) mod tests;

pub use broadcast::BroadcastGate;
pub use committer::Committer;
pub use engine::{Cut, Engine, EngineParams, Loaded};
pub use fault::Fault;
pub use messages::MessageGate;
pub use persist::PersistQueue;
pub use recovery::Recovery;
