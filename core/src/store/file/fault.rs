//! What an error of SQLite or of the file system means for the caller: it may pass, it stays, or a short pause may help.

use crate::error::{shown, Code, Error};
use rusqlite::ErrorCode;
use std::io;
use std::path::Path;

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

pub(super) type Result<T> = std::result::Result<T, Fault>;

pub(super) fn failed(what: &str, path: &Path, error: &io::Error) -> Fault {
    Fault::Failed(crate::lock::io_error(what, path, error))
}

pub(super) fn corrupt(path: &Path, why: &str) -> Fault {
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
pub(super) fn fault(path: &Path, error: &rusqlite::Error) -> Fault {
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
