//! Monitors in the store: one row with the whole of each, and one row per update since.
//!
//! LDK's monitor keeps 131 bytes of every commitment that was ever revoked: 137 KB after 1,000 payments, and it changes about
//! five times per payment. An update says the same in less than a kilobyte. So a cut writes the updates as deltas, and the
//! whole only when it must, or when nothing on the wire waits for the commit and it is worth it.
//!
//! What must hold: the deltas of a monitor are those that follow its whole row, each once, without a gap, and never more than
//! [`MOST_DELTAS`]; whole rows and deltas are written and deleted in the transaction of their cut. LDK panics on an update out
//! of order, so the order is checked before anything is applied.
//!
//! What fails how: `STATE_CORRUPT` for rows that do not fit, nothing sent or changed. What LDK would publish because of a
//! replayed update waits at the gate for a commit, as everything does.
//!
//! The chain is in no delta. A monitor that was loaded knows the blocks that its whole row knew, and is told again what came
//! after: LDK's own contract.

use super::persist::{Change, Delta};
use super::rows::{corrupt_row, loaded, DELTA_PREFIX, MONITOR_PREFIX};
use crate::error::{Code, Error, Result};
use crate::ldk::{ChainMonitor, ChannelMonitor};
use crate::onchain::Signer;
use crate::store::{Batch, Rows};
use bitcoin::BlockHash;
use lightning::chain::chainmonitor::LockedChannelMonitor;
use lightning::chain::channelmonitor::ChannelMonitorUpdate;
use lightning::ln::types::ChannelId;
use lightning::sign::InMemorySigner;
use lightning::util::ser::{Readable, ReadableArgs, Writeable};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// The most deltas that a boot reads of one monitor: some 35 KB, replayed within milliseconds.
pub(super) const MOST_DELTAS: u64 = 50;

/// From here on a cut that nothing on the wire waits for writes the monitor whole, so that hardly any other has to: a payment
/// ends with such a cut, and is about five updates.
pub(super) const MANY_DELTAS: u64 = MOST_DELTAS - 10;

/// Wide enough for every `u64`, so that rows sort as their numbers do.
const ID_DIGITS: usize = 20;

/// What the store holds of every monitor.
#[derive(Default)]
pub(super) struct MonitorRows {
    stored: Mutex<BTreeMap<String, Stored>>,
}

/// What the store holds of one monitor.
pub(super) struct Stored {
    channel: ChannelId,
    /// The updates that lie beside the whole row; an empty range begins at the next update.
    deltas: Range<u64>,
    /// The best block of the whole row.
    block: BlockHash,
}

impl Stored {
    fn of(monitor: &ChannelMonitor) -> Self {
        let next = monitor.get_latest_update_id().saturating_add(1);
        Stored { channel: monitor.channel_id(), deltas: next..next, block: monitor.current_best_block().block_hash }
    }

    fn count(&self) -> u64 {
        self.deltas.end - self.deltas.start
    }

    /// Whether these can lie beside those that are there.
    fn takes(&self, new: &[Delta]) -> bool {
        let in_order = new.iter().zip(self.deltas.end..).all(|(delta, id)| delta.id == id);
        in_order && self.count().saturating_add(new.len() as u64) <= MOST_DELTAS
    }

    /// Whether the next boot gains by a whole row: fewer deltas, or no look-up of what the chain did since.
    fn is_worth_renewing(&self, monitor: &ChannelMonitor) -> bool {
        let is_behind = self.block != monitor.current_best_block().block_hash;
        self.count() > MANY_DELTAS || self.count() > 0 && is_behind
    }
}

impl MonitorRows {
    /// What a load found.
    pub fn remember(&self, name: &str, stored: Stored) {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), stored);
    }

    /// Writes what changed into a cut. `quiet`: nothing on the wire waits for its commit.
    pub fn stage(
        &self,
        batch: &mut Batch,
        changes: BTreeMap<String, Change>,
        quiet: bool,
        monitors: &ChainMonitor,
    ) -> Result<()> {
        let mut all = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, change) in changes {
            match (change, all.get_mut(&name)) {
                (Change::Archived, stored) => {
                    delete_deltas(batch, &name, stored.as_deref());
                    batch.delete(monitor_key(&name));
                    all.remove(&name);
                }
                (Change::Updates(_, deltas), Some(stored)) if stored.takes(&deltas) => {
                    stored.deltas.end += deltas.len() as u64;
                    deltas.into_iter().for_each(|delta| batch.put(delta_key(&name, delta.id), delta.bytes));
                }
                (Change::Whole(channel) | Change::Updates(channel, _), stored) => {
                    delete_deltas(batch, &name, stored.as_deref());
                    let monitor = monitor(monitors, channel)?;
                    batch.put(monitor_key(&name), monitor.encode());
                    all.insert(name, Stored::of(&monitor));
                }
            }
        }
        for (name, stored) in all.iter_mut().filter(|(_, stored)| quiet && stored.count() > 0) {
            let monitor = monitor(monitors, stored.channel)?;
            if stored.is_worth_renewing(&monitor) {
                delete_deltas(batch, name, Some(stored));
                batch.put(monitor_key(name), monitor.encode());
                *stored = Stored::of(&monitor);
            }
        }
        Ok(())
    }
}

