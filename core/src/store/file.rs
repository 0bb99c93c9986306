//! `file:<directory>`, a wallet on a local disk: a lock file beside a SQLite database, both named after the wallet.
//!
//! The lock (`<id>.lock`) says who may hold the wallet: it is tried, never waited for, and ends with the store object or its
//! process. The database (`<id>.sqlite`) says what the wallet is, and its epoch is the fence. Locked first, opened second, and
//! closed in the opposite order, so that a wallet that is free to claim is free to open.
//!
//! What must hold:
//! * A store that is only opened or read creates nothing. The first claim makes the directory (0700) and the files (0600).
//! * Every write checks the epoch and the sequence number in its own transaction, and before that, that lock and database are
//!   still the files that we claimed: someone who deletes or restores them under a holder ends that holder (`Fenced`).
//! * What was written is what is read: a row that the disk changed, lost or took back in time ends in `STATE_CORRUPT` (`sums.rs`).
//! * Nothing waits in SQLite: its busy handler is off. Only the holder writes, so "busy" is a reader that repairs the log, a
//!   backup, or somebody's shell; it gets a few short pauses, then the call fails with `STORE_UNAVAILABLE`.
//!
//! A commit blocks its thread for one flush of the log to the disk. That is meant: nothing of that node may happen before the disk has it.

mod db;
mod fault;
mod schema;
mod sums;

use super::{Batch, Claimant, Nonce, Outcome, Position, Rows, Snapshot, Standing, Store, StoreFuture, WalletId};
use crate::error::{Error, Result};
use crate::lock::{self, Attempt, FileId, FileLock};
use db::{Db, Fault};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The kernel frees the lock at the instant the holder ends, and holders are short: worth another look soon.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// Pauses between the tries of an operation that finds the database busy, 62 ms in all: repairing a log takes a few
/// milliseconds, and `destroy()` must fit 250.
const BUSY_PAUSES_MS: [u64; 5] = [2, 4, 8, 16, 32];

/// A wallet's store in a directory.
pub struct FileStore {
    wallet: WalletId,
    directory: PathBuf,
    held: Option<Held>,
}

/// What a holder has. Fields are dropped in this order: the database is closed before the lock is let go.
struct Held {
    db: Db,
    // The database that we opened, to notice when the path leads to another one.
    file: FileId,
    lock: FileLock,
    position: Position,
}

impl Held {
    fn stands(&self) -> Result<bool> {
        let found = FileId::of_path(self.db.path()).map_err(|e| lock::io_error("look at", self.db.path(), &e))?;
        Ok(found == Some(self.file) && self.lock.still_ours()?)
    }
}

impl FileStore {
    /// Does no I/O.
    pub fn open(directory: impl Into<PathBuf>, wallet: WalletId) -> Self {
        FileStore { wallet, directory: directory.into(), held: None }
    }

    fn path(&self, extension: &str) -> PathBuf {
        self.directory.join(format!("{}.{extension}", self.wallet.short_hex()))
    }

    async fn claim(&mut self, claimant: &Claimant) -> Result<Snapshot> {
        // A second claim on the same object is a new claim like any other.
        self.held = None;
        make_directory(&self.directory)?;
        let lock = match FileLock::try_lock(&self.path("lock"))? {
            Attempt::Locked(lock) => lock,
            Attempt::Contended => return Err(self.locked()),
        };
        let path = self.path("sqlite");
        let (db, snapshot) = unless_busy(|| {
            let mut db = Db::open_or_create(&path, &self.wallet)?;
            let snapshot = db.claim(claimant)?;
            Ok((db, snapshot))
        })
        .await?;
        let file = FileId::of_path(&path).map_err(|e| lock::io_error("look at", &path, &e))?;
        // Gone since we opened it: the lock file beside it may be next. Nothing is held yet, so the caller may claim again.
        let file = file.ok_or_else(|| lock::io_error("find", &path, &std::io::ErrorKind::NotFound.into()))?;
        self.held = Some(Held { db, file, lock, position: snapshot.position });
        Ok(snapshot)
    }

    /// Names the holder as well as the database can: one that has the lock but has not committed its claim yet is unknown, or
    /// takes the name of its predecessor for these few milliseconds.
    fn locked(&self) -> Error {
        let holder = match Db::open_to_read(&self.path("sqlite"), &self.wallet) {
            Ok(Some(mut db)) => db.holder().ok().flatten(),
            _ => None,
        };
        Error::locked(holder, RETRY_AFTER)
    }

