//! `mayfly-lab sql <database> <statement>`: looking into a wallet's database, or damaging it, from a test in any language.
//!
//! Each row is an object; bytes are hexadecimal text. A database that is looked at only (`SELECT`, `PRAGMA`) stays as it is, byte by
//! byte, its log included: the log would otherwise be written back by whoever is the last to close it.

use rusqlite::config::DbConfig;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Map, Value};
use std::path::Path;

/// Runs one statement on a database that exists; the rows that it gives.
pub fn run(database: &Path, statement: &str) -> Result<Vec<Value>, String> {
    let fail = |error: rusqlite::Error| format!("{}: {error}", database.display());
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(database, flags).map_err(fail)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(fail)?;
    let mut prepared = conn.prepare(statement).map_err(fail)?;
    let names: Vec<String> = prepared.column_names().into_iter().map(str::to_owned).collect();
    let mut found = prepared.query([]).map_err(fail)?;
    let mut rows = Vec::new();
    while let Some(row) = found.next().map_err(fail)? {
        let mut object = Map::new();
        for (column, name) in names.iter().enumerate() {
            object.insert(name.clone(), json(row.get_ref(column).map_err(fail)?));
        }
        rows.push(Value::Object(object));
    }
    Ok(rows)
}

fn json(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => number.into(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
        ValueRef::Blob(bytes) => crate::lsp::rows::hex(bytes).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows_are_objects_and_bytes_are_hexadecimal() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("a.sqlite");
        assert!(run(&database, "SELECT 1").unwrap_err().contains("a.sqlite"), "it makes no database");
        Connection::open(&database).unwrap();
        assert_eq!(run(&database, "CREATE TABLE t (a, b, c)").unwrap(), [] as [Value; 0]);
        run(&database, "INSERT INTO t VALUES (1, 'x', x'00ff'), (NULL, 1.5, x'')").unwrap();
        let rows = run(&database, "SELECT * FROM t").unwrap();
        assert_eq!(rows, [json!({ "a": 1, "b": "x", "c": "00ff" }), json!({ "a": null, "b": 1.5, "c": "" })]);
        assert!(run(&database, "SELECT d FROM t").unwrap_err().contains("no such column"));
    }
}
