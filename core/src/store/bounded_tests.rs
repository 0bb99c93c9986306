//! A store that says nothing, behind its bound.

use super::*;
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
    let claimant = Claimant { pid: 1, host: None, ttl: Duration::from_secs(8) };
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
