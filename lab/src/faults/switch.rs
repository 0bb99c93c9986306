//! Which faults are on. They are set while traffic flows; every connection looks at them before each thing it does.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Where bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

impl Direction {
    pub(super) fn opposite(self) -> Self {
        match self {
            Direction::Up => Direction::Down,
            Direction::Down => Direction::Up,
        }
    }
}

/// The faults as a connection sees them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Now {
    /// One way.
    pub latency: Duration,
    /// On top of the latency: between nothing and this.
    jitter: Duration,
    jitter_seed: u64,
    pub black_hole: bool,
    dropped: Option<Direction>,
    pub reset: bool,
    /// Counts resets: a connection that sees another number than at its start is to be torn, also when the fault was
    /// lifted before its task ran.
    pub resets: u64,
    /// Counts half-opens, in the same way.
    pub half_opens: u64,
    /// The half-opens up to this number are lifted.
    pub half_opens_lifted: u64,
}

impl Now {
    pub fn passes(&self, direction: Direction) -> bool {
        !self.black_hole && self.dropped != Some(direction)
    }

    /// What that parcel takes beside the latency: the same for the same seed.
    pub fn jitter_of(&self, connection: u64, direction: Direction, parcel: u64) -> Duration {
        let most = u64::try_from(self.jitter.as_micros()).unwrap_or(u64::MAX - 1).min(u64::MAX - 1);
        let way = connection << 1 | u64::from(direction == Direction::Down);
        let drawn = [way, parcel].into_iter().fold(self.jitter_seed, |state, next| mixed(state ^ mixed(next)));
        Duration::from_micros(drawn % (most + 1))
    }
}

/// SplitMix64: one step scatters any number over all of 64 bits.
fn mixed(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// The faults of one link, or of several; clones share them.
#[derive(Clone)]
pub struct Faults(Arc<watch::Sender<Now>>);

impl Default for Faults {
    fn default() -> Self {
        Faults(Arc::new(watch::Sender::new(Now::default())))
    }
}

impl Faults {
    pub(super) fn subscribe(&self) -> watch::Receiver<Now> {
        self.0.subscribe()
    }

    /// Delays each direction by this much: a round trip costs twice that. Bytes that are under way keep their delay.
    /// The timer is tokio's: an arrival is late by up to about a millisecond, never early.
    pub fn set_latency(&self, one_way: Duration) {
        self.0.send_modify(|now| now.latency = one_way);
    }

    /// The same in milliseconds.
    pub fn set_latency_ms(&self, one_way_ms: u64) {
        self.set_latency(Duration::from_millis(one_way_ms));
    }

    /// Delays each read's bytes by up to this much more, at random. Order is kept: what was sent later waits for what was
    /// sent before, as in a TCP stream.
    pub fn set_jitter(&self, most: Duration) {
        self.0.send_modify(|now| now.jitter = most);
    }

    /// Where the jitter's delays come from: the same seed gives the n-th parcel of a connection the same delay. 0 at first.
    pub fn set_jitter_seed(&self, seed: u64) {
        self.0.send_modify(|now| now.jitter_seed = seed);
    }

    /// Starts or ends the black hole. A write that is in the kernel already may still arrive.
    pub fn set_black_hole(&self, on: bool) {
        self.0.send_modify(|now| now.black_hole = on);
    }

    /// Loses what goes in that direction, and lets the other one flow; `None` lets both.
    pub fn set_drop(&self, direction: Option<Direction>) {
        self.0.send_modify(|now| now.dropped = direction);
    }

    /// Resets all connections and, while it is on, every new one. Turning it off brings no connection back.
    pub fn set_reset(&self, on: bool) {
        self.0.send_modify(|now| {
            now.reset = on;
            now.resets += u64::from(on);
        });
    }

    /// On: all connections that exist now are half-open from here on; later ones are not. Off: those are torn.
    pub fn set_half_open(&self, on: bool) {
        self.0.send_modify(|now| match on {
            true => now.half_opens += 1,
            false => now.half_opens_lifted = now.half_opens,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(seed: u64, most_ms: u64) -> Vec<Duration> {
        let now = Now { jitter: Duration::from_millis(most_ms), jitter_seed: seed, ..Now::default() };
        let parcels = |direction| (0..50).map(move |parcel| now.jitter_of(3, direction, parcel));
        parcels(Direction::Up).chain(parcels(Direction::Down)).collect()
    }

    #[test]
    fn jitter_is_the_same_for_the_same_seed_and_spread_between_nothing_and_its_most() {
        assert_eq!(drawn(7, 100), drawn(7, 100));
        assert_ne!(drawn(7, 100), drawn(8, 100));
        let drawn = drawn(7, 100);
        assert!(drawn.iter().all(|delay| *delay <= Duration::from_millis(100)));
        assert!(drawn.iter().any(|delay| *delay < Duration::from_millis(20)));
        assert!(drawn.iter().any(|delay| *delay > Duration::from_millis(80)));
    }

    #[test]
    fn without_jitter_nothing_is_added() {
        assert!(drawn(7, 0).iter().all(Duration::is_zero));
    }
}
