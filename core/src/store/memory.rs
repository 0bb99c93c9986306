//! `memory:`, a wallet that lives as long as its process. For tests and demos.
//!
//! Wallets are process-global, so two nodes of one wallet in one process share the rows and contend for the lease, as they
//! would with a real store. The lease ends with the holder's store object.
//!
//! [`MemoryWallet`] is the wallet behind the stores: a test uses it to fence a holder, or to lose a commit on its way.

use super::{
    Batch, Claimant, Epoch, Nonce, Outcome, Position, Rows, Seq, Snapshot, Standing, Store, StoreFuture, WalletId,
    COLD_PREFIX,
};
use crate::clock;
use crate::error::{Code, Error, Holder, Result};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A holder in the same process is gone within a request.
const RETRY_AFTER: Duration = Duration::from_millis(250);

static WALLETS: Mutex<BTreeMap<WalletId, MemoryWallet>> = Mutex::new(BTreeMap::new());

/// Which part of a commit gets lost; the holder sees `Unknown` both times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// The request: nothing is written.
    Request,
    /// The reply: the batch is written.
    Reply,
}

/// One wallet in memory. Clones are the same wallet.
#[derive(Clone, Default)]
pub struct MemoryWallet(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    epoch: u64,
    seq: u64,
    last_commit: Option<Nonce>,
    holder: Option<Holder>,
    rows: Rows,
    to_lose: VecDeque<Lost>,
}

impl MemoryWallet {
    /// The wallet of this process with that id, empty at first use.
    pub fn of(wallet: WalletId) -> Self {
        let mut wallets = WALLETS.lock().unwrap_or_else(PoisonError::into_inner);
        wallets.entry(wallet).or_default().clone()
    }

    /// A store of this wallet.
    pub fn store(&self) -> MemoryStore {
        MemoryStore { wallet: self.clone(), claimed: None }
    }

    /// Raises the epoch as another holder's claim does, and holds nothing: whoever held is fenced, and the wallet is free.
    pub fn fence(&self) {
        let mut state = self.state();
        state.epoch += 1;
        state.holder = None;
    }

    /// Loses the next commit that would have been accepted; called twice, the next two.
    pub fn lose_commit(&self, what: Lost) {
        self.state().to_lose.push_back(what);
    }

    /// Changes rows behind every holder's back, as whoever has a database's password can.
    pub fn tamper(&self, change: impl FnOnce(&mut Rows)) {
        change(&mut self.state().rows);
    }

    /// Where the wallet is now.
    pub fn position(&self) -> Position {
        let state = self.state();
        Position { epoch: Epoch(state.epoch), seq: Seq(state.seq) }
    }

    /// Every row, the cold ones too.
    pub fn rows(&self) -> Rows {
        self.state().rows.clone()
    }

    /// Those whose keys start with that.
    pub fn rows_under(&self, prefix: &str) -> Rows {
        let state = self.state();
        let from = state.rows.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix));
        from.map(|(key, row)| (key.clone(), row.clone())).collect()
    }

    // A panic while it was locked can't have left it half written: each change is made after the last step that can fail.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A store of a [`MemoryWallet`].
pub struct MemoryStore {
    wallet: MemoryWallet,
    claimed: Option<Epoch>,
}

impl MemoryStore {
    /// Of the process's wallet with that id.
    pub fn open(wallet: WalletId) -> Self {
        MemoryWallet::of(wallet).store()
    }

    fn claim(&mut self, claimant: &Claimant) -> Result<Snapshot> {
        self.let_go();
        let mut state = self.wallet.state();
        if let Some(holder) = &state.holder {
            return Err(Error::locked(Some(holder.clone()), RETRY_AFTER));
        }
        state.epoch += 1;
        state.holder = Some(Holder {
            pid: Some(claimant.pid),
            host: claimant.host.clone(),
            since_ms: clock::now_ms(),
            epoch: state.epoch,
        });
        let position = Position { epoch: Epoch(state.epoch), seq: Seq(state.seq) };
        let hot = state.rows.iter().filter(|(key, _)| !key.starts_with(COLD_PREFIX));
        let rows = hot.map(|(key, value)| (key.clone(), value.clone())).collect();
        drop(state);
        self.claimed = Some(position.epoch);
        Ok(Snapshot::in_place(position, rows))
    }

