//! What one session cost: when it reached what, and what passed between it and the store, the chain and the LSP.
//!
//! Counted where it happens, read from any thread. Nothing is decided by these figures.

use crate::checkpoint::rows::DELTA_PREFIX;
use crate::store::Snapshot;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::Instant;

/// A step of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The lease is ours, rows and chain tip are here.
    Claimed,
    /// LDK has read the rows.
    Loaded,
    /// Loaded and brought to the chain's tip.
    Synced,
    /// `init` is exchanged with the LSP.
    Connected,
    /// The first payment is committed and told.
    Received,
    /// Nothing is held any more.
    Ended,
}

const PHASES: usize = 6;

/// The counters of one session.
#[derive(Debug)]
pub struct Stats {
    began: Instant,
    /// Microseconds since `began`, plus one; 0: not reached.
    phases: [AtomicU64; PHASES],
    epoch: AtomicU64,
    claim_us: AtomicU64,
    claim_attempts: AtomicU64,
    held_us: AtomicU64,
    store_round_trips: AtomicU64,
    rows_loaded: AtomicU64,
    deltas_loaded: AtomicU64,
    bytes_loaded: AtomicU64,
    commits: AtomicU64,
    commit_bytes: AtomicU64,
    commit_us: AtomicU64,
    longest_commit_us: AtomicU64,
    chain_requests: AtomicU64,
    chain_bytes: AtomicU64,
    lsp_connections: AtomicU64,
    lsp_refusals: AtomicU64,
    /// How often `init` was exchanged.
    lsp_handshakes: AtomicU64,
    lsp_round_trips: AtomicU64,
    lsp_sent: AtomicU64,
    lsp_received: AtomicU64,
    /// We spoke last.
    lsp_answers: AtomicBool,
}

/// The figures at one instant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// The lease's fencing token; 0 before the claim.
    pub epoch: u64,
    /// Microseconds from the session's beginning to each phase, in the order of [`Phase`]; `None`: not reached.
    pub phases_us: [Option<u64>; PHASES],
    /// Microseconds until the store gave the lease and the rows, waits for a held wallet included.
    pub claim_us: u64,
    /// How often the wallet was asked for.
    pub claim_attempts: u64,
    /// Microseconds between the attempts: another holder had the wallet.
    pub held_us: u64,
    /// Operations of the store, each one round trip.
    pub store_round_trips: u64,
    /// Rows that it gave.
    pub rows_loaded: u64,
    /// How many of them are updates of a monitor, of which there are at most fifty per channel.
    pub deltas_loaded: u64,
    /// Bytes of all of them, keys left out.
    pub bytes_loaded: u64,
    /// Transactions committed.
    pub commits: u64,
    /// Bytes of row values in them.
    pub commit_bytes: u64,
    /// Microseconds that they took together, repetitions included.
    pub commit_us: u64,
    /// Microseconds of the longest.
    pub longest_commit_us: u64,
    /// HTTP requests to Esplora.
    pub chain_requests: u64,
    /// Bytes of Esplora's answers.
    pub chain_bytes: u64,
    /// TCP connections to the LSP.
    pub lsp_connections: u64,
    /// Connections that the LSP ended before `init`, as it does while it believes in an earlier one of this wallet.
    pub lsp_refusals: u64,
    /// How often the LSP was connected again.
    pub lsp_reconnects: u64,
    /// How often the LSP spoke after we had.
    pub lsp_round_trips: u64,
    /// Bytes to the LSP.
    pub lsp_sent: u64,
    /// Bytes from the LSP.
    pub lsp_received: u64,
}

impl Stats {
    /// A session that begins now.
    pub fn new() -> Self {
        Stats {
            began: Instant::now(),
            phases: Default::default(),
            epoch: AtomicU64::new(0),
            claim_us: AtomicU64::new(0),
            claim_attempts: AtomicU64::new(0),
            held_us: AtomicU64::new(0),
            store_round_trips: AtomicU64::new(0),
            rows_loaded: AtomicU64::new(0),
            deltas_loaded: AtomicU64::new(0),
            bytes_loaded: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            commit_bytes: AtomicU64::new(0),
            commit_us: AtomicU64::new(0),
            longest_commit_us: AtomicU64::new(0),
            chain_requests: AtomicU64::new(0),
            chain_bytes: AtomicU64::new(0),
            lsp_connections: AtomicU64::new(0),
            lsp_refusals: AtomicU64::new(0),
            lsp_handshakes: AtomicU64::new(0),
            lsp_round_trips: AtomicU64::new(0),
            lsp_sent: AtomicU64::new(0),
            lsp_received: AtomicU64::new(0),
            lsp_answers: AtomicBool::new(false),
        }
    }

