//! A committer against stores that lose requests and replies, never answer, or belong to someone else by now.

use crate::checkpoint::Committer;
use crate::error::{Code, Error, Result};
use crate::store::memory::{Lost, MemoryWallet};
use crate::store::{Batch, Claimant, Nonce, Outcome, Position, Rows, Seq, Snapshot, Standing, Store, StoreFuture};
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::Instant;

const PATIENCE: Duration = Duration::from_secs(10);

type Sent = Arc<Mutex<Vec<(Position, Nonce, Batch)>>>;

/// A store of a memory wallet that records what it is sent, and may never answer.
struct Recorder {
    inner: crate::store::memory::MemoryStore,
    sent: Sent,
    silent: Arc<Mutex<bool>>,
}

impl Store for Recorder {
    fn claim_and_load<'a>(&'a mut self, claimant: &'a Claimant) -> StoreFuture<'a, Result<Snapshot>> {
        self.inner.claim_and_load(claimant)
    }
    fn commit<'a>(&'a mut self, at: Position, nonce: Nonce, batch: &'a Batch) -> StoreFuture<'a, Outcome> {
        self.sent.lock().unwrap().push((at, nonce, batch.clone()));
        if *self.silent.lock().unwrap() {
            return Box::pin(std::future::pending());
        }
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

struct Lab {
    wallet: MemoryWallet,
    committer: Committer,
    sent: Sent,
    silent: Arc<Mutex<bool>>,
}

fn claimant() -> Claimant {
    Claimant::of_process(1)
}

async fn lab() -> Lab {
    let wallet = MemoryWallet::default();
    let (sent, silent) = (Sent::default(), Arc::new(Mutex::new(false)));
    let mut store = Recorder { inner: wallet.store(), sent: Arc::clone(&sent), silent: Arc::clone(&silent) };
    let snapshot = store.claim_and_load(&claimant()).await.unwrap();
    Lab { wallet, committer: Committer::new(Box::new(store), &snapshot, PATIENCE), sent, silent }
}

fn batch(value: &str) -> Batch {
    let mut batch = Batch::default();
    batch.put("row", value.as_bytes().to_vec());
    batch
}

fn code(result: Result<()>) -> Option<Code> {
    result.err().map(|error: Error| error.code)
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_is_resolved_by_sending_the_same_bytes_under_the_same_nonce() {
    for lost in [Lost::Request, Lost::Reply] {
        let mut lab = lab().await;
        lab.wallet.lose_commit(lost);
        lab.committer.commit(&batch("one")).await.unwrap();
        {
            let sent = lab.sent.lock().unwrap();
            assert_eq!(sent.len(), 2);
            assert_eq!(sent[0], sent[1]);
        }
        assert_eq!(lab.wallet.position().seq, Seq(1), "written once");
        assert_eq!(lab.committer.position(), lab.wallet.position());
        assert_eq!((lab.committer.stats().commits, lab.committer.stats().commit_bytes), (1, 3));
        lab.committer.commit(&batch("two")).await.unwrap();
        let figures = lab.committer.stats();
        let pause = 50_000;
        assert_eq!((figures.commit_us, figures.longest_commit_us), (pause, pause), "the second took no time");
        let sent = lab.sent.lock().unwrap();
        assert_ne!(sent[1].1, sent[2].1, "each commit has a nonce of its own");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fenced_committer_is_fenced_for_ever() {
    let mut lab = lab().await;
    lab.wallet.fence();
    assert_eq!(code(lab.committer.commit(&batch("zombie")).await), Some(Code::Fenced));
    assert_eq!(code(lab.committer.commit(&batch("zombie")).await), Some(Code::Fenced));
    assert_eq!(code(lab.committer.check().await), Some(Code::Fenced));
    assert_eq!(lab.sent.lock().unwrap().len(), 1, "the store is not even asked again");
    assert!(lab.wallet.rows().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_stays_unknown_is_store_unavailable_after_the_patience_and_not_later() {
    let mut lab = lab().await;
    for _ in 0..1_000 {
        lab.wallet.lose_commit(Lost::Request);
    }
    let began = Instant::now();
    assert_eq!(code(lab.committer.commit(&batch("one")).await), Some(Code::StoreUnavailable));
    assert!(began.elapsed() <= PATIENCE && began.elapsed() > PATIENCE / 2);
    // It was never told whether it is written: what comes next can't know where it would stand.
    assert_eq!(code(lab.committer.commit(&batch("two")).await), Some(Code::StoreUnavailable));
    assert!(lab.sent.lock().unwrap().iter().all(|(_, _, sent)| *sent == batch("one")));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_answers_is_given_up_after_the_patience() {
    let mut lab = lab().await;
    *lab.silent.lock().unwrap() = true;
    let began = Instant::now();
    assert_eq!(code(lab.committer.commit(&batch("one")).await), Some(Code::StoreUnavailable));
    assert!(began.elapsed() >= PATIENCE && began.elapsed() < PATIENCE + Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_was_dropped_half_way_ends_its_committer() {
    let mut lab = lab().await;
    lab.committer.commit(&batch("one")).await.unwrap();
    *lab.silent.lock().unwrap() = true;
    {
        let lost = batch("two");
        let mut commit = pin!(lab.committer.commit(&lost));
        assert!(matches!(commit.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
    }
    *lab.silent.lock().unwrap() = false;
    // The next cut would be written without the monitors of the one that may be missing.
    let error = lab.committer.commit(&batch("three")).await.unwrap_err();
    assert_eq!(error.code, Code::StoreUnavailable);
    assert_eq!(code(lab.committer.check().await), Some(Code::StoreUnavailable), "nor may anything be said");
    assert_eq!(lab.sent.lock().unwrap().len(), 2);
    assert_eq!(lab.wallet.rows()["row"], b"one");
    // The lease can still be given back.
    let Lab { committer, wallet, .. } = lab;
    committer.release().await.unwrap();
    wallet.store().claim_and_load(&claimant()).await.unwrap();
}

#[tokio::test]
async fn check_says_fenced_after_another_claim() {
    let mut lab = lab().await;
    lab.committer.check().await.unwrap();
    lab.committer.commit(&batch("one")).await.unwrap();
    lab.committer.check().await.unwrap();
    lab.wallet.fence();
    lab.wallet.store().claim_and_load(&claimant()).await.unwrap();
    assert_eq!(code(lab.committer.check().await), Some(Code::Fenced));
}
