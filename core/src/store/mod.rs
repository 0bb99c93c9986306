//! Where a wallet lives: rows of bytes under one lease, written in one transaction or not at all.
//!
//! A store knows bytes only, no LDK type, so a new store is one file that passes the conformance suite (`core/tests/conformance/`).
//! What must hold of every store:
//! * **One writer.** A commit is accepted only under the wallet's current epoch and exactly the expected sequence number.
//!   A claim raises the epoch, so every earlier holder is fenced from that instant.
//! * **All or nothing, and durable.** When `commit` says `Committed`, all rows of the batch survive a power cut.
//! * **Idempotent by nonce.** Sending the same (position, nonce, batch) again after a lost reply answers `Committed` if it
//!   was applied: an ambiguous commit is resolved by re-sending the same bytes, never by guessing.
//! * **No wait.** `claim_and_load` is one attempt; waiting for a held wallet is `claim::claim_within`, which can be dropped.

pub mod bounded;
pub mod claim;
pub mod file;
pub mod memory;
pub mod postgres;
pub mod sealed;
pub mod seen;

pub use sealed::StoreKey;

use crate::config::{StoreUrl, TakeOver};
use crate::error::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// Futures of a store run on the node's own thread, so they need not be `Send`.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Rows by key.
pub type Rows = BTreeMap<String, Vec<u8>>;

/// Rows under this prefix are not loaded by a claim: what grows with each payment lives here, so that boot stays flat (P7).
pub const COLD_PREFIX: &str = "ledger";

/// Rows of this class are `ledger-times/<16 hexadecimal digits of an instant>/<rest>`. A store that hides keys leaves the digits in
/// clear, so that `read_last` finds the newest.
pub const DATED_CLASS: &str = "ledger-times/";

/// A wallet's name in a store: a keyed hash of (network, node id), so that a store never learns the node id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WalletId(pub [u8; 32]);

impl WalletId {
    /// The first 16 bytes as 32 hex characters: the name of files.
    pub fn short_hex(&self) -> String {
        self.0.iter().take(16).map(|b| format!("{b:02x}")).collect()
    }
}

impl std::fmt::Debug for WalletId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WalletId({})", self.short_hex())
    }
}

/// The fencing token of a lease: +1 per claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(pub u64);

/// The number of commits that a wallet has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seq(pub u64);

/// Where a holder believes the wallet to be: the condition of its next commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The holder's epoch.
    pub epoch: Epoch,
    /// The last committed sequence number.
    pub seq: Seq,
}

/// Sixteen random bytes that name one commit, drawn fresh for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nonce(pub [u8; 16]);

/// Who claims, so that the next claimant can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimant {
    /// Process id.
    pub pid: u32,
    /// Host name, if known.
    pub host: Option<String>,
    /// What the user calls this holder.
    pub label: Option<String>,
    /// The lease's time to live; stores whose lease ends with its process (a file lock) ignore it.
    pub ttl: Duration,
    /// When another holder's lease may be taken; ignored likewise.
    pub take_over: TakeOver,
}

impl Claimant {
    /// A process of this machine, with the defaults of the `lease` option.
    pub fn of_process(pid: u32) -> Self {
        Claimant { pid, host: None, label: None, ttl: Duration::from_secs(8), take_over: TakeOver::Unrenewed }
    }
}

/// The server behind a store, as it tells who it is: another one may remember less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server {
    /// Drawn when its data directory was made.
    pub system: u64,
    /// +1 at each promotion of a replica and each recovery to a point in time.
    pub timeline: u32,
}

/// What a successful claim returns: the position to commit from, and every row outside [`COLD_PREFIX`].
#[derive(Debug)]
pub struct Snapshot {
    /// The position under the new epoch.
    pub position: Position,
    /// The wallet's rows.
    pub rows: Rows,
    /// Who answered; `None` where that is no question (a file, this process).
    pub server: Option<Server>,
    /// The rows were last committed to another server than the one that they were loaded from: it may have lost the last of them.
    pub moved: bool,
}

impl Snapshot {
    /// Rows of a place that can't become another one.
    pub fn in_place(position: Position, rows: Rows) -> Self {
        Snapshot { position, rows, server: None, moved: false }
    }
}

/// One transaction: rows to write and rows to delete. A key is in one of the two, never in both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    puts: Rows,
    deletes: BTreeSet<String>,
}

