//! mayfly-lab: a whole Lightning network on one machine, for tests, the demo and the benchmarks. Never shipped.
//!
//! It listens on loopback only, its wallets have public seeds, and its chain is a regtest that nobody else knows.

pub mod args;
pub mod chain;
pub mod cheat;
pub mod control;
pub mod esplora;
pub mod faults;
pub mod hostile;
pub mod lab;
pub mod logging;
pub mod lsp;
pub mod node;
pub mod payer;
pub mod sql;
pub mod webhook;
