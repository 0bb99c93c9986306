//! The wallet's store: mayfly's own in-memory wallet, whose answers take as long as the schedule says.

use mayfly_core::error::Result;
use mayfly_core::store::memory::MemoryStore;
use mayfly_core::store::{Batch, Claimant, Nonce, Outcome, Position, Rows, Snapshot, Standing, Store, StoreFuture};
use std::cell::Cell;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

/// That of the product. Whether a lease has run out is for the schedule to say, which has others take the wallet.
const TTL: Duration = Duration::from_secs(8);

/// How many half round trips may happen. A commit takes two, and a check; a look-up is asked and answered at one instant of the store,
/// and takes one.
#[derive(Clone, Default)]
pub struct Latch(Rc<Cell<u64>>);

impl Latch {
    /// One more half of a round trip.
    pub fn allow_one(&self) {
        self.0.set(self.0.get() + 1);
    }

    /// What was allowed and not used is taken back.
    pub fn close(&self) {
        self.0.set(0);
    }

    /// Whoever waits here is polled by hand.
    async fn pass(&self) {
        std::future::poll_fn(|_| match self.0.get() {
            0 => Poll::Pending,
            left => {
                self.0.set(left - 1);
                Poll::Ready(())
            }
        })
        .await;
    }
}

/// See the module's head.
pub struct SlowStore {
    inner: MemoryStore,
    latch: Latch,
}

impl SlowStore {
    /// In front of a store. Its claim takes no time.
    pub fn new(inner: MemoryStore, latch: Latch) -> Self {
        SlowStore { inner, latch }
    }
}

impl Store for SlowStore {
    fn claim_and_load<'a>(&'a mut self, claimant: &'a Claimant) -> StoreFuture<'a, Result<Snapshot>> {
        self.inner.claim_and_load(claimant)
    }

    fn commit<'a>(&'a mut self, at: Position, nonce: Nonce, batch: &'a Batch) -> StoreFuture<'a, Outcome> {
        Box::pin(async move {
            self.latch.pass().await;
            let outcome = self.inner.commit(at, nonce, batch).await;
            self.latch.pass().await;
            outcome
        })
    }

    fn ttl(&self) -> Option<Duration> {
        Some(TTL)
    }

    fn check<'a>(&'a mut self, at: Position) -> StoreFuture<'a, Result<Standing>> {
        Box::pin(async move {
            self.latch.pass().await;
            let standing = self.inner.check(at).await;
            self.latch.pass().await;
            standing
        })
    }

    fn release<'a>(&'a mut self, at: Position) -> StoreFuture<'a, Result<()>> {
        self.inner.release(at)
    }

    fn read<'a>(&'a mut self, prefixes: &'a [&'a str]) -> StoreFuture<'a, Result<Rows>> {
        Box::pin(async move {
            self.latch.pass().await;
            self.inner.read(prefixes).await
        })
    }

    fn read_last<'a>(
        &'a mut self,
        prefix: &'a str,
        before: Option<&'a str>,
        most: usize,
    ) -> StoreFuture<'a, Result<Rows>> {
        self.inner.read_last(prefix, before, most)
    }
}
