//! What JavaScript sees: classes, option objects, errors, promises. No logic: parse → call core → map the error.
//!
//! What must hold: nothing starts at `require`, no input and no panic reaches the host process, and when an environment (the
//! main thread or a worker) ends, none of its nodes is left. `index.js` adds what napi can't bind.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::todo,
    clippy::unimplemented,
    clippy::print_stdout,
    clippy::print_stderr
)]

mod args;
mod cancel;
mod entry;
mod env;
mod errors;
mod functions;
mod idle;
mod js;
mod kill_timer;
mod log;
mod migrate;
mod node;
mod options;
mod panics;
mod promise;
#[cfg(debug_assertions)]
mod selftest;
mod shapes;
mod shutdown;
