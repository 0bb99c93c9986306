#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::config::TakeOver;
use crate::store::memory::MemoryWallet;
use crate::store::{Batch, Nonce, Outcome, Position, Rows, Standing, StoreFuture};

fn policy(attempts: u32, base_ms: u64, max_ms: u64) -> LeasePolicy {
    LeasePolicy {
        ttl: Duration::from_secs(8),
        attempts,
        base_delay: Duration::from_millis(base_ms),
        max_wait: Duration::from_millis(max_ms),
        take_over: TakeOver::Unrenewed,
    }
}

fn pauses_ms(policy: &LeasePolicy) -> Vec<u128> {
    Budget::new(policy).map(|pause| pause.as_millis()).collect()
}

fn claimant(pid: u32) -> Claimant {
    Claimant::of_process(pid)
}

/// Counts the attempts on a memory wallet, each of which takes some time.
struct Counted {
    inner: Box<dyn Store>,
    attempts: u32,
    takes: Duration,
}

impl Store for Counted {
    fn claim_and_load<'a>(&'a mut self, claimant: &'a Claimant) -> StoreFuture<'a, Result<Snapshot>> {
        self.attempts += 1;
        Box::pin(async move {
            tokio::time::sleep(self.takes).await;
            self.inner.claim_and_load(claimant).await
        })
    }
    fn commit<'a>(&'a mut self, at: Position, nonce: Nonce, batch: &'a Batch) -> StoreFuture<'a, Outcome> {
        self.inner.commit(at, nonce, batch)
    }
    fn check<'a>(&'a mut self, at: Position) -> StoreFuture<'a, Result<Standing>> {
        self.inner.check(at)
    }
    fn release<'a>(&'a mut self, at: Position) -> StoreFuture<'a, Result<()>> {
        self.inner.release(at)
    }
    fn read<'a>(&'a mut self, prefixes: &'a [&'a str]) -> StoreFuture<'a, Result<Rows>> {
        self.inner.read(prefixes)
    }
    fn read_last<'a>(
        &'a mut self,
        prefix: &'a str,
        before: Option<&'a str>,
        limit: usize,
    ) -> StoreFuture<'a, Result<Rows>> {
        self.inner.read_last(prefix, before, limit)
    }
}

fn counted(wallet: &MemoryWallet) -> Counted {
    Counted { inner: Box::new(wallet.store()), attempts: 0, takes: Duration::ZERO }
}

#[test]
fn the_default_budget_is_seven_pauses_of_9750_ms_in_all() {
    let pauses = pauses_ms(&policy(8, 250, 10_000));
    assert_eq!(pauses, [250, 500, 1_000, 2_000, 2_000, 2_000, 2_000]);
    assert_eq!(pauses.iter().sum::<u128>(), 9_750);
}

#[test]
fn one_attempt_or_none_has_no_pause() {
    assert!(pauses_ms(&policy(1, 250, 10_000)).is_empty());
    assert!(pauses_ms(&policy(0, 250, 10_000)).is_empty());
    assert!(pauses_ms(&policy(8, 250, 0)).is_empty());
}

#[test]
fn the_last_pause_is_cut_to_what_is_left() {
    assert_eq!(pauses_ms(&policy(8, 250, 1_000)), [250, 500, 250]);
    assert_eq!(pauses_ms(&policy(8, 250, 750)), [250, 500]);
}

#[test]
fn a_base_over_the_cap_is_capped_and_a_huge_one_does_not_overflow() {
    assert_eq!(pauses_ms(&policy(3, 60_000, 10_000)), [2_000, 2_000]);
    let mut huge = policy(4, 0, 10_000);
    huge.base_delay = Duration::MAX;
    assert_eq!(pauses_ms(&huge), [2_000, 2_000, 2_000]);
}

#[tokio::test(start_paused = true)]
async fn a_held_wallet_is_tried_eight_times_in_9750_ms_and_then_the_holder_is_named() {
    let wallet = MemoryWallet::default();
    let (mut holder, mut store) = (wallet.store(), counted(&wallet));
    holder.claim_and_load(&claimant(77)).await.unwrap();
    let began = Instant::now();
    let error = claim_within(&mut store, &claimant(1), &policy(8, 250, 10_000)).await.unwrap_err();
    assert_eq!((began.elapsed().as_millis(), store.attempts), (9_750, 8));
    assert_eq!((error.code, error.holder.unwrap().pid), (Code::WalletLocked, Some(77)));
}

#[tokio::test(start_paused = true)]
async fn one_attempt_answers_at_once() {
    let wallet = MemoryWallet::default();
    let (mut holder, mut store) = (wallet.store(), counted(&wallet));
    holder.claim_and_load(&claimant(77)).await.unwrap();
    let began = Instant::now();
    assert!(claim_within(&mut store, &claimant(1), &policy(1, 250, 10_000)).await.is_err());
    assert_eq!((began.elapsed(), store.attempts), (Duration::ZERO, 1));
}

