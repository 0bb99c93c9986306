//! The one error of the project, grouped by what the caller does next.
//!
//! JavaScript sees it as `MdkError`: `code`, `retryable`, and where they help `option`, `retryAfterMs` and `holder`.
//! Messages say what was wrong, with which value (never a secret), and what to do next; they are not API.

use crate::clock::iso8601;
use std::fmt;
use std::time::Duration;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller does next. The names are API: `code()` is what JavaScript compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// An option is wrong; nothing happened.
    InvalidOption,
    /// An argument is wrong; nothing happened.
    InvalidArgument,
    /// Another holder is live.
    WalletLocked,
    /// A newer holder took the wallet: this node is over.
    Fenced,
    /// Called after, or waiting during, `destroy()`.
    NodeDestroyed,
    /// The caller's signal fired.
    Aborted,
    /// The caller's deadline passed.
    Timeout,
    /// The store is down.
    StoreUnavailable,
    /// The LSP is down, or refuses a second connection.
    LspUnavailable,
    /// Esplora is down.
    ChainUnavailable,
    /// The LSP said no.
    LspRejected,
    /// The store's content does not load, is older than what the peer knows, or is missing.
    StateCorrupt,
    /// What is there is too little.
    InsufficientFunds,
    /// A caught panic: our bug.
    Internal,
}

impl Code {
    /// Every code, in the order of the table in the docs.
    pub const ALL: [Code; 14] = [
        Code::InvalidOption,
        Code::InvalidArgument,
        Code::WalletLocked,
        Code::Fenced,
        Code::NodeDestroyed,
        Code::Aborted,
        Code::Timeout,
        Code::StoreUnavailable,
        Code::LspUnavailable,
        Code::ChainUnavailable,
        Code::LspRejected,
        Code::StateCorrupt,
        Code::InsufficientFunds,
        Code::Internal,
    ];

    /// The code as JavaScript sees it.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::InvalidOption => "INVALID_OPTION",
            Code::InvalidArgument => "INVALID_ARGUMENT",
            Code::WalletLocked => "WALLET_LOCKED",
            Code::Fenced => "FENCED",
            Code::NodeDestroyed => "NODE_DESTROYED",
            Code::Aborted => "ABORTED",
            Code::Timeout => "TIMEOUT",
            Code::StoreUnavailable => "STORE_UNAVAILABLE",
            Code::LspUnavailable => "LSP_UNAVAILABLE",
            Code::ChainUnavailable => "CHAIN_UNAVAILABLE",
            Code::LspRejected => "LSP_REJECTED",
            Code::StateCorrupt => "STATE_CORRUPT",
            Code::InsufficientFunds => "INSUFFICIENT_FUNDS",
            Code::Internal => "INTERNAL",
        }
    }

    /// Whether the same call may succeed later without anyone changing anything.
    pub fn retryable(self) -> bool {
        matches!(
            self,
            Code::WalletLocked | Code::Timeout | Code::StoreUnavailable | Code::LspUnavailable | Code::ChainUnavailable
        )
    }
}

/// Who holds a wallet, as far as the store knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Process id on its host.
    pub pid: Option<u32>,
    /// Host name.
    pub host: Option<String>,
    /// When it took the wallet, in milliseconds since 1970 by the store's clock.
    pub since_ms: u64,
    /// Its epoch.
    pub epoch: u64,
}

/// A failure with its code and what helps the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What the caller does next.
    pub code: Code,
    /// For humans: what was wrong, and the next step.
    pub message: String,
    /// The option or argument that was wrong.
    pub option: Option<String>,
    /// When a retry has a chance.
    pub retry_after: Option<Duration>,
    /// Who holds the wallet.
    pub holder: Option<Holder>,
}

impl Error {
    /// An error with a code and a message.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Error { code, message: message.into(), option: None, retry_after: None, holder: None }
    }

    /// `INVALID_OPTION` for the option of that name.
    pub fn option(name: &str, message: impl Into<String>) -> Self {
        Error { option: Some(name.to_owned()), ..Error::new(Code::InvalidOption, message) }
    }

    /// `INVALID_ARGUMENT` for the argument of that name.
    pub fn argument(name: &str, message: impl Into<String>) -> Self {
        Error { option: Some(name.to_owned()), ..Error::new(Code::InvalidArgument, message) }
    }

    /// `WALLET_LOCKED` with what is known of the holder.
    pub fn locked(holder: Option<Holder>, retry_after: Duration) -> Self {
        let who = match &holder {
            Some(Holder { pid: Some(pid), host, since_ms, .. }) => {
                let host = host.as_deref().map(|h| format!(" (on {h})")).unwrap_or_default();
                format!("pid {pid} since {}{host}", iso8601(*since_ms))
            }
            _ => "another process".to_owned(),
        };
        Error {
            retry_after: Some(retry_after),
            message: format!("the wallet is locked by {who}; in a webhook handler answer 200 (the holder receives the payment), else retry"),
            holder,
            ..Error::new(Code::WalletLocked, "")
        }
    }

    /// `NODE_DESTROYED`.
    pub fn destroyed() -> Self {
        Error::new(Code::NodeDestroyed, "the node was destroyed; make a new MdkNode")
    }

    /// `FENCED`.
    pub fn fenced() -> Self {
        Error::new(
            Code::Fenced,
            "a newer holder took this wallet: this node is over for ever; destroy it and make a new MdkNode",
        )
    }
}

/// The beginning of a text that somebody else wrote, fit for a message: on one line, bounded, and without characters that do
/// something to whoever reads it (control characters, changes of direction).
pub(crate) fn shown(text: &str, most: usize) -> String {
    let escaped = |c: char| match c {
        '"' | '\'' | '\\' => c.to_string(),
        c => c.escape_debug().to_string(),
    };
    let more = if text.chars().nth(most).is_some() { "…" } else { "" };
    text.chars().take(most).map(escaped).collect::<String>() + more
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
