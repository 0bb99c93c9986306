//! What a link carried: connections, bytes and turns, counted when bytes leave their sender, before any delay.

use super::Direction;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A connection's count of one stretch of traffic. See [`super::Link::stats`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionStats {
    /// From the client to the server.
    pub bytes_up: u64,
    /// From the server to the client.
    pub bytes_down: u64,
    /// How often the speaker changed, the first word included: a request and its answer are two.
    pub turns: u32,
    /// How often the server spoke after the client: what a client waited for, if it waited for every answer.
    pub round_trips: u32,
    /// False when both ends are gone.
    pub open: bool,
}

/// What a link has carried since its start or the last [`super::Link::reset_stats`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// In the order of their arrival.
    pub connections: Vec<ConnectionStats>,
}

impl LinkStats {
    pub fn round_trips(&self) -> u32 {
        self.connections.iter().map(|c| c.round_trips).sum()
    }

    pub fn turns(&self) -> u32 {
        self.connections.iter().map(|c| c.turns).sum()
    }

    pub fn open(&self) -> usize {
        self.connections.iter().filter(|c| c.open).count()
    }
}

struct Count {
    stats: ConnectionStats,
    last: Option<Direction>,
}

/// The counter of one connection.
pub(super) struct Meter(Mutex<Count>);

impl Meter {
    fn read(&self) -> MutexGuard<'_, Count> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self, direction: Direction, bytes: usize) {
        let mut count = self.read();
        let turned = count.last != Some(direction);
        count.stats.turns += u32::from(turned);
        count.stats.round_trips += u32::from(turned && count.last == Some(Direction::Up));
        count.last = Some(direction);
        match direction {
            Direction::Up => count.stats.bytes_up += bytes as u64,
            Direction::Down => count.stats.bytes_down += bytes as u64,
        }
    }
}

/// The counters of a link's connections; clones share them.
#[derive(Clone, Default)]
pub(super) struct Meters(Arc<Mutex<Vec<Arc<Meter>>>>);

impl Meters {
    pub(super) fn stats(&self) -> LinkStats {
        LinkStats { connections: self.lock().iter().map(|m| m.read().stats.clone()).collect() }
    }

    /// Starts counting anew. Connections that are open stay in the list, at zero.
    pub(super) fn reset(&self) {
        let mut meters = self.lock();
        meters.retain(|m| m.read().stats.open);
        for meter in meters.iter() {
            *meter.read() = Count { stats: ConnectionStats { open: true, ..Default::default() }, last: None };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Meter>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For a connection that begins.
    pub(super) fn add(&self) -> OpenMeter {
        let stats = ConnectionStats { open: true, ..Default::default() };
        let meter = Arc::new(Meter(Mutex::new(Count { stats, last: None })));
        self.lock().push(meter.clone());
        OpenMeter(meter)
    }
}

/// Marks its connection closed when it goes, whatever way the connection's task ends.
pub(super) struct OpenMeter(pub(super) Arc<Meter>);

impl Drop for OpenMeter {
    fn drop(&mut self) {
        self.0.read().stats.open = false;
    }
}
