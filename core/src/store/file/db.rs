//! The wallet's rows and its lease in one SQLite database.
//!
//! What must hold:
//! * A commit is durable when it returns: write-ahead log with `synchronous=FULL`, one flush per transaction.
//! * A transaction writes only if the lease row still has the expected epoch and sequence number, checked inside it.
//! * A database that is damaged, foreign or newer is never written to: `STATE_CORRUPT`. Anything that may pass (disk full,
//!   permissions, I/O): `STORE_UNAVAILABLE`.
//! * Closing is quick: no checkpoint, so the log stays beside the database and the next opener reads it.
//!
//! A trap of POSIX record locks, which SQLite uses: closing *any* descriptor of the database drops all locks that this process
//! has on it, those of other threads too. So nothing but SQLite opens the file, except to create it.

use super::fault::{corrupt, failed, fault, Result};
use super::schema::{self, content, Content};
use super::sums::{self, is_warm, Sum};
use crate::clock;
use crate::error::{Error, Holder};
use crate::failpoint::{self, Point};
use crate::store::{Batch, Claimant, Epoch, Nonce, Position, Rows, Seq, Snapshot, WalletId, COLD_PREFIX};
use rusqlite::config::DbConfig;
use rusqlite::{params, Connection, OpenFlags, OptionalExtension, TransactionBehavior};
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(super) use super::fault::Fault;

/// An open database of one wallet.
pub(super) struct Db {
    conn: Connection,
    path: PathBuf,
    /// Rows can be checked. An older database gets its sums from its next holder; until then it is only read.
    has_sums: bool,
}