    fn write(&mut self, at: Position, nonce: Nonce, batch: &Batch) -> Outcome {
        let mut state = self.wallet.state();
        if self.claimed != Some(at.epoch) || state.epoch != at.epoch.0 {
            return Outcome::Fenced;
        }
        if state.seq == at.seq.0.saturating_add(1) && state.last_commit == Some(nonce) {
            return Outcome::Committed(Seq(state.seq));
        }
        if state.seq != at.seq.0 {
            return Outcome::Fenced;
        }
        let lost = state.to_lose.pop_front();
        if lost == Some(Lost::Request) {
            return Outcome::Unknown(Error::new(
                Code::StoreUnavailable,
                "the request was lost, as a test asked for; send it again",
            ));
        }
        for key in batch.deletes() {
            state.rows.remove(key);
        }
        state.rows.extend(batch.puts().iter().map(|(key, value)| (key.clone(), value.clone())));
        state.seq += 1;
        state.last_commit = Some(nonce);
        match lost {
            None => Outcome::Committed(Seq(state.seq)),
            Some(_) => Outcome::Unknown(Error::new(
                Code::StoreUnavailable,
                "the reply was lost, as a test asked for; send it again",
            )),
        }
    }

    fn let_go(&mut self) {
        let Some(claimed) = self.claimed.take() else { return };
        let mut state = self.wallet.state();
        if state.holder.as_ref().is_some_and(|holder| holder.epoch == claimed.0) {
            state.holder = None;
        }
    }
}

impl Drop for MemoryStore {
    fn drop(&mut self) {
        self.let_go();
    }
}

impl Store for MemoryStore {
    fn claim_and_load<'a>(&'a mut self, claimant: &'a Claimant) -> StoreFuture<'a, Result<Snapshot>> {
        Box::pin(async move { self.claim(claimant) })
    }

    fn commit<'a>(&'a mut self, at: Position, nonce: Nonce, batch: &'a Batch) -> StoreFuture<'a, Outcome> {
        Box::pin(async move { self.write(at, nonce, batch) })
    }

    fn check<'a>(&'a mut self, at: Position) -> StoreFuture<'a, Result<Standing>> {
        Box::pin(async move {
            let state = self.wallet.state();
            let ours = self.claimed == Some(at.epoch) && state.epoch == at.epoch.0;
            Ok(if ours { Standing::Held(Seq(state.seq)) } else { Standing::Fenced })
        })
    }

    fn release<'a>(&'a mut self, at: Position) -> StoreFuture<'a, Result<()>> {
        Box::pin(async move {
            if self.claimed == Some(at.epoch) {
                self.let_go();
            }
            Ok(())
        })
    }

    fn read<'a>(&'a mut self, prefixes: &'a [&'a str]) -> StoreFuture<'a, Result<Rows>> {
        Box::pin(async move {
            let state = self.wallet.state();
            let wanted = state.rows.iter().filter(|(key, _)| prefixes.iter().any(|prefix| key.starts_with(prefix)));
            Ok(wanted.map(|(key, value)| (key.clone(), value.clone())).collect())
        })
    }

    fn read_last<'a>(
        &'a mut self,
        prefix: &'a str,
        before: Option<&'a str>,
        limit: usize,
    ) -> StoreFuture<'a, Result<Rows>> {
        Box::pin(async move {
            let state = self.wallet.state();
            let wanted = state.rows.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix));
            let wanted = wanted.take_while(|(key, _)| before.is_none_or(|before| key.as_str() < before));
            let all: Vec<_> = wanted.collect();
            Ok(all.into_iter().rev().take(limit).map(|(key, value)| (key.clone(), value.clone())).collect())
        })
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
