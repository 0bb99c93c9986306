//! A store that answers within `timeouts.storeMs` or is `STORE_UNAVAILABLE`.
//!
//! Dropping a store's future gives back what it had begun, so an operation that is cut short holds nothing. A commit that is cut
//! short may be written all the same: it is `Unknown`, and its caller sends the same bytes again.

use super::{Batch, Claimant, Nonce, Outcome, Position, Rows, Snapshot, Standing, Store, StoreFuture};
use crate::error::{Code, Error, Result};
use std::future::Future;
use std::time::Duration;

/// See the module's head.
pub struct BoundedStore {
    inner: Box<dyn Store>,
    each: Duration,
}

impl BoundedStore {
    /// Bounds each operation of `inner`.
    pub fn new(inner: Box<dyn Store>, each: Duration) -> Self {
        BoundedStore { inner, each }
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
        Box::pin(bounded(self.each, self.inner.claim_and_load(claimant)))
    }

    fn commit<'a>(&'a mut self, at: Position, nonce: Nonce, batch: &'a Batch) -> StoreFuture<'a, Outcome> {
        let (each, commit) = (self.each, self.inner.commit(at, nonce, batch));
        Box::pin(
            async move { tokio::time::timeout(each, commit).await.unwrap_or_else(|_| Outcome::Unknown(silent(each))) },
        )
    }

    fn check<'a>(&'a mut self, at: Position) -> StoreFuture<'a, Result<Standing>> {
        Box::pin(bounded(self.each, self.inner.check(at)))
    }

    fn release<'a>(&'a mut self, at: Position) -> StoreFuture<'a, Result<()>> {
        Box::pin(bounded(self.each, self.inner.release(at)))
    }

    fn read<'a>(&'a mut self, prefixes: &'a [&'a str]) -> StoreFuture<'a, Result<Rows>> {
        Box::pin(bounded(self.each, self.inner.read(prefixes)))
    }

    fn read_last<'a>(
        &'a mut self,
        prefix: &'a str,
        before: Option<&'a str>,
        limit: usize,
    ) -> StoreFuture<'a, Result<Rows>> {
        Box::pin(bounded(self.each, self.inner.read_last(prefix, before, limit)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
#[path = "bounded_tests.rs"]
mod tests;