    /// A phase is reached; the first time counts.
    pub fn reached(&self, phase: Phase) {
        let us = micros(self.began.elapsed()).min(u64::MAX - 1);
        if let Some(slot) = self.phases.get(phase as usize) {
            let _ = slot.compare_exchange(0, us + 1, Relaxed, Relaxed);
        }
    }

    /// The lease was claimed and the rows were loaded, which took so long.
    pub fn claimed(&self, snapshot: &Snapshot, took: Duration) {
        let rows = &snapshot.rows;
        let deltas = rows.keys().filter(|key| key.starts_with(DELTA_PREFIX)).count();
        self.epoch.store(snapshot.position.epoch.0, Relaxed);
        self.claim_us.store(micros(took), Relaxed);
        self.rows_loaded.store(rows.len() as u64, Relaxed);
        self.deltas_loaded.store(deltas as u64, Relaxed);
        self.bytes_loaded.store(rows.values().map(Vec::len).sum::<usize>() as u64, Relaxed);
    }

    /// The store was asked for something.
    pub fn asked_store(&self) {
        self.store_round_trips.fetch_add(1, Relaxed);
    }

    /// The wallet was asked for; before that it was held by another for so long.
    pub fn asked_for_wallet(&self, held: Duration) {
        self.claim_attempts.fetch_add(1, Relaxed);
        self.held_us.fetch_add(micros(held), Relaxed);
    }

    /// A commit of so many bytes is written, which took so long.
    pub fn committed(&self, bytes: usize, took: Duration) {
        self.commits.fetch_add(1, Relaxed);
        self.commit_bytes.fetch_add(bytes as u64, Relaxed);
        self.commit_us.fetch_add(micros(took), Relaxed);
        self.longest_commit_us.fetch_max(micros(took), Relaxed);
    }

    /// A request goes to Esplora.
    pub fn asked_chain(&self) {
        self.chain_requests.fetch_add(1, Relaxed);
    }

    /// So many bytes of an answer came from Esplora.
    pub fn heard_chain(&self, bytes: usize) {
        self.chain_bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// TCP to the LSP stands.
    pub fn dialled_lsp(&self) {
        self.lsp_connections.fetch_add(1, Relaxed);
        self.lsp_answers.store(false, Relaxed);
    }

    /// `init` is exchanged with the LSP.
    pub fn connected_to_lsp(&self) {
        self.reached(Phase::Connected);
        self.lsp_handshakes.fetch_add(1, Relaxed);
    }

    /// The LSP ended a connection before `init`.
    pub fn refused_by_lsp(&self) {
        self.lsp_refusals.fetch_add(1, Relaxed);
    }

    /// So many bytes went to the LSP.
    pub fn told_lsp(&self, bytes: usize) {
        self.lsp_sent.fetch_add(bytes as u64, Relaxed);
        self.lsp_answers.store(true, Relaxed);
    }

    /// So many bytes came from the LSP.
    pub fn heard_lsp(&self, bytes: usize) {
        self.lsp_received.fetch_add(bytes as u64, Relaxed);
        if self.lsp_answers.swap(false, Relaxed) {
            self.lsp_round_trips.fetch_add(1, Relaxed);
        }
    }

    /// The figures now.
    pub fn figures(&self) -> Figures {
        let reached = |slot: &AtomicU64| slot.load(Relaxed).checked_sub(1);
        Figures {
            epoch: self.epoch.load(Relaxed),
            claim_us: self.claim_us.load(Relaxed),
            claim_attempts: self.claim_attempts.load(Relaxed),
            held_us: self.held_us.load(Relaxed),
            store_round_trips: self.store_round_trips.load(Relaxed),
            rows_loaded: self.rows_loaded.load(Relaxed),
            deltas_loaded: self.deltas_loaded.load(Relaxed),
            bytes_loaded: self.bytes_loaded.load(Relaxed),
            phases_us: self.phases.each_ref().map(reached),
            commits: self.commits.load(Relaxed),
            commit_bytes: self.commit_bytes.load(Relaxed),
            commit_us: self.commit_us.load(Relaxed),
            longest_commit_us: self.longest_commit_us.load(Relaxed),
            chain_requests: self.chain_requests.load(Relaxed),
            chain_bytes: self.chain_bytes.load(Relaxed),
            lsp_connections: self.lsp_connections.load(Relaxed),
            lsp_refusals: self.lsp_refusals.load(Relaxed),
            lsp_reconnects: self.lsp_handshakes.load(Relaxed).saturating_sub(1),
            lsp_round_trips: self.lsp_round_trips.load(Relaxed),
            lsp_sent: self.lsp_sent.load(Relaxed),
            lsp_received: self.lsp_received.load(Relaxed),
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl Default for Stats {
    fn default() -> Self {
        Stats::new()
    }
}