impl Batch {
    /// Writes a row; the last word on a key wins.
    pub fn put(&mut self, key: impl Into<String>, value: Vec<u8>) {
        let key = key.into();
        self.deletes.remove(&key);
        self.puts.insert(key, value);
    }

    /// Deletes a row; deleting an absent row is no error.
    pub fn delete(&mut self, key: impl Into<String>) {
        let key = key.into();
        self.puts.remove(&key);
        self.deletes.insert(key);
    }

    /// Neither writes nor deletes a row.
    #[cfg(feature = "mutations")]
    pub(crate) fn forget(&mut self, key: &str) {
        self.puts.remove(key);
        self.deletes.remove(key);
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.puts.is_empty() && self.deletes.is_empty()
    }

    /// Bytes of all values to write.
    pub fn bytes(&self) -> usize {
        self.puts.values().map(Vec::len).sum()
    }

    /// The rows to write.
    pub fn puts(&self) -> &Rows {
        &self.puts
    }

    /// The rows to delete.
    pub fn deletes(&self) -> &BTreeSet<String> {
        &self.deletes
    }
}

/// How a commit ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Durable: the wallet is at this sequence number.
    Committed(Seq),
    /// The wallet is not at this position, and it was not this nonce that moved it: a newer epoch exists, the lease was
    /// released, or the holder lost count. This call wrote nothing; the holder is over.
    Fenced,
    /// It may or may not be written. Send the same bytes again.
    Unknown(Error),
}

/// What `check` found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The lease is ours, at this sequence number.
    Held(Seq),
    /// A newer epoch exists.
    Fenced,
}

/// A place where one wallet lives. Opened without I/O; each method is one round trip.
pub trait Store {
    /// One attempt to become the holder, and the rows. `WALLET_LOCKED` when another holder is live: never waits.
    fn claim_and_load<'a>(&'a mut self, claimant: &'a Claimant) -> StoreFuture<'a, Result<Snapshot>>;

    /// Writes a batch if the wallet is still at `at`, in one durable transaction.
    fn commit<'a>(&'a mut self, at: Position, nonce: Nonce, batch: &'a Batch) -> StoreFuture<'a, Outcome>;

    /// How long a lease stands from the last commit or check on; `None`: as long as its process, whatever happens to that.
    fn ttl(&self) -> Option<Duration> {
        None
    }

    /// Whether the lease of `at.epoch` still stands; renews it.
    fn check<'a>(&'a mut self, at: Position) -> StoreFuture<'a, Result<Standing>>;

    /// Gives the lease back, if it is still ours. Dropping a store releases what its process alone held, too.
    fn release<'a>(&'a mut self, at: Position) -> StoreFuture<'a, Result<()>>;

    /// The rows whose keys start with one of the prefixes, all from one commit: the last of whoever holds the wallet. Needs no lease.
    ///
    /// A prefix is `""` for every row, or ends in `/`, or is a whole key with which no other key starts: a store that hides keys knows
    /// no others.
    fn read<'a>(&'a mut self, prefixes: &'a [&'a str]) -> StoreFuture<'a, Result<Rows>>;

    /// Of the rows whose keys start with the prefix and stand before `before`, the last `limit` in the order of their keys. Reads
    /// no others, however many there are. Needs no lease.
    fn read_last<'a>(
        &'a mut self,
        prefix: &'a str,
        before: Option<&'a str>,
        limit: usize,
    ) -> StoreFuture<'a, Result<Rows>>;
}

/// The store of a wallet at that address; `key` seals its rows where others can read them. Does no I/O.
pub fn open(url: &StoreUrl, wallet: WalletId, key: &StoreKey) -> Box<dyn Store> {
    match url {
        StoreUrl::Memory => Box::new(memory::MemoryStore::open(wallet)),
        StoreUrl::File(directory) => Box::new(file::FileStore::open(directory, wallet)),
        StoreUrl::Postgres(url) => {
            let rows = sealed::SealedStore::new(postgres::PostgresStore::open(url, wallet), wallet, key);
            // One server may have many databases, and each of them this wallet.
            let place = format!("{url} database {}", url.database);
            Box::new(seen::SeenStore::new(rows, place.as_bytes(), wallet))
        }
    }
}
