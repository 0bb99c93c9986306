//! LDK's log lines as `tracing` events, so that one listener hears everything.

use lightning::util::logger::{Level, Logger, Record};

/// Sees every record before its level is looked at.
pub type Observer = Box<dyn Fn(&Record) + Send + Sync>;

/// Hands LDK's records to `tracing`, with the role of the node in them (`node`, or the lab's `lsp`, `payer`).
pub struct LdkLog {
    role: &'static str,
    observer: Option<Observer>,
}

impl LdkLog {
    /// A logger for a node of that role.
    pub fn new(role: &'static str) -> Self {
        LdkLog { role, observer: None }
    }

    /// The same, with someone who sees every record: LDK tells of each wire message only here.
    pub fn observed(role: &'static str, observer: Observer) -> Self {
        LdkLog { role, observer: Some(observer) }
    }
}

impl Logger for LdkLog {
    fn log(&self, record: Record) {
        if let Some(observer) = &self.observer {
            observer(&record);
        }
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
