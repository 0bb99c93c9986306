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

use crate::clock;
use crate::error::{shown, Code, Error, Holder};
use crate::failpoint::{self, Point};
use crate::store::{Batch, Claimant, Epoch, Nonce, Position, Rows, Seq, Snapshot, WalletId, COLD_PREFIX};
use rusqlite::config::DbConfig;
use rusqlite::{params, Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// "MYFL": tells our databases from others.
const APPLICATION_ID: i64 = 0x4d59_464c;
/// The schema below. A newer one is refused, not guessed at.
const SCHEMA_VERSION: i64 = 1;

/// One row of lease. Rows by key in a table with an index, not `WITHOUT ROWID`: monitors are large, and large rows inside an
/// index make every search through them slow.
const SCHEMA: &str = "
CREATE TABLE lease (
    id INTEGER PRIMARY KEY CHECK (id = 1), wallet BLOB NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, last_commit BLOB,
    pid INTEGER, host TEXT, since_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE item (key TEXT NOT NULL UNIQUE, value BLOB NOT NULL) STRICT;";

/// Why an operation failed, and whether a short pause may help.
pub(super) enum Fault {
    Busy(Error),
    Failed(Error),
}

impl Fault {
    pub(super) fn into_error(self) -> Error {
        match self {
            Fault::Busy(error) | Fault::Failed(error) => error,
        }
    }
}

type Result<T> = std::result::Result<T, Fault>;

/// An open database of one wallet.
pub(super) struct Db {
    conn: Connection,
    path: PathBuf,
}

/// What a database holds, before anything is trusted.
enum Content {
    Nothing,
    Ours,
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
        if let Content::Nothing = content {
            db.run(|conn| {
                let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
                tx.execute_batch(SCHEMA)?;
                tx.execute("INSERT INTO lease (id, wallet, epoch, seq, since_ms) VALUES (1, ?1, 0, 0, 0)", [wallet.0])?;
                tx.pragma_update(None, "application_id", APPLICATION_ID)?;
                tx.pragma_update(None, "user_version", SCHEMA_VERSION)?;
                failpoint::reached(Point::MidSchema);
                tx.commit()
            })?;
        }
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
            Content::Ours => {
                db.check_wallet(wallet)?;
                Ok(Some(db))
            }
        }
    }

    fn connect(path: &Path, mode: OpenFlags) -> Result<Db> {
        // Not a URI: a folder may be called anything. No mutex: a connection is used by one thread at a time, by `&mut`.
        let conn =
            Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(|e| fault(path, &e))?;
        let mut db = Db { conn, path: path.to_owned() };
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
        self.run(|conn| {
            let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let position = tx.query_row(
                "UPDATE lease SET epoch = epoch + 1, pid = ?1, host = ?2, since_ms = ?3 RETURNING epoch, seq",
                params![claimant.pid, claimant.host, clock::now_ms()],
                |row| Ok(Position { epoch: Epoch(row.get(0)?), seq: Seq(row.get(1)?) }),
            )?;
            let mut rows = Rows::new();
            // Two ranges around the cold rows, so that the boot does not even walk over them.
            load(&tx, &mut rows, "", Some(COLD_PREFIX))?;
            if let Some(after) = after_prefix(COLD_PREFIX) {
                load(&tx, &mut rows, &after, None)?;
            }
            failpoint::reached(Point::MidClaim);
            tx.commit()?;
            Ok(Snapshot { position, rows })
        })
    }

    /// Writes the batch at that position. `None`, and nothing written, if the wallet is not there and it was not this nonce
    /// that moved it.
    pub(super) fn commit(&mut self, at: Position, nonce: Nonce, batch: &Batch) -> Result<Option<Seq>> {
        self.run(|conn| {
            let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let next = Seq(at.seq.0.saturating_add(1));
            let (found, last) = tx.query_row("SELECT epoch, seq, last_commit FROM lease", [], |row| {
                let last: Option<[u8; 16]> = row.get(2)?;
                Ok((Position { epoch: Epoch(row.get(0)?), seq: Seq(row.get(1)?) }, last))
            })?;
            if found == (Position { epoch: at.epoch, seq: next }) && last == Some(nonce.0) {
                return Ok(Some(next));
            }
            if found != at {
                return Ok(None);
            }
            tx.execute("UPDATE lease SET seq = ?1, last_commit = ?2", params![next.0, nonce.0])?;
            {
                let mut delete = tx.prepare_cached("DELETE FROM item WHERE key = ?1")?;
                for key in batch.deletes() {
                    delete.execute([key])?;
                }
                let mut put = tx.prepare_cached(
                    "INSERT INTO item (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                )?;
                for (key, value) in batch.puts() {
                    put.execute(params![key, value])?;
                }
            }
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
        self.run(|conn| {
            let tx = conn.transaction()?;
            let mut rows = Rows::new();
            for prefix in prefixes {
                load(&tx, &mut rows, prefix, after_prefix(prefix).as_deref())?;
            }
            Ok(rows)
        })
    }

    /// The last rows under a prefix and before a key, in one walk along the index from its end.
    pub(super) fn last_rows(&mut self, prefix: &str, before: Option<&str>, limit: usize) -> Result<Rows> {
        let end = after_prefix(prefix);
        let until = match (end.as_deref(), before) {
            (Some(end), Some(before)) => Some(end.min(before)),
            (end, before) => end.or(before),
        };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.run(|conn| match until {
            Some(until) => pairs(
                conn,
                "SELECT key, value FROM item WHERE key >= ?1 AND key < ?2 ORDER BY key DESC LIMIT ?3",
                params![prefix, until, limit],
            ),
            None => pairs(
                conn,
                "SELECT key, value FROM item WHERE key >= ?1 ORDER BY key DESC LIMIT ?2",
                params![prefix, limit],
            ),
        })
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

/// The rows that a query finds.
fn pairs(conn: &Connection, sql: &str, params: &[&dyn rusqlite::ToSql]) -> rusqlite::Result<Rows> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut found = statement.query(params)?;
    let mut rows = Rows::new();
    while let Some(row) = found.next()? {
        rows.insert(row.get(0)?, row.get(1)?);
    }
    Ok(rows)
}

/// Rows with `from <= key < until`, in one walk along the index.
fn load(tx: &Transaction<'_>, rows: &mut Rows, from: &str, until: Option<&str>) -> rusqlite::Result<()> {
    rows.append(&mut match until {
        Some(until) => pairs(tx, "SELECT key, value FROM item WHERE key >= ?1 AND key < ?2", params![from, until])?,
        None => pairs(tx, "SELECT key, value FROM item WHERE key >= ?1", params![from])?,
    });
    Ok(())
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

/// Whose database it is. The inner result is the verdict on a foreign one.
fn content(tx: &Transaction<'_>) -> rusqlite::Result<Result<Content>> {
    let path = || PathBuf::from(tx.path().unwrap_or_default());
    let application: i64 = tx.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: i64 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 = tx.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(match (application, version, tables) {
        (0, 0, 0) => Ok(Content::Nothing),
        (APPLICATION_ID, SCHEMA_VERSION, _) => Ok(Content::Ours),
        (APPLICATION_ID, newer, _) if newer > SCHEMA_VERSION => Err(Fault::Failed(Error::new(
            Code::StateCorrupt,
            format!(
                "{} was written by a newer version (schema {newer}, this version knows {SCHEMA_VERSION}); upgrade, do not delete it",
                path().display()
            ),
        ))),
        _ => Err(corrupt(&path(), "it is a database of another program, or of an unknown schema")),
    })
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Fault {
    Fault::Failed(crate::lock::io_error(what, path, error))
}

fn corrupt(path: &Path, why: &str) -> Fault {
    // SQLite repeats what it found, which may be anything.
    let why = shown(why, 200);
    Fault::Failed(Error::new(
        Code::StateCorrupt,
        format!(
            "{} does not load: {why}. Nothing was changed. Keep it and the files beside it, check the disk, and check the option \
             `store`. Do not put an older copy in its place while the wallet may have channels: old channel state can lose money",
            path.display()
        ),
    ))
}

/// What an error of SQLite means for the caller.
fn fault(path: &Path, error: &rusqlite::Error) -> Fault {
    let code = match error {
        rusqlite::Error::SqliteFailure(e, _) | rusqlite::Error::SqlInputError { error: e, .. } => e.code,
        // The rest of rusqlite's errors say that a row or a column was not what the schema promises.
        _ => return corrupt(path, &error.to_string()),
    };
    let unavailable = || {
        Error::new(
            Code::StoreUnavailable,
            format!("the database {} cannot be used: {error}; check that this user may write it, and that the disk has room", path.display()),
        )
    };
    match code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => {
            Fault::Busy(Error::new(
                Code::StoreUnavailable,
                format!(
                    "the database {} is in use by something that is not its holder ({error}); end that and try again",
                    path.display()
                ),
            ))
        }
        // `Unknown` is a statement that does not fit the tables.
        ErrorCode::DatabaseCorrupt
        | ErrorCode::NotADatabase
        | ErrorCode::TypeMismatch
        | ErrorCode::ConstraintViolation
        | ErrorCode::Unknown => corrupt(path, &error.to_string()),
        _ => Fault::Failed(unavailable()),
    }
}

#[cfg(test)]
#[path = "db_tests.rs"]
mod tests;