    /// The held files, if the lease of that position is the one we hold and nobody replaced them.
    fn held_at(&mut self, at: Position) -> Result<Option<&mut Held>> {
        match &mut self.held {
            Some(held) if held.position.epoch == at.epoch => Ok(if held.stands()? { Some(held) } else { None }),
            _ => Ok(None),
        }
    }

    async fn write(&mut self, at: Position, nonce: Nonce, batch: &Batch) -> Outcome {
        let held = match self.held_at(at) {
            Ok(Some(held)) => held,
            Ok(None) => return Outcome::Fenced,
            Err(error) => return Outcome::Unknown(error),
        };
        match unless_busy(|| held.db.commit(at, nonce, batch)).await {
            Ok(Some(seq)) => Outcome::Committed(seq),
            Ok(None) => Outcome::Fenced,
            // Most of these are certain to be rolled back, but a COMMIT that failed may be in the log. The same bytes again
            // are right in both cases, so there is nothing to tell apart.
            Err(error) => Outcome::Unknown(error),
        }
    }

    async fn standing(&mut self, at: Position) -> Result<Standing> {
        let Some(held) = self.held_at(at)? else { return Ok(Standing::Fenced) };
        let found = unless_busy(|| held.db.position()).await?;
        Ok(if found.epoch == at.epoch { Standing::Held(found.seq) } else { Standing::Fenced })
    }

    /// By path and not through the holder's connection: what counts is what the next claimant would load.
    async fn rows(&self, read: impl Fn(&mut Db) -> std::result::Result<Rows, Fault>) -> Result<Rows> {
        let path = self.path("sqlite");
        unless_busy(|| match Db::open_to_read(&path, &self.wallet)? {
            Some(mut db) => read(&mut db),
            None => Ok(Rows::new()),
        })
        .await
    }
}

impl Store for FileStore {
    fn claim_and_load<'a>(&'a mut self, claimant: &'a Claimant) -> StoreFuture<'a, Result<Snapshot>> {
        Box::pin(self.claim(claimant))
    }

    fn commit<'a>(&'a mut self, at: Position, nonce: Nonce, batch: &'a Batch) -> StoreFuture<'a, Outcome> {
        Box::pin(self.write(at, nonce, batch))
    }

    fn check<'a>(&'a mut self, at: Position) -> StoreFuture<'a, Result<Standing>> {
        Box::pin(self.standing(at))
    }

    /// Writes nothing: the lock is the lease, the row only names who had it. So letting go costs no disk flush.
    fn release<'a>(&'a mut self, at: Position) -> StoreFuture<'a, Result<()>> {
        Box::pin(async move {
            self.held.take_if(|held| held.position.epoch == at.epoch);
            Ok(())
        })
    }

    fn read<'a>(&'a mut self, prefixes: &'a [&'a str]) -> StoreFuture<'a, Result<Rows>> {
        Box::pin(self.rows(|db| db.rows(prefixes)))
    }

    fn read_last<'a>(
        &'a mut self,
        prefix: &'a str,
        before: Option<&'a str>,
        limit: usize,
    ) -> StoreFuture<'a, Result<Rows>> {
        Box::pin(self.rows(move |db| db.last_rows(prefix, before, limit)))
    }
}

/// Runs an operation until it is not "busy", a few times. The pauses are awaited, so dropping the future ends it.
async fn unless_busy<T>(mut operation: impl FnMut() -> std::result::Result<T, Fault>) -> Result<T> {
    for pause in BUSY_PAUSES_MS {
        match operation() {
            Err(Fault::Busy(_)) => tokio::time::sleep(Duration::from_millis(pause)).await,
            done => return done.map_err(Fault::into_error),
        }
    }
    operation().map_err(Fault::into_error)
}

/// Creates the directory and what is missing above it, readable by the owner only, and makes the new names durable. Asks
/// for the file system first, so that a refused one is left as it was.
fn make_directory(directory: &Path) -> Result<()> {
    let fail = |what: &str, path: &Path, e: &std::io::Error| lock::io_error(what, path, e);
    let mut missing = Vec::new();
    let mut existing = directory;
    while FileId::of_path(existing).map_err(|e| fail("look at", existing, &e))?.is_none() {
        missing.push(existing);
        existing = match existing.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
    }
    let file = File::open(existing).map_err(|e| fail("open", existing, &e))?;
    lock::refuse_network(&file, existing)?;
    if missing.is_empty() {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory).map_err(|e| fail("create", directory, &e))?;
    // A name survives a power cut once the folder it stands in is flushed.
    for parent in std::iter::once(existing).chain(missing.into_iter().skip(1)) {
        let folder = File::open(parent).map_err(|e| fail("open", parent, &e))?;
        folder.sync_all().map_err(|e| fail("flush", parent, &e))?;
    }
    Ok(())
}
