//! The tables of a wallet's database, and whose database one is before anything in it is trusted.

use super::fault::{corrupt, Fault};
use super::sums::{is_warm, Sum};
use crate::error::{Code, Error};
use crate::failpoint::{self, Point};
use crate::store::WalletId;
use rusqlite::{params, Connection, Transaction, TransactionBehavior};
use std::path::PathBuf;

/// "MYFL": tells our databases from others.
const APPLICATION_ID: i64 = 0x4d59_464c;
/// The schema below. A newer one is refused, not guessed at.
const SCHEMA_VERSION: i64 = 2;
/// The same without sums.
const WITHOUT_SUMS: i64 = 1;

/// One row of lease. Rows by key in a table with an index, not `WITHOUT ROWID`: monitors are large, and large rows inside an
/// index make every search through them slow.
const SCHEMA: &str = "
CREATE TABLE lease (
    id INTEGER PRIMARY KEY CHECK (id = 1), wallet BLOB NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, last_commit BLOB,
    pid INTEGER, host TEXT, since_ms INTEGER NOT NULL, sum BLOB NOT NULL
) STRICT;
CREATE TABLE item (key TEXT NOT NULL UNIQUE, value BLOB NOT NULL, sum BLOB NOT NULL) STRICT;";

/// What a database holds, before anything is trusted.
pub(super) enum Content {
    Nothing,
    Ours,
    /// Ours, from before rows had sums.
    WithoutSums,
}

/// Makes the tables of a new wallet.
pub(super) fn create(conn: &mut Connection, wallet: &WalletId) -> rusqlite::Result<()> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute_batch(SCHEMA)?;
    tx.execute(
        "INSERT INTO lease (id, wallet, epoch, seq, since_ms, sum) VALUES (1, ?1, 0, 0, 0, ?2)",
        params![wallet.0, Sum::default().bytes()],
    )?;
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    tx.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    failpoint::reached(Point::MidSchema);
    tx.commit()
}

/// Gives the rows of an older database their sums.
pub(super) fn add_sums(conn: &mut Connection) -> rusqlite::Result<()> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute_batch(
        "ALTER TABLE item ADD COLUMN sum BLOB NOT NULL DEFAULT x'';
         ALTER TABLE lease ADD COLUMN sum BLOB NOT NULL DEFAULT x'';",
    )?;
    let mut total = Sum::default();
    let keys: Vec<String> =
        tx.prepare("SELECT key FROM item")?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for key in keys {
        let value: Vec<u8> = tx.query_row("SELECT value FROM item WHERE key = ?1", [&key], |row| row.get(0))?;
        let sum = Sum::of_row(&key, &value);
        tx.execute("UPDATE item SET sum = ?1 WHERE key = ?2", params![sum.bytes(), key])?;
        if is_warm(&key) {
            total.toggle(sum);
        }
    }
    tx.execute("UPDATE lease SET sum = ?1", [total.bytes()])?;
    tx.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    tx.commit()
}

/// Whose database it is. The inner result is the verdict on a foreign one.
pub(super) fn content(tx: &Transaction<'_>) -> rusqlite::Result<Result<Content, Fault>> {
    let path = || PathBuf::from(tx.path().unwrap_or_default());
    let application: i64 = tx.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: i64 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 = tx.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(match (application, version, tables) {
        (0, 0, 0) => Ok(Content::Nothing),
        (APPLICATION_ID, SCHEMA_VERSION, _) => Ok(Content::Ours),
        (APPLICATION_ID, WITHOUT_SUMS, _) => Ok(Content::WithoutSums),
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