fn monitor(monitors: &ChainMonitor, channel: ChannelId) -> Result<LockedChannelMonitor<'_, InMemorySigner>> {
    let lost = || Error::new(Code::Internal, format!("channel {channel} changed and has no monitor"));
    monitors.get_monitor(channel).map_err(|()| lost())
}

fn delete_deltas(batch: &mut Batch, name: &str, stored: Option<&Stored>) {
    let ids = stored.map(|stored| stored.deltas.clone()).into_iter().flatten();
    ids.for_each(|id| batch.delete(delta_key(name, id)));
}

/// A monitor as its row has it, and the updates to apply to it, in order and of this channel.
pub(super) struct Found {
    pub monitor: ChannelMonitor,
    /// Each with its row's key.
    pub updates: Vec<(String, ChannelMonitorUpdate)>,
    pub stored: Stored,
}

/// Reads the monitor of that row and its deltas.
pub(super) fn read(rows: &Rows, key: &str, bytes: &[u8], keys: &Signer) -> Result<Found> {
    let name = name_of(key);
    let mut bytes = bytes;
    let (_, monitor) = loaded(key, || <(BlockHash, ChannelMonitor)>::read(&mut bytes, (keys, keys)))?;
    if monitor.persistence_key().to_string() != name {
        return Err(corrupt_row(key, "it is another channel's"));
    }
    let mut stored = Stored::of(&monitor);
    let mut updates = Vec::new();
    for (key, bytes) in deltas_of(rows, name) {
        let id = stored.deltas.end;
        if *key != delta_key(name, id) {
            return Err(corrupt_row(key, &format!("update {id} is to come next")));
        }
        let mut bytes = bytes.as_slice();
        let update = loaded(key, || ChannelMonitorUpdate::read(&mut bytes))?;
        if update.update_id != id || update.channel_id != Some(stored.channel) || !bytes.is_empty() {
            return Err(corrupt_row(key, "it is another update"));
        }
        updates.push((key.clone(), update));
        stored.deltas.end = id.checked_add(1).ok_or_else(|| corrupt_row(key, "no update can follow it"))?;
    }
    Ok(Found { monitor, updates, stored })
}

/// The keys of a monitor's rows, its own first.
pub(super) fn keys_of(rows: &Rows, key: &str) -> Vec<String> {
    let deltas = deltas_of(rows, name_of(key)).map(|(key, _)| key.clone());
    std::iter::once(key.to_owned()).chain(deltas).collect()
}

/// Deltas whose monitor's row is not there.
pub(super) fn orphans(rows: &Rows) -> Vec<String> {
    let deltas = with_prefix(rows, DELTA_PREFIX.to_owned()).map(|(key, _)| key);
    let has_monitor = |key: &str| {
        let (name, _) = key.strip_prefix(DELTA_PREFIX).unwrap_or(key).rsplit_once('/').unwrap_or_default();
        rows.contains_key(&monitor_key(name))
    };
    deltas.filter(|key| !has_monitor(key)).cloned().collect()
}

fn deltas_of<'a>(rows: &'a Rows, name: &str) -> impl Iterator<Item = (&'a String, &'a Vec<u8>)> {
    with_prefix(rows, format!("{DELTA_PREFIX}{name}/"))
}

fn with_prefix(rows: &Rows, prefix: String) -> impl Iterator<Item = (&String, &Vec<u8>)> {
    rows.range(prefix.clone()..).take_while(move |(key, _)| key.starts_with(&prefix))
}

fn name_of(key: &str) -> &str {
    key.strip_prefix(MONITOR_PREFIX).unwrap_or(key)
}

fn monitor_key(name: &str) -> String {
    format!("{MONITOR_PREFIX}{name}")
}

fn delta_key(name: &str, id: u64) -> String {
    format!("{DELTA_PREFIX}{name}/{id:0ID_DIGITS$}")
}
