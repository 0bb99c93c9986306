//! What every store must do, as one suite: `store_conformance!(name, make)` is a module of tests.
//!
//! `make()` gives a *place*: an `Fn() -> Box<dyn Store>` (`Sync`) whose stores are all of the same, fresh wallet. Each case
//! takes a place, so a case can open a wallet twice, in two threads, or again after a "restart".
//!
//! Cases wait for events, never for a time, so a store with real sockets behind it passes the same suite.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    missing_docs,
    reason = "a test suite; the names say what holds"
)]

mod commits;
mod lease;
mod model;
mod races;
mod rows;

pub use commits::*;
pub use lease::*;
pub use model::*;
pub use races::*;
pub use rows::*;

use mayfly_core::entropy;
use mayfly_core::store::{Batch, Claimant, Nonce, Outcome, Position, Rows, Seq, Snapshot, Store};

/// A place where one fresh wallet lives.
pub trait Place: Fn() -> Box<dyn Store> + Sync {}
impl<F: Fn() -> Box<dyn Store> + Sync> Place for F {}

/// A place, or none where its server is not there: then each case passes, having said so.
pub trait Offered {
    /// The place.
    type Place: Place;
    /// If there is one.
    fn offered(self) -> Option<Self::Place>;
}

impl<F: Fn() -> Box<dyn Store> + Sync> Offered for F {
    type Place = F;
    fn offered(self) -> Option<F> {
        Some(self)
    }
}

impl<P: Place> Offered for Option<P> {
    type Place = P;
    fn offered(self) -> Option<P> {
        self
    }
}

/// Makes a module of tests, one for each case.
#[doc(hidden)]
macro_rules! store_conformance {
    ($name:ident, $make:expr) => {
        store_conformance!($name, $make;
            a_fresh_wallet_is_empty_at_seq_0
            each_claim_raises_the_epoch_and_keeps_the_seq
            a_held_wallet_is_locked_at_once_and_names_its_holder
            a_released_wallet_is_free_and_its_last_holder_is_over
            a_dropped_store_gives_the_lease_back_at_once_or_with_its_time
            a_release_with_a_stale_position_gives_nothing_back
            a_commit_is_loaded_by_the_next_holder
            a_later_put_replaces_and_a_delete_removes
            an_empty_batch_moves_the_seq
            a_commit_at_a_wrong_seq_writes_nothing_and_ends_the_holder
            a_commit_of_an_older_epoch_writes_nothing_and_ends_the_holder
            a_commit_without_a_claim_is_refused
            the_same_nonce_again_is_committed_once
            another_nonce_at_an_old_seq_is_refused
            a_nonce_of_two_commits_ago_is_refused
            cold_rows_are_not_loaded_but_read
            prefixes_select_exactly_what_starts_with_them
            the_last_rows_come_from_the_end_and_no_more_than_asked_for
            a_reader_without_a_lease_sees_what_is_committed_beside_the_holder
            reading_a_wallet_that_was_never_claimed_finds_nothing
            values_of_a_megabyte_and_empty_values_come_back_as_they_were
            many_rows_come_back_as_they_were
            keys_of_any_text_come_back_in_order
            check_tells_the_holder_where_it_is_and_everyone_else_that_they_are_over
            of_many_claims_at_once_exactly_one_wins
            contending_holders_lose_no_update
            a_waiting_claim_wins_when_the_holder_releases
            a_dropped_waiting_claim_leaves_nothing_behind
            random_commits_match_a_model
        );
    };
    ($name:ident, $make:expr; $($case:ident)*) => {
        mod $name {
            $(
                #[tokio::test]
                async fn $case() {
                    if let Some(place) = crate::conformance::Offered::offered($make()) {
                        crate::conformance::$case(&place).await
                    }
                }
            )*
        }
    };
}

/// Who claims in the suite.
pub fn claimant(pid: u32) -> Claimant {
    Claimant { host: Some("suite".to_owned()), ..Claimant::of_process(pid) }
}

fn nonce() -> Nonce {
    Nonce(entropy::random())
}

fn batch(puts: &[(&str, &[u8])]) -> Batch {
    let mut batch = Batch::default();
    for (key, value) in puts {
        batch.put(*key, value.to_vec());
    }
    batch
}

fn rows_of(rows: &[(&str, &[u8])]) -> Rows {
    rows.iter().map(|(key, value)| ((*key).to_owned(), value.to_vec())).collect()
}

async fn claim(store: &mut dyn Store) -> Snapshot {
    store.claim_and_load(&claimant(1)).await.expect("the wallet is free")
}

async fn commit(store: &mut dyn Store, at: Position, batch: &Batch) -> Position {
    let seq = Seq(at.seq.0 + 1);
    assert_eq!(store.commit(at, nonce(), batch).await, Outcome::Committed(seq));
    Position { seq, ..at }
}

/// Ends a holder: a store whose lease has a time to live would keep the wallet until then.
async fn let_go(mut store: Box<dyn Store>, at: Position) {
    store.release(at).await.expect("the lease is given back");
}

async fn reopened(place: &impl Place) -> Snapshot {
    let mut store = place();
    let snapshot = claim(&mut *store).await;
    let_go(store, snapshot.position).await;
    snapshot
}
