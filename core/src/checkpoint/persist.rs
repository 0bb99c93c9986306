//! LDK's `Persist`, which writes nothing: it remembers what the next cut must contain.

use crate::ldk::ChannelMonitor;
use lightning::chain::chainmonitor::Persist;
use lightning::chain::channelmonitor::ChannelMonitorUpdate;
use lightning::chain::ChannelMonitorUpdateStatus;
use lightning::ln::types::ChannelId;
use lightning::sign::InMemorySigner;
use lightning::util::persist::MonitorName;
use lightning::util::ser::Writeable;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// What happened to a monitor since the last cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// It is new, or changed in a way that no update tells (the chain; an update that LDK refused): the cut writes it as it
    /// then is.
    Whole(ChannelId),
    /// These updates, in their order.
    Updates(ChannelId, Vec<Delta>),
    /// It is resolved for good and its rows go.
    Archived,
}

/// An update of a monitor, encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delta {
    pub id: u64,
    pub bytes: Vec<u8>,
}

/// Monitors changed since the last cut, by name.
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
        self.changes().is_empty()
    }

    pub(super) fn take(&self) -> BTreeMap<String, Change> {
        std::mem::take(&mut *self.changes())
    }

    fn push(&self, name: &MonitorName, change: Change) {
        self.changes().insert(name.to_string(), change);
        self.wake.notify_one();
    }

    /// A monitor that the cut writes whole needs no update beside it.
    fn push_update(&self, name: &MonitorName, channel: ChannelId, update: &ChannelMonitorUpdate) {
        let mut changes = self.changes();
        let change = changes.entry(name.to_string()).or_insert_with(|| Change::Updates(channel, Vec::new()));
        if let Change::Updates(_, deltas) = change {
            deltas.push(Delta { id: update.update_id, bytes: update.encode() });
        }
        drop(changes);
        self.wake.notify_one();
    }

    fn changes(&self) -> MutexGuard<'_, BTreeMap<String, Change>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Persist<InMemorySigner> for PersistQueue {
    fn persist_new_channel(&self, name: MonitorName, monitor: &ChannelMonitor) -> ChannelMonitorUpdateStatus {
        self.push(&name, Change::Whole(monitor.channel_id()));
        ChannelMonitorUpdateStatus::Completed
    }

    fn update_persisted_channel(
        &self,
        name: MonitorName,
        update: Option<&ChannelMonitorUpdate>,
        monitor: &ChannelMonitor,
    ) -> ChannelMonitorUpdateStatus {
        match update {
            Some(update) => self.push_update(&name, monitor.channel_id(), update),
            None => self.push(&name, Change::Whole(monitor.channel_id())),
        }
        ChannelMonitorUpdateStatus::Completed
    }

    fn archive_persisted_channel(&self, name: MonitorName) {
        self.push(&name, Change::Archived);
    }
}
