//! Who has unfinished HTLCs and does nothing about them: the two cures that LSPs of this kind lack, as options.
//!
//! A forwarded HTLC is not held any more: nothing expires it but its CLTV, and no webhook comes again. So both cures look at
//! held *and* forwarded ones:
//! * `rewake`: the client disconnected with some unfinished → wake it again;
//! * progress deadline: it is connected, yet nothing moves (a frozen predecessor's socket) → disconnect and wake.

use bitcoin::secp256k1::PublicKey;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// A client's unfinished HTLCs, and what else would change if it did something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Work {
    /// Payment hashes, held and forwarded.
    pub payment_hashes: Vec<[u8; 32]>,
    /// Held ones, channels, usable channels.
    pub state: (usize, usize, usize),
}

/// Since when each client's work looks as it does.
#[derive(Default)]
pub struct Progress {
    since: BTreeMap<PublicKey, (Instant, Work)>,
}

impl Progress {
    /// Takes note of the work of all connected clients; returns those whose work has not moved for `deadline`, once each.
    pub fn stalled(&mut self, now: Instant, work: BTreeMap<PublicKey, Work>, deadline: Duration) -> Vec<PublicKey> {
        self.since.retain(|client, (_, seen)| work.get(client) == Some(seen));
        for (client, work) in work {
            self.since.entry(client).or_insert((now, work));
        }
        let late = |(client, (since, _)): (&PublicKey, &(Instant, Work))| (now >= *since + deadline).then_some(*client);
        let stalled: Vec<PublicKey> = self.since.iter().filter_map(late).collect();
        for client in &stalled {
            self.since.remove(client);
        }
        stalled
    }

    /// When the next one is late.
    pub fn next(&self, deadline: Duration) -> Option<Instant> {
        self.since.values().map(|(since, _)| *since + deadline).min()
    }
}
