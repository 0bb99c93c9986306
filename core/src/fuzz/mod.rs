//! Broken inputs for every parser: what comes from JavaScript, from the LSP, from Esplora and from the store.
//!
//! Whoever writes these bytes must not be able to panic, hang or fill the process (P6). Each target is a parser with valid seeds and
//! a property; inputs are seeds that were broken by a seeded generator (`mutate.rs`). `cargo test` runs a share, `npm run fuzz` a
//! million. What must hold of each input, beside its target's property, is in `runner.rs`. An input that failed is kept in
//! `regressions/<target>/` and runs first, always.

mod esplora;
mod http;
mod invoices;
mod lsps;
mod memory;
mod mutate;
mod options;
mod rows;
mod runner;
mod wallet;

use crate::error::{Code, Error};

/// Whether the input was taken for what it should be, or refused.
type Check = dyn Fn(&[u8]) -> bool;

/// A parser, and what must hold of whatever it is given.
pub(super) struct Target {
    name: &'static str,
    /// How many of a million inputs are for it: more for what is quick and what strangers write.
    per_million: u64,
    /// Valid inputs of each kind.
    seeds: Vec<Vec<u8>>,
    /// Panics where the property is broken.
    check: Box<Check>,
}

impl Target {
    fn new(
        name: &'static str,
        per_million: u64,
        seeds: &[impl AsRef<[u8]>],
        check: impl Fn(&[u8]) -> bool + 'static,
    ) -> Target {
        let seeds = seeds.iter().map(|seed| seed.as_ref().to_vec()).collect();
        Target { name, per_million, seeds, check: Box::new(check) }
    }
}

/// Longer than this no message helps anyone, and a stranger would write our logs.
const LONGEST_MESSAGE: usize = 2_000;

/// Asserts that something was refused as it should be: it was not taken.
fn refused(error: &Error, codes: &[Code]) -> bool {
    assert!(codes.contains(&error.code), "{error}");
    assert!(error.message.len() < LONGEST_MESSAGE, "a message of {} bytes: {error}", error.message.len());
    assert!(!error.message.chars().any(|c| c.is_control()), "a control character in a message: {error:?}");
    false
}

#[test]
fn options_are_taken_as_they_are_meant_or_refused_by_name() {
    runner::run(options::targets);
}

#[test]
fn invoices_are_read_as_they_are_written_and_say_what_was_asked_for() {
    runner::run(invoices::targets);
}

#[test]
fn whatever_an_lsp_says_answers_one_request_at_most_and_is_answered_with_nothing() {
    runner::run(lsps::targets);
}

#[test]
fn whatever_esplora_answers_is_proven_or_refused() {
    runner::run(esplora::targets);
}

#[test]
fn whatever_a_server_writes_into_the_connection_is_an_answer_or_chain_unavailable() {
    runner::run(http::targets);
}

#[test]
fn stored_rows_load_as_they_were_staged_or_are_state_corrupt() {
    runner::run(rows::targets);
}

#[test]
fn a_wallet_with_broken_monitors_or_manager_does_not_load_or_loads_whole() {
    runner::run(wallet::targets);
}

#[test]
fn a_million_inputs_are_a_million_of_targets_with_names() {
    let groups = [
        options::targets,
        invoices::targets,
        lsps::targets,
        esplora::targets,
        http::targets,
        rows::targets,
        wallet::targets,
    ];
    let targets: Vec<Target> = groups.iter().flat_map(|targets| targets()).collect();
    assert_eq!(targets.iter().map(|target| target.per_million).sum::<u64>(), 1_000_000);
    let mut names: Vec<&str> = targets.iter().map(|target| target.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), targets.len(), "each name once");
    runner::assert_known(&names);
}