#[tokio::test(start_paused = true)]
async fn slow_attempts_count_towards_the_wait() {
    let wallet = MemoryWallet::default();
    let (mut holder, mut store) = (wallet.store(), counted(&wallet));
    holder.claim_and_load(&claimant(77)).await.unwrap();
    store.takes = Duration::from_secs(3);
    let began = Instant::now();
    assert!(claim_within(&mut store, &claimant(1), &policy(8, 250, 10_000)).await.is_err());
    // 3 + 0.25 + 3 + 0.5 + 3 + the 0.25 that are left, and the attempt that was due by then.
    assert_eq!((began.elapsed().as_millis(), store.attempts), (13_000, 4));
}

#[tokio::test(start_paused = true)]
async fn a_waiting_claim_wins_at_the_first_attempt_after_the_release() {
    let wallet = MemoryWallet::default();
    let (mut holder, mut store) = (wallet.store(), counted(&wallet));
    holder.claim_and_load(&claimant(77)).await.unwrap();
    let began = Instant::now();
    let release = async {
        tokio::time::sleep(Duration::from_millis(1_000)).await;
        drop(holder);
    };
    let (who, policy) = (claimant(1), policy(8, 250, 10_000));
    let (won, ()) = tokio::join!(claim_within(&mut store, &who, &policy), release);
    won.unwrap();
    assert_eq!((began.elapsed().as_millis(), store.attempts), (1_750, 4));
}

/// When the attempts of the default budget are made, in ms after the first.
const ATTEMPTS_MS: [u64; 8] = [0, 250, 750, 1_750, 3_750, 5_750, 7_750, 9_750];

#[tokio::test(start_paused = true)]
async fn a_wallet_that_is_let_go_at_any_millisecond_of_the_budget_is_taken_at_the_next_attempt() {
    let policy = policy(8, 250, 10_000);
    // At the very millisecond of an attempt both may come first: those are left out.
    let instants = (1..10_000).filter(|instant| !ATTEMPTS_MS.contains(instant));
    for instant in instants {
        let wallet = MemoryWallet::default();
        let (mut holder, mut store) = (wallet.store(), counted(&wallet));
        holder.claim_and_load(&claimant(77)).await.unwrap();
        let began = Instant::now();
        let who = claimant(1);
        let release = async {
            tokio::time::sleep(Duration::from_millis(instant)).await;
            drop(holder);
        };
        let (came_to, ()) = tokio::join!(claim_within(&mut store, &who, &policy), release);
        match ATTEMPTS_MS.iter().position(|attempt| *attempt > instant) {
            Some(earlier) => {
                came_to.unwrap_or_else(|error| panic!("let go at {instant} ms: {error}"));
                assert_eq!(usize::try_from(store.attempts).unwrap(), earlier + 1, "let go at {instant} ms");
            }
            // Too late: the answer was given at the last attempt.
            None => assert_eq!((came_to.unwrap_err().code, store.attempts), (Code::WalletLocked, 8)),
        }
        assert!(began.elapsed() <= Duration::from_secs(10), "let go at {instant} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_restarts_again_and_again_is_waited_for_and_the_last_one_is_named() {
    let wallet = MemoryWallet::default();
    let mut store = counted(&wallet);
    let mut holder = wallet.store();
    holder.claim_and_load(&claimant(77)).await.unwrap();
    // It is away for 40 ms of each 100, and never when an attempt is made.
    let restarts = async {
        for life in 1..=97 {
            tokio::time::sleep(Duration::from_millis(60)).await;
            drop(holder);
            tokio::time::sleep(Duration::from_millis(39)).await;
            holder = wallet.store();
            holder.claim_and_load(&claimant(77 + life)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        std::future::pending::<()>().await;
    };
    let (who, policy) = (claimant(1), policy(8, 250, 10_000));
    let error = tokio::select! {
        won = claim_within(&mut store, &who, &policy) => won.unwrap_err(),
        () = restarts => unreachable!(),
    };
    assert_eq!((store.attempts, error.holder.unwrap().pid), (8, Some(77 + 97)));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_wait_is_over_at_once() {
    let wallet = MemoryWallet::default();
    let (mut holder, mut store) = (wallet.store(), counted(&wallet));
    holder.claim_and_load(&claimant(77)).await.unwrap();
    let began = Instant::now();
    let (who, policy) = (claimant(1), policy(8, 250, 10_000));
    let wait = claim_within(&mut store, &who, &policy);
    assert!(tokio::time::timeout(Duration::from_millis(300), wait).await.is_err());
    assert_eq!((began.elapsed().as_millis(), store.attempts), (300, 2));
    drop(holder);
    wallet.store().claim_and_load(&who).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn any_other_error_ends_the_wait_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let in_the_way = dir.path().join("file");
    std::fs::write(&in_the_way, b"").unwrap();
    let inner = Box::new(crate::store::file::FileStore::open(in_the_way, crate::store::WalletId([1; 32])));
    let mut store = Counted { inner, attempts: 0, takes: Duration::ZERO };
    let began = Instant::now();
    let error = claim_within(&mut store, &claimant(1), &policy(8, 250, 10_000)).await.unwrap_err();
    assert_eq!(error.code, Code::StoreUnavailable);
    assert_eq!((began.elapsed(), store.attempts), (Duration::ZERO, 1));
}
