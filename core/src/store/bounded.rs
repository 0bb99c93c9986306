//! A store that answers within `timeouts.storeMs` or is `STORE_UNAVAILABLE`, and whose round trips are counted.
//!
//! Dropping a store's future gives back what it had begun, so an operation that is cut short holds nothing. A commit that is cut
//! short may be written all the same: it is `Unknown`, and its caller sends the same bytes again.

use super::{Batch, Claimant, Nonce, Outcome, Position, Rows, Snapshot, Standing, Store, StoreFuture};
use crate::error::{Code, Error, Result};
use crate::stats::Stats;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// See the module's head.
pub struct BoundedStore {
    inner: Box<dyn Store>,
    each: Duration,
    stats: Arc<Stats>,
    /// When another holder was last found to have the wallet.
    found_held: Option<Instant>,
}

impl BoundedStore {
    /// Bounds each operation of `inner`.
    pub fn new(inner: Box<dyn Store>, each: Duration) -> Self {
        BoundedStore { inner, each, stats: Arc::default(), found_held: None }
    }

    /// Counts its round trips there.
    pub fn counting(self, stats: Arc<Stats>) -> Self {
        BoundedStore { stats, ..self }
    }

    async fn claim(&mut self, claimant: &Claimant) -> Result<Snapshot> {
        let held = self.found_held.take().map(|since| since.elapsed()).unwrap_or_default();
        self.stats.asked_store();
        self.stats.asked_for_wallet(held);
        let claimed = bounded(self.each, self.inner.claim_and_load(claimant)).await;
        if let Err(Error { code: Code::WalletLocked, holder, .. }) = &claimed {
            let (pid, epoch) =
                (holder.as_ref().and_then(|holder| holder.pid), holder.as_ref().map(|holder| holder.epoch));
            tracing::debug!(holder_pid = pid, holder_epoch = epoch, "another holder has the wallet");
            self.found_held = Some(Instant::now());
        }
        claimed
    }
}

async fn bounded<T>(each: Duration, operation: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(each, operation).await.unwrap_or_else(|_| Err(silent(each)))
}

fn silent(each: Duration) -> Error {
    Error::new(
        Code::StoreUnavailable,
        format!("the store did not answer within {} ms; nothing is lost; retry", each.as_millis()),
    )
}

impl Store for BoundedStore {
    fn claim_and_load<'a>(&'a mut self, claimant: &'a Claimant) -> StoreFuture<'a, Result<Snapshot>> {
        Box::pin(self.claim(claimant))
    }

    fn commit<'a>(&'a mut self, at: Position, nonce: Nonce, batch: &'a Batch) -> StoreFuture<'a, Outcome> {
        self.stats.asked_store();
        let (each, commit) = (self.each, self.inner.commit(at, nonce, batch));
        Box::pin(
            async move { tokio::time::timeout(each, commit).await.unwrap_or_else(|_| Outcome::Unknown(silent(each))) },
        )
    }

    fn ttl(&self) -> Option<Duration> {
        self.inner.ttl()
    }

    fn check<'a>(&'a mut self, at: Position) -> StoreFuture<'a, Result<Standing>> {
        self.stats.asked_store();
        Box::pin(bounded(self.each, self.inner.check(at)))
    }

    fn release<'a>(&'a mut self, at: Position) -> StoreFuture<'a, Result<()>> {
        self.stats.asked_store();
        Box::pin(bounded(self.each, self.inner.release(at)))
    }

    fn read<'a>(&'a mut self, prefixes: &'a [&'a str]) -> StoreFuture<'a, Result<Rows>> {
        self.stats.asked_store();
        Box::pin(bounded(self.each, self.inner.read(prefixes)))
    }

    fn read_last<'a>(
        &'a mut self,
        prefix: &'a str,
        before: Option<&'a str>,
        limit: usize,
    ) -> StoreFuture<'a, Result<Rows>> {
        self.stats.asked_store();
        Box::pin(bounded(self.each, self.inner.read_last(prefix, before, limit)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
#[path = "bounded_tests.rs"]
mod tests;