impl Db {
    /// For the holder of the lock: opens the database, and makes it if it is not there.
    pub(super) fn open_or_create(path: &Path, wallet: &WalletId) -> Result<Db> {
        create_file(path)?;
        let mut db = Db::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        // Looked at before the journal mode is touched, which would already change a foreign database.
        let content = db.run(|conn| content(&conn.transaction()?))??;
        db.run(|conn| {
            conn.pragma_update(None, "synchronous", "FULL")?;
            // On macOS a plain fsync stops at the drive's cache; elsewhere these change nothing.
            conn.pragma_update(None, "fullfsync", true)?;
            conn.pragma_update(None, "checkpoint_fullfsync", true)
        })?;
        let mode: String =
            db.run(|conn| conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)))?;
        if mode != "wal" {
            return Err(Fault::Failed(Error::option(
                "store",
                format!("{} is on a file system without shared memory, which SQLite's log needs; use a folder on a local disk", path.display()),
            )));
        }
        match content {
            Content::Nothing => db.run(|conn| schema::create(conn, wallet))?,
            Content::WithoutSums => db.run(schema::add_sums)?,
            Content::Ours => {}
        }
        db.has_sums = true;
        db.check_wallet(wallet)?;
        Ok(db)
    }

    /// For anyone, beside a live holder too: creates and changes nothing. `None` if no wallet was ever made here.
    pub(super) fn open_to_read(path: &Path, wallet: &WalletId) -> Result<Option<Db>> {
        match std::fs::metadata(path) {
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed("look at", path, &e)),
        }
        let mut db = Db::connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        match db.run(|conn| content(&conn.transaction()?))?? {
            Content::Nothing => Ok(None),
            found @ (Content::Ours | Content::WithoutSums) => {
                db.has_sums = matches!(found, Content::Ours);
                db.check_wallet(wallet)?;
                Ok(Some(db))
            }
        }
    }

    fn connect(path: &Path, mode: OpenFlags) -> Result<Db> {
        // Not a URI: a folder may be called anything. No mutex: a connection is used by one thread at a time, by `&mut`.
        let conn =
            Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(|e| fault(path, &e))?;
        let mut db = Db { conn, path: path.to_owned(), has_sums: false };
        db.run(|conn| {
            conn.busy_timeout(Duration::ZERO)?;
            // Readers too: the last one out would otherwise write the whole log back, and block a claim while it does.
            conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            // Neither is needed, and a damaged file could carry code in its schema.
            conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
            conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)
        })?;
        Ok(db)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The next epoch, the holder's name and the rows to boot from, in one transaction: what is loaded is what the raised
    /// epoch protects.
    pub(super) fn claim(&mut self, claimant: &Claimant) -> Result<Snapshot> {
        let claimed = self.run(|conn| {
            let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let (position, total) = tx.query_row(
                "UPDATE lease SET epoch = epoch + 1, pid = ?1, host = ?2, since_ms = ?3 RETURNING epoch, seq, sum",
                params![claimant.pid, claimant.host, clock::now_ms()],
                |row| {
                    Ok((
                        Position { epoch: Epoch(row.get(0)?), seq: Seq(row.get(1)?) },
                        Sum::from(row.get::<_, [u8; sums::BYTES]>(2)?),
                    ))
                },
            )?;
            let mut loaded = Loaded::default();
            // Two ranges around the cold rows, so that the boot does not even walk over them.
            loaded.load(&tx, "", Some(COLD_PREFIX), true)?;
            if let Some(after) = after_prefix(COLD_PREFIX) {
                loaded.load(&tx, &after, None, true)?;
            }
            if loaded.spoilt.is_none() && loaded.total != total {
                loaded.spoilt = Some("some of its rows are gone, or older than the others".to_owned());
            }
            if loaded.spoilt.is_none() {
                failpoint::reached(Point::MidClaim);
                tx.commit()?;
            }
            Ok((position, loaded))
        });
        let (position, loaded) = claimed?;
        Ok(Snapshot::in_place(position, loaded.whole(&self.path)?))
    }

    /// Writes the batch at that position. `None`, and nothing written, if the wallet is not there and it was not this nonce
    /// that moved it.
    pub(super) fn commit(&mut self, at: Position, nonce: Nonce, batch: &Batch) -> Result<Option<Seq>> {
        self.run(|conn| {
            let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let next = Seq(at.seq.0.saturating_add(1));
            let (found, last, mut total) =
                tx.query_row("SELECT epoch, seq, last_commit, sum FROM lease", [], |row| {
                    let last: Option<[u8; 16]> = row.get(2)?;
                    let total = Sum::from(row.get::<_, [u8; sums::BYTES]>(3)?);
                    Ok((Position { epoch: Epoch(row.get(0)?), seq: Seq(row.get(1)?) }, last, total))
                })?;
            if found == (Position { epoch: at.epoch, seq: next }) && last == Some(nonce.0) {
                return Ok(Some(next));
            }
            if found != at {
                return Ok(None);
            }
            {
                let mut written = tx.prepare_cached("SELECT sum FROM item WHERE key = ?1")?;
                let mut leave = |total: &mut Sum, key: &str| -> rusqlite::Result<()> {
                    let sum: Option<[u8; sums::BYTES]> = written.query_row([key], |row| row.get(0)).optional()?;
                    sum.into_iter().for_each(|sum| total.toggle(sum.into()));
                    Ok(())
                };
                let mut delete = tx.prepare_cached("DELETE FROM item WHERE key = ?1")?;
                for key in batch.deletes() {
                    if is_warm(key) {
                        leave(&mut total, key)?;
                    }
                    delete.execute([key])?;
                }
                let mut put = tx.prepare_cached(
                    "INSERT INTO item (key, value, sum) VALUES (?1, ?2, ?3)
                     ON CONFLICT (key) DO UPDATE SET value = excluded.value, sum = excluded.sum",
                )?;
                for (key, value) in batch.puts() {
                    let sum = Sum::of_row(key, value);
                    if is_warm(key) {
                        leave(&mut total, key)?;
                        total.toggle(sum);
                    }
                    put.execute(params![key, value, sum.bytes()])?;
                }
            }
            tx.execute(
                "UPDATE lease SET seq = ?1, last_commit = ?2, sum = ?3",
                params![next.0, nonce.0, total.bytes()],
            )?;
            failpoint::reached(Point::MidCommit);
            tx.commit()?;
            Ok(Some(next))
        })
    }

    /// Where the wallet is.
    pub(super) fn position(&mut self) -> Result<Position> {
        self.run(|conn| {
            conn.query_row("SELECT epoch, seq FROM lease", [], |row| {
                Ok(Position { epoch: Epoch(row.get(0)?), seq: Seq(row.get(1)?) })
            })
        })
    }

    /// Who claimed last; `None` if nobody ever did.
    pub(super) fn holder(&mut self) -> Result<Option<Holder>> {
        self.run(|conn| {
            conn.query_row("SELECT pid, host, since_ms, epoch FROM lease", [], |row| {
                let epoch: u64 = row.get(3)?;
                let holder = Holder { pid: row.get(0)?, host: row.get(1)?, since_ms: row.get(2)?, epoch };
                Ok((epoch > 0).then_some(holder))
            })
        })
    }

    /// The rows under the prefixes, all from one commit.
    pub(super) fn rows(&mut self, prefixes: &[&str]) -> Result<Rows> {
        let has_sums = self.has_sums;
        let loaded = self.run(|conn| {
            let tx = conn.transaction()?;
            let mut loaded = Loaded::default();
            for prefix in prefixes {
                loaded.load(&tx, prefix, after_prefix(prefix).as_deref(), has_sums)?;
            }
            Ok(loaded)
        })?;
        loaded.whole(&self.path)
    }

    /// The last rows under a prefix and before a key, in one walk along the index from its end.
    pub(super) fn last_rows(&mut self, prefix: &str, before: Option<&str>, limit: usize) -> Result<Rows> {
        let end = after_prefix(prefix);
        let until = match (end.as_deref(), before) {
            (Some(end), Some(before)) => Some(end.min(before)),
            (end, before) => end.or(before),
        };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut loaded = Loaded::default();
        let has_sums = self.has_sums;
        self.run(|conn| match until {
            Some(until) => {
                let which = "key >= ?1 AND key < ?2 ORDER BY key DESC LIMIT ?3";
                loaded.find(conn, which, params![prefix, until, limit], has_sums)
            }
            None => loaded.find(conn, "key >= ?1 ORDER BY key DESC LIMIT ?2", params![prefix, limit], has_sums),
        })?;
        loaded.whole(&self.path)
    }

    fn check_wallet(&mut self, wallet: &WalletId) -> Result<()> {
        let found: [u8; 32] = self.run(|conn| conn.query_row("SELECT wallet FROM lease", [], |row| row.get(0)))?;
        if found == wallet.0 {
            return Ok(());
        }
        Err(corrupt(&self.path, "it belongs to another wallet, so it was renamed or copied here"))
    }

    /// Runs SQL and says which file was meant when it fails.
    fn run<T>(&mut self, sql: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T> {
        sql(&mut self.conn).map_err(|e| fault(&self.path, &e))
    }
}

