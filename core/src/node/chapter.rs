//! A session as whoever watches sees it: one span, whose labels stand on all that is told meanwhile, and whose end says how it went
//! and what it cost.

use super::resident::Resident;
use crate::error::{Error, Result};
use crate::log::{note, phase, SESSION};
use crate::stats::Stats;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use tracing::field::Empty;
use tracing::Span;

/// How many sessions this process has had: with the epoch, it tells two of them apart.
static SESSIONS: AtomicU64 = AtomicU64::new(0);

/// A session's span, with what its end needs.
pub(super) struct Chapter {
    span: Span,
    stats: Arc<Stats>,
}

impl Chapter {
    /// A session of that wallet begins.
    pub fn new(resident: &Resident, stats: Arc<Stats>) -> Self {
        let number = SESSIONS.fetch_add(1, Ordering::Relaxed) + 1;
        let span = phase!(
            target: "mayfly::node",
            INFO,
            SESSION,
            session = number,
            epoch = Empty,
            node_id = resident.keys().map(|keys| keys.node_id().to_string()).unwrap_or_default(),
            claim_ms = Empty,
            commits = Empty,
            commit_bytes = Empty,
            store_round_trips = Empty,
            chain_requests = Empty,
            lsp_round_trips = Empty,
            lsp_reconnects = Empty,
        );
        Chapter { span, stats }
    }

    /// What happens in the session happens in this.
    pub fn span(&self) -> Span {
        self.span.clone()
    }

    /// It is over; `None`: given up before it began to serve.
    pub fn close(self, result: Option<&Result<()>>) {
        if self.span.is_disabled() {
            return;
        }
        let figures = self.stats.figures();
        self.span
            .record("claim_ms", figures.claim_us as f64 / 1_000.0)
            .record("commits", figures.commits)
            .record("commit_bytes", figures.commit_bytes)
            .record("store_round_trips", figures.store_round_trips)
            .record("chain_requests", figures.chain_requests)
            .record("lsp_round_trips", figures.lsp_round_trips)
            .record("lsp_reconnects", figures.lsp_reconnects);
        if let Some(result) = result {
            note(&self.span, result);
        }
    }

    /// `destroy()` ended it.
    pub fn cut_short(self) {
        self.close(Some(&Err(Error::destroyed())));
    }
}
