//! A store that others can read and write: rows are sealed before they leave this process, and what comes back is believed only if
//! it is what was committed.
//!
//! Whoever has the database learns how many rows a wallet has, their sizes, when they change, when payments were received, and what
//! the holder calls itself. What must hold against someone who may change anything in it:
//! * **A row that a claim loads** is the one that the last commit left, or the claim is refused. A changed or foreign row does not
//!   open (`seal.rs`); a missing, older or deleted one does not fit the manifest (`manifest.rs`); and the manifest must be of the
//!   commit that the lease row stands at.
//! * **A read of a whole class** (`outbox/`) or of a row that is a class of its own (`node`) is held to the manifest that the same read
//!   finds. A read asks no lease row, so one that finds an older manifest with its older rows believes them: nothing that a node says
//!   or signs rests on such a read.
//! * **A row of the ledger** opens, or the read is refused. That one is missing, or is an older version of itself, is not noticed: no
//!   manifest could know without growing with each payment. It is written once, when its payment is received.
//! * **The whole wallet as it once was, lease row included**, is what a restored backup looks like; all rows of a commit that was
//!   refused, in place of the one that was taken, look the same. Only this process's memory (`store/seen.rs`) and the peer can tell
//!   of the first, and the peer of the second; the manifest names the server that took its commit, so that another one is noticed.
//!
//! What fails how: `STATE_CORRUPT`, with what was found and nothing changed.
//!
//! A commit that is sent again is sent as the same bytes: they are kept until the next one. Sealed anew it would be as safe, since a
//! nonce is never drawn twice and one transaction holds all of a commit, but it would have to be argued at each change.

mod key;
mod manifest;
mod names;
mod open;
mod seal;

pub use key::StoreKey;

use super::{
    Batch, Claimant, Nonce, Outcome, Position, Rows, Seq, Snapshot, Standing, Store, StoreFuture, WalletId, DATED_CLASS,
};
use crate::error::{Code, Error, Result};
use manifest::{Manifest, Sums};
use names::{class_of_name, is_cold, Names, Wanted, MANIFEST};
use seal::Seal;
use std::collections::HashMap;
use std::time::Duration;

/// Rows that are read beyond those asked for, because more than one payment may be of one instant. If they are not enough, the
/// store is asked again.
const SAME_INSTANT: usize = 8;

/// A store whose rows are sealed. See the module's head.
pub struct SealedStore<S> {
    inner: S,
    tools: Tools,
    held: Option<Held>,
    sent: Option<Sent>,
}

/// What it takes to seal and to open.
struct Tools {
    seal: Seal,
    names: Names,
    sums: Sums,
}

/// What the wallet's rows are, as of the last commit.
struct Held {
    at: Position,
    manifest: Manifest,
    /// By name, what each row that a claim loads adds to its class's sum.
    sums: HashMap<String, u128>,
}

/// The last commit that was sent.
struct Sent {
    at: Position,
    nonce: Nonce,
    batch: Batch,
    /// What it makes of the wallet's rows; taken when it is known to be written.
    change: Option<Change>,
}

struct Change {
    manifest: Manifest,
    /// By name, what a row adds now; `None` for one that is deleted.
    sums: Vec<(String, Option<u128>)>,
}

impl<S: Store> SealedStore<S> {
    /// Seals what goes into `inner` for that wallet.
    pub fn new(inner: S, wallet: WalletId, key: &StoreKey) -> Self {
        let tools = Tools { seal: Seal::new(key, wallet), names: Names::new(key), sums: Sums::new(key) };
        SealedStore { inner, tools, held: None, sent: None }
    }

    async fn claim(&mut self, claimant: &Claimant) -> Result<Snapshot> {
        (self.held, self.sent) = (None, None);
        let Snapshot { position, rows, server, moved } = self.inner.claim_and_load(claimant).await?;
        let found = match self.tools.open_all(&rows, position.seq) {
            Ok(found) => found,
            Err(error) => {
                // Nobody will use this lease. What is wrong with the rows is worth more than whether it was given back.
                let _ = self.inner.release(position).await;
                return Err(error);
            }
        };
        let before = found.manifest.server;
        let moved = moved || before.zip(server).is_some_and(|(before, now)| before != now);
        let mut manifest = found.manifest;
        manifest.server = server.or(before);
        self.held = Some(Held { at: position, manifest, sums: found.sums });
        Ok(Snapshot { position, rows: found.rows, server, moved })
    }

    async fn write(&mut self, at: Position, nonce: Nonce, batch: &Batch) -> Outcome {
        if !self.sent.as_ref().is_some_and(|sent| sent.at == at && sent.nonce == nonce) {
            // Who is not there can't know the rows that are: whatever is at that position, it is not this holder.
            let Some(held) = self.held.as_ref().filter(|held| held.at == at) else { return Outcome::Fenced };
            match self.tools.seal_batch(held, batch) {
                Ok((batch, change)) => self.sent = Some(Sent { at, nonce, batch, change: Some(change) }),
                Err(error) => return Outcome::Unknown(error),
            }
        }
        let Some(sent) = &mut self.sent else { return Outcome::Fenced };
        let outcome = self.inner.commit(at, nonce, &sent.batch).await;
        if let (Outcome::Committed(seq), Some(held)) = (&outcome, &mut self.held) {
            if let Some(change) = sent.change.take() {
                held.follow(*seq, change);
            }
        }
        outcome
    }