/// Rows as they are found, and what is wrong with them.
#[derive(Default)]
struct Loaded {
    rows: Rows,
    /// The sum of all their sums.
    total: Sum,
    spoilt: Option<String>,
}

impl Loaded {
    /// Rows with `from <= key < until`, in one walk along the index.
    fn load(&mut self, conn: &Connection, from: &str, until: Option<&str>, has_sums: bool) -> rusqlite::Result<()> {
        match until {
            Some(until) => self.find(conn, "key >= ?1 AND key < ?2", params![from, until], has_sums),
            None => self.find(conn, "key >= ?1", params![from], has_sums),
        }
    }

    /// The rows that fit a condition.
    fn find(
        &mut self,
        conn: &Connection,
        which: &str,
        params: &[&dyn rusqlite::ToSql],
        has_sums: bool,
    ) -> rusqlite::Result<()> {
        let sum = if has_sums { "sum" } else { "NULL" };
        let mut statement = conn.prepare_cached(&format!("SELECT key, value, {sum} FROM item WHERE {which}"))?;
        let mut found = statement.query(params)?;
        while let Some(row) = found.next()? {
            let written: Option<[u8; sums::BYTES]> = row.get(2)?;
            self.take(row.get(0)?, row.get(1)?, written.map(Sum::from));
        }
        Ok(())
    }

    fn take(&mut self, key: String, value: Vec<u8>, written: Option<Sum>) {
        if let Some(written) = written {
            self.total.toggle(written);
            if written != Sum::of_row(&key, &value) {
                self.spoilt = Some(format!("row {key} is not what was written"));
            }
        }
        self.rows.insert(key, value);
    }

    fn whole(self, path: &Path) -> Result<Rows> {
        self.spoilt.map_or(Ok(self.rows), |why| Err(corrupt(path, &why)))
    }
}

/// The first string after all that start with the prefix, in the order of their bytes (SQLite's, and Rust's); `None` if there
/// is none.
fn after_prefix(prefix: &str) -> Option<String> {
    let mut rest = prefix.to_owned();
    while let Some(last) = rest.pop() {
        // A range of characters steps over the surrogates, which no string has.
        if let Some(next) = (last..=char::MAX).nth(1) {
            rest.push(next);
            return Some(rest);
        }
    }
    None
}

/// Makes an empty file that only its owner may read; SQLite gives its log the same mode.
fn create_file(path: &Path) -> Result<()> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => failpoint::reached(Point::AfterNewFile),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(failed("create", path, &e)),
    }
    // SQLite deletes the log of an empty database. The log is written after the first page of the database is on the disk,
    // so this pair means that the database was lost and the log may be all that is left of the wallet.
    let length = std::fs::metadata(path).map_err(|e| failed("look at", path, &e))?.len();
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let log_length = std::fs::metadata(&log).map(|meta| meta.len()).unwrap_or(0);
    if length == 0 && log_length > 0 {
        return Err(corrupt(path, "it is empty or was deleted, but the log beside it is not"));
    }
    Ok(())
}

#[cfg(test)]
#[path = "db_tests.rs"]
mod tests;
