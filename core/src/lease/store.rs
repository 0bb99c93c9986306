//! A store that tells the lease of every request that proves it, and of its answer.

use super::{Lease, Returns};
use crate::error::Result;
use crate::store::{Batch, Claimant, Nonce, Outcome, Position, Rows, Snapshot, Standing, Store, StoreFuture};
use std::sync::Arc;
use std::time::Duration;

/// See the module's head.
pub struct LeasedStore {
    inner: Box<dyn Store>,
    lease: Arc<Lease>,
    returns: Returns,
}

impl LeasedStore {
    /// In front of a store that is not claimed yet. A claim that is dropped before its answer is told to `returns`.
    pub fn new(inner: Box<dyn Store>, lease: Arc<Lease>, returns: Returns) -> Self {
        LeasedStore { inner, lease, returns }
    }

    async fn claim(&mut self, claimant: &Claimant) -> Result<Snapshot> {
        let asked = self.lease.ask();
        self.returns.claiming(self.inner.ttl().is_some());
        let claimed = self.inner.claim_and_load(claimant).await;
        self.returns.claiming(false);
        match &claimed {
            Ok(_) => self.lease.claimed(asked, self.inner.ttl()),
            Err(_) => drop(self.lease.failed()),
        }
        claimed
    }

    async fn write(&mut self, at: Position, nonce: Nonce, batch: &Batch) -> Outcome {
        let asked = self.lease.ask();
        let outcome = self.inner.commit(at, nonce, batch).await;
        match &outcome {
            Outcome::Committed(_) => self.lease.proven(asked),
            Outcome::Fenced => self.lease.lost(),
            Outcome::Unknown(_) => drop(self.lease.failed()),
        }
        outcome
    }

    async fn look(&mut self, at: Position) -> Result<Standing> {
        let asked = self.lease.ask();
        // One that takes longer than the slack proves nothing any more. It is waited for all the same: the next is quicker, on a connection
        // that stands by then.
        let standing = self.inner.check(at).await;
        match &standing {
            Ok(Standing::Held(seq)) if *seq == at.seq => self.lease.proven(asked),
            Ok(_) => self.lease.lost(),
            Err(error) if self.lease.failed() => {
                tracing::warn!(reason = %error.message, "the store does not confirm the lease");
            }
            Err(error) => tracing::debug!(reason = %error.message, "the store still does not confirm the lease"),
        }
        standing
    }
}

impl Store for LeasedStore {
    fn claim_and_load<'a>(&'a mut self, claimant: &'a Claimant) -> StoreFuture<'a, Result<Snapshot>> {
        Box::pin(self.claim(claimant))
    }

    fn commit<'a>(&'a mut self, at: Position, nonce: Nonce, batch: &'a Batch) -> StoreFuture<'a, Outcome> {
        Box::pin(self.write(at, nonce, batch))
    }

    fn ttl(&self) -> Option<Duration> {
        self.inner.ttl()
    }

    fn check<'a>(&'a mut self, at: Position) -> StoreFuture<'a, Result<Standing>> {
        Box::pin(self.look(at))
    }

    fn release<'a>(&'a mut self, at: Position) -> StoreFuture<'a, Result<()>> {
        // From here on the next holder may be there.
        self.lease.lost();
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
