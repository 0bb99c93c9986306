//! Bitcoin that is the wallet's own: where what a channel's close brings back goes, and how it leaves.
//!
//! No wallet library: those keep a view of the chain, which every boot would read and which grows. This one keeps the index of
//! its next address and the coins that it knows; the rest is asked of Esplora when somebody wants to know.

pub mod account;
pub mod destination;
pub mod look;
pub mod outgoing;
pub mod signer;
pub mod spend;

pub use account::{Account, Chain, Place, Serving};
pub use signer::Signer;
pub use spend::Coin;
