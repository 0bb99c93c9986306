//! Writes cuts: one transaction each, conditional on (epoch, seq), retried with the same bytes while its outcome is unknown.
//!
//! A commit that ends in anything but `Committed` ends its committer, a dropped future included: whether it is written is not
//! known, and the next cut would be written without the monitors of the one that may be missing.

use crate::entropy;
use crate::error::{Code, Error, Result};
use crate::lease::{Claimed, Lease, Returns};
use crate::log::{phase, timed};
use crate::stats::{Figures, Stats};
use crate::store::{Batch, Nonce, Outcome, Position, Rows, Snapshot, Standing, Store};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tracing::field::Empty;

/// The pause between two sends of the same bytes.
const RESEND_PAUSE: Duration = Duration::from_millis(50);

/// A lease and the right to write under it. Once it says `FENCED` it is over: memory must not be used again.
pub struct Committer {
    claimed: Claimed,
    stats: Arc<Stats>,
    lease: Arc<Lease>,
    /// Why nothing may be written any more.
    over: Option<Error>,
    /// How long an unknown outcome is resolved before giving up.
    patience: Duration,
    /// Acknowledged, and not written.
    #[cfg(feature = "mutations")]
    late: Batch,
}

impl Committer {
    /// Commits from the position of a fresh claim.
    pub fn new(store: Box<dyn Store>, snapshot: &Snapshot, patience: Duration) -> Self {
        Committer {
            claimed: Claimed::new(store, snapshot.position),
            stats: Arc::default(),
            lease: Lease::of_process(),
            over: None,
            patience,
            #[cfg(feature = "mutations")]
            late: Batch::default(),
        }
    }

    /// Counts its commits there.
    pub fn counting(self, stats: Arc<Stats>) -> Self {
        Committer { stats, ..self }
    }

    /// Renews that lease, of which its store tells (`LeasedStore`).
    pub fn under(self, lease: Arc<Lease>) -> Self {
        Committer { lease, ..self }
    }

    /// Dropped before it is released, it leaves its lease there.
    pub fn returning(self, returns: Returns) -> Self {
        Committer { claimed: self.claimed.kept_in(returns), ..self }
    }

    /// What may leave, and when.
    pub fn lease(&self) -> &Arc<Lease> {
        &self.lease
    }

    /// Writes the batch. `FENCED`: a newer holder exists. `STORE_UNAVAILABLE`: the outcome stayed unknown; the node is over,
    /// since it can't know what is durable.
    pub async fn commit(&mut self, batch: &Batch) -> Result<()> {
        self.alive()?;
        // Stands if this future is dropped half-way.
        self.over = Some(Error::new(
            Code::StoreUnavailable,
            "an earlier commit was cut short and may or may not be written; start the node again",
        ));
        let span = phase!(target: "mayfly::checkpoint", DEBUG, "commit", rows = batch.puts().len(), deleted = batch.deletes().len(), bytes = batch.bytes(), seq = Empty);
        #[cfg(not(feature = "mutations"))]
        let result = timed(span.clone(), self.write(batch)).await;
        #[cfg(feature = "mutations")]
        let result = timed(span.clone(), self.write_mutated(batch)).await;
        span.record("seq", self.position().seq.0);
        self.over = result.clone().err();
        self.end_if_fenced();
        result
    }

    #[cfg(feature = "mutations")]
    async fn write_mutated(&mut self, batch: &Batch) -> Result<()> {
        for transaction in crate::mutation::transactions(batch, &mut self.late) {
            self.write(&transaction).await?;
        }
        Ok(())
    }

    async fn write(&mut self, batch: &Batch) -> Result<()> {
        let nonce = Nonce(entropy::random());
        let began = Instant::now();
        let deadline = began + self.patience;
        loop {
            let position = self.claimed.position;
            let store = self.claimed.store().ok_or_else(Error::fenced)?;
            let last = match tokio::time::timeout_at(deadline, store.commit(position, nonce, batch)).await {
                Ok(Outcome::Committed(seq)) => {
                    self.claimed.position.seq = seq;
                    self.stats.committed(batch.bytes(), began.elapsed());
                    return Ok(());
                }
                Ok(Outcome::Fenced) => return Err(Error::fenced()),
                Ok(Outcome::Unknown(error)) => error,
                Err(_) => Error::new(Code::StoreUnavailable, "the store did not answer a commit in time"),
            };
            tracing::warn!(reason = %last.message, "a commit's outcome is unknown; sending the same bytes again");
            if Instant::now() + RESEND_PAUSE >= deadline {
                return Err(Error::new(
                    Code::StoreUnavailable,
                    format!("the store did not confirm a commit within {} ms ({}); nothing that depended on it was sent; start the node again", self.patience.as_millis(), last.message),
                ));
            }
            tokio::time::sleep(RESEND_PAUSE).await;
        }
    }

    /// `FENCED` if the lease is no longer ours: asked before anything is said on a new connection.
    pub async fn check(&mut self) -> Result<()> {
        self.alive()?;
        let position = self.claimed.position;
        let store = self.claimed.store().ok_or_else(Error::fenced)?;
        match store.check(position).await? {
            Standing::Held(seq) if seq == position.seq => Ok(()),
            _ => {
                self.over = Some(Error::fenced());
                self.end_if_fenced();
                Err(Error::fenced())
            }
        }
    }

    /// What is another's is not given back.
    fn end_if_fenced(&mut self) {
        if self.over.as_ref().is_some_and(|over| over.code == Code::Fenced) {
            self.claimed.forget();
        }
    }

    /// A check. A store that does not answer is no end if its lease expires: what waits for the answer goes on to wait.
    pub async fn confirm(&mut self) -> Result<()> {
        let checked = self.check().await;
        let expires = self.claimed.store().is_some_and(|store| store.ttl().is_some());
        match checked {
            Err(_) if expires && self.over.is_none() => Ok(()),
            confirmed => confirmed,
        }
    }

    /// The same, if it is due; `active` as [`Lease::due_at`] has it.
    pub async fn renew(&mut self, active: bool) -> Result<()> {
        match self.lease.due_at(active) {
            Some(at) if at <= Instant::now() => self.confirm().await,
            _ => Ok(()),
        }
    }

    /// Does that while the lease is renewed beside it.
    pub async fn keeping<T>(&mut self, work: impl Future<Output = T>) -> Result<T> {
        let lease = Arc::clone(&self.lease);
        let renewing = async {
            loop {
                lease.due().await;
                if let Err(error) = self.renew(true).await {
                    return error;
                }
            }
        };
        tokio::select! {
            biased;
            done = work => Ok(done),
            error = renewing => Err(error),
        }
    }

    /// The rows under these prefixes, as last committed. Reads of the holder are of its own writes: were it fenced, nothing that
    /// it makes of them could be committed.
    pub async fn read(&mut self, prefixes: &[&str]) -> Result<Rows> {
        self.alive()?;
        self.claimed.store().ok_or_else(Error::fenced)?.read(prefixes).await
    }

    fn alive(&self) -> Result<()> {
        self.over.clone().map_or(Ok(()), Err)
    }

    /// Gives the lease back.
    pub async fn release(self) -> Result<()> {
        timed(phase!(target: "mayfly::store", DEBUG, "release"), self.claimed.release()).await
    }

    /// The position of the last commit.
    pub fn position(&self) -> Position {
        self.claimed.position
    }

    /// What commits cost so far.
    pub fn stats(&self) -> Figures {
        self.stats.figures()
    }
}