    async fn find(&mut self, prefixes: &[&str]) -> Result<Rows> {
        let mut selectors: Vec<String> = prefixes.iter().map(|prefix| self.tools.names.selector(prefix)).collect();
        let hot = prefixes.iter().any(|prefix| !is_cold(prefix));
        if hot {
            selectors.push(MANIFEST.to_owned());
        }
        let selectors: Vec<&str> = selectors.iter().map(String::as_str).collect();
        let rows = self.inner.read(&selectors).await?;
        let found = match hot {
            true => self.tools.open_asked(&rows, prefixes)?,
            false => self.tools.open_each(&rows)?.rows,
        };
        Ok(found.into_iter().filter(|(key, _)| prefixes.iter().any(|prefix| is_wanted(key, prefix))).collect())
    }

    /// Within one instant the store's order is that of hidden names, so rows are taken an instant at a time.
    async fn find_last(&mut self, before: Option<&str>, limit: usize) -> Result<Rows> {
        let class = self.tools.names.class(DATED_CLASS);
        let end = before.and_then(|before| self.tools.names.end_of_instant(before));
        let mut most = limit.saturating_add(SAME_INSTANT);
        loop {
            let stored = self.inner.read_last(&class, end.as_deref(), most).await?;
            let all = stored.len() < most;
            let mut rows = self.tools.open_each(&stored)?.rows;
            if !all {
                // Of the first instant there may be more.
                let first = rows.keys().next().and_then(|key| names::instant_of(key)).map(str::to_owned);
                rows.retain(|key, _| names::instant_of(key) != first.as_deref());
            }
            rows.retain(|key, _| before.is_none_or(|before| key.as_str() < before));
            if all || rows.len() >= limit {
                return Ok(last_of(rows, limit));
            }
            most = most.saturating_mul(2);
        }
    }
}

impl Held {
    fn follow(&mut self, seq: Seq, change: Change) {
        self.at.seq = seq;
        self.manifest = change.manifest;
        for (name, sum) in change.sums {
            match sum {
                Some(sum) => self.sums.insert(name, sum),
                None => self.sums.remove(&name),
            };
        }
    }
}

impl Tools {
    /// The rows to write in place of a batch, and what they make of the wallet's.
    fn seal_batch(&self, held: &Held, batch: &Batch) -> Result<(Batch, Change)> {
        let seq = Seq(held.at.seq.0.saturating_add(1));
        let mut sealed = Batch::default();
        let mut change = Change { manifest: held.manifest.clone(), sums: Vec::new() };
        for (key, value) in batch.puts() {
            let name = self.names.row(key);
            let stored = self.close(&name, seq, key, value)?;
            if !is_cold(key) {
                let sum = self.sums.of_row(&name, &stored);
                leave(held, &mut change, &name);
                change.manifest.add(class_of_name(&name), sum);
                change.sums.push((name.clone(), Some(sum)));
            }
            sealed.put(name, stored);
        }
        for key in batch.deletes() {
            let name = self.names.row(key);
            sealed.delete(name.as_str());
            if !is_cold(key) {
                leave(held, &mut change, &name);
                change.sums.push((name, None));
            }
        }
        let manifest = serde_json::to_vec(&change.manifest)
            .map_err(|error| Error::new(Code::Internal, format!("a manifest does not serialise: {error}")))?;
        sealed.put(MANIFEST, self.close(MANIFEST, seq, MANIFEST, &manifest)?);
        Ok((sealed, change))
    }

    fn close(&self, name: &str, seq: Seq, key: &str, value: &[u8]) -> Result<Vec<u8>> {
        let sealed = self.seal.close(name, seq, key, value);
        sealed.ok_or_else(|| Error::new(Code::Internal, "a row is too large to be sealed; nothing was written"))
    }
}

/// The row that is stored under that name, if there is one, will be no more.
fn leave(held: &Held, change: &mut Change, name: &str) {
    if let Some(sum) = held.sums.get(name) {
        change.manifest.remove(class_of_name(name), *sum);
    }
}

/// Whether a read of that prefix gives that row.
fn is_wanted(key: &str, prefix: &str) -> bool {
    match Wanted::of(prefix) {
        Wanted::All => true,
        Wanted::Class { class } if class == prefix && !class.ends_with('/') => key == prefix,
        Wanted::Class { .. } => key.starts_with(prefix),
        Wanted::Row => key == prefix,
    }
}

fn last_of(rows: Rows, limit: usize) -> Rows {
    rows.into_iter().rev().take(limit).collect()
}

impl<S: Store> Store for SealedStore<S> {
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
        Box::pin(self.find(prefixes))
    }

    fn read_last<'a>(
        &'a mut self,
        prefix: &'a str,
        before: Option<&'a str>,
        limit: usize,
    ) -> StoreFuture<'a, Result<Rows>> {
        Box::pin(async move {
            if prefix == DATED_CLASS {
                return self.find_last(before, limit).await;
            }
            // Hidden names of other classes have no order: all of them are read.
            let mut rows = self.find(&[prefix]).await?;
            rows.retain(|key, _| before.is_none_or(|before| key.as_str() < before));
            Ok(last_of(rows, limit))
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
mod tests;
