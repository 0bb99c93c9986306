//! Names and sockets.
//!
//! What must hold: nothing here uses tokio's blocking pool, and whatever is started lives on the runtime of the caller and
//! dies with it. `destroy()` joins that runtime's thread, so a `getaddrinfo` stuck on a pool thread would hold it up.

pub mod dns;
pub mod peer_socket;
pub mod tcp;

use crate::error::{Code, Error};
use std::fmt;

/// Why a host could not be reached. Which service it was, and so which code JavaScript sees, only the caller knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetError {
    /// The name has no address, or nobody could be asked for one.
    Resolve {
        /// The name.
        host: String,
        /// What went wrong.
        reason: String,
    },
    /// No address of the host took the connection.
    Connect {
        /// The name or address.
        host: String,
        /// The TCP port.
        port: u16,
        /// What went wrong, for each address that was tried.
        reason: String,
    },
}

impl NetError {
    /// The error of the service that was to be reached.
    pub fn into_error(self, code: Code) -> Error {
        Error::new(code, self.to_string())
    }
}

impl fmt::Display for NetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NetError::Resolve { host, reason } => write!(f, "can't resolve '{host}': {reason}"),
            NetError::Connect { host, port, reason } => write!(f, "can't connect to {host} port {port}: {reason}"),
        }
    }
}

impl std::error::Error for NetError {}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
mod socket_tests;
#[cfg(test)]
mod tests;
