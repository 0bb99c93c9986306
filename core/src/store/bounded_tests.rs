//! A store that says nothing, behind its bound.

use super::*;
use crate::config::{LeasePolicy, TakeOver};
use crate::store::claim::claim_within;
use crate::store::{Epoch, Seq};

struct Silent;

impl Store for Silent {
    fn claim_and_load<'a>(&'a mut self, _: &'a Claimant) -> StoreFuture<'a, Result<Snapshot>> {
        Box::pin(std::future::pending())
    }
    fn commit<'a>(&'a mut self, _: Position, _: Nonce, _: &'a Batch) -> StoreFuture<'a, Outcome> {
        Box::pin(std::future::pending())
    }
    fn check<'a>(&'a mut self, _: Position) -> StoreFuture<'a, Result<Standing>> {
        Box::pin(std::future::pending())
    }
    fn release<'a>(&'a mut self, _: Position) -> StoreFuture<'a, Result<()>> {
        Box::pin(std::future::pending())
    }
    fn read<'a>(&'a mut self, _: &'a [&'a str]) -> StoreFuture<'a, Result<Rows>> {
        Box::pin(std::future::pending())
    }
    fn read_last<'a>(&'a mut self, _: &'a str, _: Option<&'a str>, _: usize) -> StoreFuture<'a, Result<Rows>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_store_is_unavailable_on_every_operation_and_a_commit_is_unknown() {
    let mut store = BoundedStore::new(Box::new(Silent), Duration::from_secs(5));
    let claimant = Claimant::of_process(1);
    let at = Position { epoch: Epoch(1), seq: Seq(0) };
    let failures = [
        store.claim_and_load(&claimant).await.err(),
        store.check(at).await.err(),
        store.release(at).await.err(),
        store.read(&["node"]).await.err(),
        store.read_last("ledger/", None, 1).await.err(),
    ];
    for error in failures {
        let error = error.unwrap();
        assert_eq!(error.code, Code::StoreUnavailable);
        assert!(error.code.retryable() && error.message.contains("5000 ms"), "{error}");
    }
    let outcome = store.commit(at, Nonce([0; 16]), &Batch::default()).await;
    assert!(matches!(outcome, Outcome::Unknown(error) if error.code == Code::StoreUnavailable));
}

#[tokio::test(start_paused = true)]
async fn round_trips_are_counted_and_so_is_the_wait_for_another_holder() {
    let stats = Arc::new(Stats::new());
    let wallet = crate::store::memory::MemoryWallet::default();
    let policy = LeasePolicy {
        ttl: Duration::from_secs(8),
        attempts: 3,
        base_delay: Duration::from_millis(100),
        max_wait: Duration::from_secs(10),
        take_over: TakeOver::Unrenewed,
    };
    let claimant = Claimant::of_process(1);
    let mut holder = wallet.store();
    holder.claim_and_load(&claimant).await.unwrap();
    let store = wallet.store();
    let mut store = BoundedStore::new(Box::new(store), Duration::from_secs(5)).counting(Arc::clone(&stats));

    let refused = claim_within(&mut store, &claimant, &policy).await.unwrap_err();
    assert_eq!(refused.code, Code::WalletLocked);
    let figures = stats.figures();
    assert_eq!((figures.claim_attempts, figures.store_round_trips), (3, 3));
    assert_eq!(figures.held_us, 300_000, "100 and 200 ms");

    // The clock goes on, but nobody waits: this is a wait of its own.
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(holder);
    let mut store = BoundedStore::new(Box::new(wallet.store()), Duration::from_secs(5)).counting(Arc::clone(&stats));
    let at = store.claim_and_load(&claimant).await.unwrap().position;
    store.read(&["node"]).await.unwrap();
    store.release(at).await.unwrap();
    let figures = stats.figures();
    assert_eq!((figures.claim_attempts, figures.store_round_trips, figures.held_us), (4, 6, 300_000));
}
