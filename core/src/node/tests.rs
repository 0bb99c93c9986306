#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod boot;
mod flight;
mod handle;
mod link;
mod receive;
