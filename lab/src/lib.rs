//! mayfly-lab: a whole Lightning network on one machine, for tests, the demo and the benchmarks. Never shipped.
//!
//! It listens on loopback only, its wallets have public seeds, and its chain is a regtest that nobody else knows.

pub mod chain;
pub mod esplora;
pub mod faults;
pub mod webhook;
