//! Against a server that answers well and badly.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub(crate) mod blocks;
mod esplora;
mod fees;
mod freshness;
mod http;
mod publish;
mod server;
mod sync;
