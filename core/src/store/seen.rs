//! The newest that this process has seen of each wallet, so that it never goes on from less.
//!
//! A backup that was put back and a replica that lags behind look like any good store: each row opens, each sum fits. A process that
//! was there when the newer commits were made can tell, and a function's process often lives for hours. What it has seen is kept per
//! place and wallet, whichever node saw it, until the process ends: 32 bytes for each.
//!
//! It stands before servers. A folder has no replicas, and who puts an old one back under a running process does so by hand; what the
//! peer says of it decides, as it does for every new process.
//!
//! What must hold: no false alarm. What is compared with a claim's answer is what was known before the claim was sent; another
//! node of this process may commit while the answer is on its way.
//!
//! What fails how: `STATE_CORRUPT`, and the lease is given back. A new process knows nothing of it, so a restart is the word of
//! whoever runs it that the older state is all that is left.

use super::{
    Batch, Claimant, Epoch, Nonce, Outcome, Position, Rows, Seq, Snapshot, Standing, Store, StoreFuture, WalletId,
};
use crate::error::{Code, Error, Result};
use crate::keyed_hash::short_keyed_hash;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A wallet in one place, as short as can be: 16 bytes of a hash.
type Name = [u8; 16];

static SEEN: Mutex<BTreeMap<Name, Position>> = Mutex::new(BTreeMap::new());

/// A store that refuses what is older than what this process has seen. See the module's head.
pub struct SeenStore<S> {
    inner: S,
    name: Name,
}

impl<S: Store> SeenStore<S> {
    /// Remembers what it sees of that wallet in that place. Two ways to write one address are two places.
    pub fn new(inner: S, place: &[u8], wallet: WalletId) -> Self {
        SeenStore { inner, name: short_keyed_hash(&wallet.0, &[place]) }
    }

    async fn claim(&mut self, claimant: &Claimant) -> Result<Snapshot> {
        let seen = lock().get(&self.name).copied();
        let snapshot = self.inner.claim_and_load(claimant).await?;
        let found = snapshot.position;
        if let Some(seen) = seen.filter(|seen| found.epoch < seen.epoch || found.seq < seen.seq) {
            // Nobody will use this lease. That the store went back is worth more than whether it was given back.
            let _ = self.inner.release(found).await;
            return Err(went_back(found, seen));
        }
        self.note(found);
        Ok(snapshot)
    }

    async fn write(&mut self, at: Position, nonce: Nonce, batch: &Batch) -> Outcome {
        let outcome = self.inner.commit(at, nonce, batch).await;
        if let Outcome::Committed(seq) = outcome {
            self.note(Position { seq, ..at });
        }
        outcome
    }

    fn note(&self, found: Position) {
        let mut seen = lock();
        let newest = seen.entry(self.name).or_insert(Position { epoch: Epoch(0), seq: Seq(0) });
        *newest = Position { epoch: newest.epoch.max(found.epoch), seq: newest.seq.max(found.seq) };
    }
}

// A panic while it was locked can't have left it half written: a position is written as one.
fn lock() -> MutexGuard<'static, BTreeMap<Name, Position>> {
    SEEN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn went_back(found: Position, seen: Position) -> Error {
    Error::new(
        Code::StateCorrupt,
        format!(
            "the store went back in time: it has commit {} (epoch {}) of this wallet, and this process has seen commit {} (epoch {}). A \
             backup was put back, or a replica that lags behind answered. Nothing was sent or changed: old channel state can lose money. \
             Let `store` name the primary server, with the newest data. If that is lost for good, restart this process: it forgets \
             what it has seen, and asks the LSP before it broadcasts anything",
            found.seq.0, found.epoch.0, seen.seq.0, seen.epoch.0
        ),
    )
}

impl<S: Store> Store for SeenStore<S> {
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
#[path = "seen_tests.rs"]
mod tests;
