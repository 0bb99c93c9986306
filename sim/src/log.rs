//! LDK's log of one run, for whoever looks into a failure: `--verbose`.

use crate::keys::Who;
use mayfly_core::log::LdkLog;
use std::sync::Arc;

/// The log of one side.
pub fn of(who: Who) -> Arc<LdkLog> {
    Arc::new(LdkLog::new(match who {
        Who::Wallet => "wallet",
        Who::Peer => "lsp",
    }))
}

/// From here on everything is shown on stderr.
pub fn show() {
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .without_time()
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
}
