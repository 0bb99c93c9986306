#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::error::Code;

#[test]
fn the_string_after_a_prefix_is_after_all_that_start_with_it() {
    for (prefix, after) in [
        ("a", Some("b")),
        ("ledger/", Some("ledger0")),
        ("\u{d7ff}", Some("\u{e000}")),
        ("a\u{10ffff}", Some("b")),
        ("\u{10ffff}", None),
        ("", None),
    ] {
        assert_eq!(after_prefix(prefix).as_deref(), after, "{prefix:?}");
    }
}

#[test]
fn what_may_pass_is_unavailable_and_what_stays_is_corrupt() {
    let path = Path::new("/wallets/x.sqlite");
    for (raw, busy, code) in [
        (rusqlite::ffi::SQLITE_BUSY_RECOVERY, true, Code::StoreUnavailable),
        (rusqlite::ffi::SQLITE_LOCKED, true, Code::StoreUnavailable),
        (rusqlite::ffi::SQLITE_FULL, false, Code::StoreUnavailable),
        (rusqlite::ffi::SQLITE_IOERR_FSYNC, false, Code::StoreUnavailable),
        (rusqlite::ffi::SQLITE_READONLY, false, Code::StoreUnavailable),
        (rusqlite::ffi::SQLITE_CANTOPEN, false, Code::StoreUnavailable),
        (rusqlite::ffi::SQLITE_CORRUPT, false, Code::StateCorrupt),
        (rusqlite::ffi::SQLITE_NOTADB, false, Code::StateCorrupt),
    ] {
        let found = fault(path, &rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(raw), None));
        assert_eq!(matches!(found, Fault::Busy(_)), busy, "{raw}");
        let error = found.into_error();
        assert_eq!(error.code, code, "{raw}");
        assert!(error.message.contains("/wallets/x.sqlite"), "{error}");
    }
}

#[test]
fn the_holders_connection_flushes_each_commit() {
    let dir = tempfile::tempdir().unwrap();
    let Ok(mut db) = Db::open_or_create(&dir.path().join("w.sqlite"), &WalletId([1; 32])) else { panic!("it opens") };
    let Ok((mode, synchronous)) = db.run(|conn| {
        let mode: String = conn.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
        let synchronous: i64 = conn.pragma_query_value(None, "synchronous", |row| row.get(0))?;
        Ok((mode, synchronous))
    }) else {
        panic!("it answers")
    };
    // 2 is FULL: SQLite flushes the log at the end of each transaction.
    assert_eq!((mode.as_str(), synchronous), ("wal", 2));
}

#[test]
fn a_boot_walks_over_no_cold_row() {
    let dir = tempfile::tempdir().unwrap();
    let Ok(mut db) = Db::open_or_create(&dir.path().join("w.sqlite"), &WalletId([1; 32])) else { panic!("it opens") };
    for sql in
        ["SELECT key, value FROM item WHERE key >= '' AND key < 'x'", "SELECT key, value FROM item WHERE key >= 'x'"]
    {
        let Ok(plan) =
            db.run(|conn| conn.query_row(&format!("EXPLAIN QUERY PLAN {sql}"), [], |row| row.get::<_, String>(3)))
        else {
            panic!("it answers")
        };
        assert!(plan.starts_with("SEARCH item USING INDEX"), "{plan}");
    }
}
