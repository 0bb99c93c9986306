//! LDK's log lines as `tracing` events, so that one listener hears everything.

use lightning::util::logger::{Level, Logger, Record};

/// Hands LDK's records to `tracing`, with the role of the node in them (`node`, or the lab's `lsp`, `payer`).
pub struct LdkLog {
    role: &'static str,
}

impl LdkLog {
    /// A logger for a node of that role.
    pub fn new(role: &'static str) -> Self {
        LdkLog { role }
    }
}

impl Logger for LdkLog {
    fn log(&self, record: Record) {
        let (role, module) = (self.role, record.module_path);
        match record.level {
            Level::Gossip | Level::Trace => tracing::trace!(target: "ldk", role, module, "{}", record.args),
            Level::Debug => tracing::debug!(target: "ldk", role, module, "{}", record.args),
            Level::Info => tracing::info!(target: "ldk", role, module, "{}", record.args),
            Level::Warn => tracing::warn!(target: "ldk", role, module, "{}", record.args),
            Level::Error => tracing::error!(target: "ldk", role, module, "{}", record.args),
        }
    }
}
