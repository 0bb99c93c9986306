//! Every Lightning message that a node sent or got, in order, on the machine's monotonic clock.
//!
//! LDK tells of its messages only in trace lines (`Enqueueing message …`, `Received message …`), so this reads those. The
//! clock is `CLOCK_MONOTONIC`, which is also Node.js' `process.hrtime`: a test can put its own instants between them.

use bitcoin::secp256k1::PublicKey;
use lightning::util::logger::{Level, Record};
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// A payment is about 12 messages; older ones fall out.
const KEPT: usize = 50_000;

/// Where a message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Handed to the connection.
    Sent,
    /// Read and decoded.
    Got,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Nanoseconds of `CLOCK_MONOTONIC`.
    pub ns: u64,
    /// Sent or got.
    pub direction: Direction,
    /// The other node's id.
    pub peer: Option<String>,
    /// The BOLT name (`update_add_htlc`); `lsps` for type 37913.
    #[serde(rename = "type")]
    pub kind: String,
    /// The channel (its temporary id before it is funded), if the message names one.
    pub channel_id: Option<String>,
}

/// The log; clones share it.
#[derive(Clone, Default)]
pub struct WireLog {
    entries: Arc<Mutex<VecDeque<Entry>>>,
}

impl WireLog {
    /// Looks at a record of LDK's logger.
    pub fn observe(&self, record: &Record) {
        if !matches!(record.level, Level::Trace | Level::Gossip) || !record.module_path.ends_with("peer_handler") {
            return;
        }
        if let Some(entry) = read_line(&record.args.to_string(), record.peer_id) {
            let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            if entries.len() == KEPT {
                entries.pop_front();
            }
            entries.push_back(entry);
        }
    }

    /// What came after that instant, oldest first.
    pub fn since(&self, ns: u64) -> Vec<Entry> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().filter(|entry| entry.ns > ns).cloned().collect()
    }
}

fn read_line(line: &str, peer: Option<PublicKey>) -> Option<Entry> {
    let (direction, debug) = match line.strip_prefix("Enqueueing message ") {
        Some(debug) => (Direction::Sent, debug),
        None => (Direction::Got, line.strip_prefix("Received message ")?),
    };
    // `Ping(Ping { … })` when received, `Ping { … }` when sent; ours is `Custom(LspsMessage(…))`.
    let name = debug.split(|c: char| !c.is_ascii_alphanumeric()).next()?;
    let kind = match name {
        "Custom" | "LspsMessage" => "lsps".to_owned(),
        name => bolt_name(name),
    };
    Some(Entry {
        ns: monotonic_ns(),
        direction,
        peer: peer.map(|id| id.to_string()),
        kind,
        channel_id: channel_of(debug),
    })
}

fn channel_of(debug: &str) -> Option<String> {
    let (_, after) = debug.split_once("channel_id: ")?;
    let id = after.get(..64)?;
    id.bytes().all(|b| b.is_ascii_hexdigit()).then(|| id.to_owned())
}

/// `UpdateAddHTLC` → `update_add_htlc`.
fn bolt_name(camel: &str) -> String {
    let mut name = String::with_capacity(camel.len() + 4);
    let mut after_lower = false;
    for c in camel.chars() {
        if c.is_ascii_uppercase() && after_lower {
            name.push('_');
        }
        after_lower = !c.is_ascii_uppercase();
        name.push(c.to_ascii_lowercase());
    }
    name
}

/// Nanoseconds of `CLOCK_MONOTONIC`: `Instant` is the same clock, and doesn't say its value.
pub fn monotonic_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live timespec, and this clock exists on every system that the lab runs on.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    (time.tv_sec as u64) * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_received_htlc_is_named_as_in_bolt_2_with_its_channel() {
        let id = "ab".repeat(32);
        let line = format!("Received message UpdateAddHTLC(UpdateAddHTLC {{ channel_id: {id}, htlc_id: 0 }}) from 02");
        let entry = read_line(&line, None).unwrap();
        assert_eq!((entry.kind.as_str(), entry.direction), ("update_add_htlc", Direction::Got));
        assert_eq!(entry.channel_id, Some(id));
    }

    #[test]
    fn names_with_acronyms_and_lsps_messages_are_read() {
        let name = |line: &str| read_line(line, None).map(|entry| entry.kind);
        assert_eq!(name("Enqueueing message RevokeAndACK { channel_id: 00 } to 02").unwrap(), "revoke_and_ack");
        assert_eq!(name("Enqueueing message LspsMessage(Some(\"{}\")) to 02").unwrap(), "lsps");
        assert_eq!(name("Received message Custom(LspsMessage(Some(\"{}\"))) from 02").unwrap(), "lsps");
        assert_eq!(name("Received message Ping(Ping { ponglen: 0 }) from 02").unwrap(), "ping");
        assert_eq!(name("Finished noise handshake for connection with 02"), None);
    }
}
