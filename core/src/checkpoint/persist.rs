//! LDK's `Persist`, which writes nothing: it remembers what the next cut must contain.

use crate::ldk::ChannelMonitor;
use lightning::chain::chainmonitor::Persist;
use lightning::chain::channelmonitor::ChannelMonitorUpdate;
use lightning::chain::ChannelMonitorUpdateStatus;
use lightning::ln::types::ChannelId;
use lightning::sign::InMemorySigner;
use lightning::util::persist::MonitorName;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// What happened to a monitor since the last cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It is new or changed; the cut encodes it as it then is.
    Changed(ChannelId),
    /// It is resolved for good and its row goes.
    Archived,
}

/// Monitors changed since the last cut, by row key.
///
/// Answers `Completed`: LDK goes on as if the update were durable, which is safe because every output waits at a gate. With
/// `InProgress` LDK would still send `funding_signed` before the commit, and a crash between leaves a channel stuck.
pub struct PersistQueue {
    changes: Mutex<BTreeMap<String, Change>>,
    wake: Arc<Notify>,
}

impl PersistQueue {
    /// An empty queue that notifies `wake` when something needs a commit.
    pub fn new(wake: Arc<Notify>) -> Self {
        PersistQueue { changes: Mutex::default(), wake }
    }

    /// Whether nothing changed since the last cut.
    pub fn is_empty(&self) -> bool {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    pub(super) fn take(&self) -> BTreeMap<String, Change> {
        std::mem::take(&mut *self.changes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn push(&self, name: &MonitorName, change: Change) {
        let key = format!("{}{name}", super::rows::MONITOR_PREFIX);
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).insert(key, change);
        self.wake.notify_one();
    }
}

impl Persist<InMemorySigner> for PersistQueue {
    fn persist_new_channel(&self, name: MonitorName, monitor: &ChannelMonitor) -> ChannelMonitorUpdateStatus {
        self.push(&name, Change::Changed(monitor.channel_id()));
        ChannelMonitorUpdateStatus::Completed
    }

    fn update_persisted_channel(
        &self,
        name: MonitorName,
        _update: Option<&ChannelMonitorUpdate>,
        monitor: &ChannelMonitor,
    ) -> ChannelMonitorUpdateStatus {
        self.push(&name, Change::Changed(monitor.channel_id()));
        ChannelMonitorUpdateStatus::Completed
    }

    fn archive_persisted_channel(&self, name: MonitorName) {
        self.push(&name, Change::Archived);
    }
}
