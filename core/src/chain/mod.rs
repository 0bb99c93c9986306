//! The chain, seen through an Esplora server: what is confirmed, what a block costs, how a transaction gets out.
//!
//! What must hold: the server is believed only where its answer proves itself (a header hashes to what was asked and carries
//! its work, a transaction hashes to its id, a Merkle proof leads to the header's root). Where nothing can prove an answer
//! (heights, "not spent", fees) it is bounded, and a wallet is as safe as its Esplora server is honest. A server that is
//! down, slow or talks nonsense is `CHAIN_UNAVAILABLE`: retryable, and nothing was changed.

pub mod coins;
mod credentials;
pub mod esplora;
pub mod fees;
pub mod freshness;
pub mod http;
pub mod publish;
pub mod sync;

pub use esplora::{Broadcast, Esplora, Tip};
pub use fees::Fees;
pub use sync::{sync, Watched};

#[cfg(test)]
pub(crate) mod tests;
