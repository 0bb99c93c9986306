//! What goes wrong between us and the server, and what the user is told. A message has the server's host and port and the server's own
//! words, never the login.

use crate::config::PostgresUrl;
use crate::error::{shown, Code, Error};
use tokio_postgres::error::SqlState;

/// A server's own words are shown up to here.
const SHOWN: usize = 300;

/// Why a question has no answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// The connection is over: what was asked may have been done or not.
    Lost(String),
    /// The server said no.
    Refused(SqlState, String),
    /// The server's certificate does not hold, or it has none.
    Distrusted(String),
    /// Said already.
    Other(Error),
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(said) => Fault::Refused(said.code().clone(), shown(said.message(), SHOWN)),
            None if is_about_trust(&error) => Fault::Distrusted(causes(&error)),
            None => Fault::Lost(causes(&error)),
        }
    }
}

fn is_about_trust(error: &tokio_postgres::Error) -> bool {
    let all = std::iter::successors(Some(error as &dyn std::error::Error), |e| e.source());
    let is_tls = |io: &std::io::Error| {
        io.get_ref().is_some_and(|inner| matches!(inner.downcast_ref(), Some(rustls::Error::InvalidCertificate(_))))
    };
    all.into_iter()
        .any(|cause| cause.downcast_ref().is_some_and(is_tls) || cause.to_string() == "server does not support TLS")
}

fn causes(error: &dyn std::error::Error) -> String {
    let all = std::iter::successors(Some(error), |e| e.source()).map(|e| e.to_string());
    let mut said: Vec<String> = Vec::new();
    for cause in all {
        if !said.iter().any(|s| s.contains(&cause)) {
            said.push(cause);
        }
    }
    shown(&said.join(": "), SHOWN)
}

impl Fault {
    /// The server closed the connection without a word.
    pub(super) fn closed() -> Self {
        Fault::Lost("the server closed the connection".to_owned())
    }

    /// Whether the tables are not there yet.
    pub(super) fn is_no_table(&self) -> bool {
        matches!(self, Fault::Refused(state, _) if *state == SqlState::UNDEFINED_TABLE || *state == SqlState::INVALID_SCHEMA_NAME)
    }

    /// Whether the connection can't be used any more. PostgreSQL ends one with an error of the classes 08 and 57P.
    pub(super) fn ends_the_connection(&self) -> bool {
        match self {
            Fault::Lost(_) => true,
            Fault::Refused(state, _) => state.code().starts_with("08") || state.code().starts_with("57P"),
            Fault::Distrusted(_) | Fault::Other(_) => false,
        }
    }

    /// What the user is told.
    pub(super) fn into_error(self, url: &PostgresUrl) -> Error {
        let unavailable = |what: String| Error::new(Code::StoreUnavailable, format!("PostgreSQL at {url}: {what}"));
        match self {
            Fault::Other(error) => error,
            Fault::Distrusted(what) => unavailable(format!(
                "{what}; name the PEM file of the server's authority in store (sslrootcert=…), or, where nobody can listen on the \
                 way, leave TLS out with sslmode=disable"
            )),
            Fault::Lost(what) => unavailable(format!("{what}; nothing is lost; retry")),
            Fault::Refused(state, what) if state == SqlState::READ_ONLY_SQL_TRANSACTION => read_only(url, &what),
            Fault::Refused(state, what) if state == SqlState::INSUFFICIENT_PRIVILEGE => Error::option(
                "store",
                format!(
                    "PostgreSQL at {url} does not let this role work: {what}; let a role that may create tables run \
                     `npx --no mayfly migrate <its postgres:// URL>`, and grant what `npx --no mayfly migrate --print` prints"
                ),
            ),
            Fault::Refused(state, what) => {
                let advice = match state.code() {
                    "28P01" | "28000" => "check the user and the password in store",
                    "3D000" => "check the database's name in store",
                    "53300" => "it has no connection left: use the address of its pooler, or raise max_connections",
                    _ => "nothing is lost; retry",
                };
                unavailable(format!("{what} ({}); {advice}", state.code()))
            }
        }
    }
}

/// A standby, or a database that was made read-only.
pub(super) fn read_only(url: &PostgresUrl, what: &str) -> Error {
    Error::new(
        Code::StoreUnavailable,
        format!(
            "PostgreSQL at {url} takes no writes ({what}): it is a standby, whose rows may be old, or was made read-only; give the \
             address of the primary, or retry once the standby was promoted"
        ),
    )
}
