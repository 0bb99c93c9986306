//! `watch()`: what a cron calls, so that nothing is lost while nobody pays. Claim, follow the chain, act on it, release.
//!
//! What the chain asks for (claims, penalties, their repetition) is done without the LSP. The LSP is called only when something
//! needs it: a payment whose preimage it has not heard, or a commitment of ours that waits for its word. Its absence never fails a
//! watch: the report says so, and `patience.rs` says how long it is waited for.
//!
//! A node that runs already looks at the chain once more and goes on running.

use super::command::Pending;
use super::session::{Contact, Session};
use super::waiting::Waiting;
use crate::error::{Code, Error, Result};
use crate::log::{note, phase};
use crate::wallet::view::{Balance, Summary, WakeBy};
use bitcoin::Txid;
use std::time::Duration;
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::Span;

/// What a watch found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchReport {
    /// The chain's height that the wallet followed it to.
    pub height: u32,
    /// From the call to the report.
    pub duration: Duration,
    /// What became of the LSP.
    pub lsp: Contact,
    /// Channels that are closed and were not when the wallet was last saved, by id in hex.
    pub closed_channels: Vec<String>,
    /// Transactions that the network took.
    pub sent: Vec<Txid>,
    /// Those that it did not take, or that did not reach it; the next watch tries again.
    pub unsent: Vec<Txid>,
    /// What the wallet owns.
    pub balance: Balance,
    /// Something is at stake: run again before it.
    pub wake_by: Option<WakeBy>,
    /// Run again before it in any case.
    pub next_by: Option<WakeBy>,
}

/// A caller of `watch()`.
pub(super) struct Watch {
    pub pending: Pending<WatchReport>,
    called: Instant,
    /// Until when the LSP is waited for.
    until: Instant,
    /// What was known when it began to look: that of the session that began for it, or of then.
    seen: Option<Seen>,
    /// The LSP is needed and may still come.
    pub wants_lsp: bool,
    /// There is nothing more to do.
    pub settled: bool,
    report: Option<WatchReport>,
    span: Span,
}

/// What a watch is compared with.
struct Seen {
    channels: Vec<String>,
    broadcasts: usize,
}

impl Watch {
    pub fn new(pending: Pending<WatchReport>, until: Instant) -> Self {
        let called = Instant::now();
        let span = phase!(target: "mayfly::node", INFO, "watch", height = Empty, lsp = Empty, closed_channels = Empty, sent = Empty, unsent = Empty);
        Watch { pending, called, until, seen: None, wants_lsp: false, settled: false, report: None, span }
    }

    /// Looks how far it is. True: the chain must be followed (again) for it.
    pub fn attend(&mut self, session: &Session) -> bool {
        let fresh = session.followed >= self.called;
        let seen = self.seen.get_or_insert_with(|| Seen::of(session, fresh));
        let may_come = Instant::now() < self.until && session.contact != Contact::Unreachable;
        self.wants_lsp = fresh && may_come && session.needs_lsp();
        self.settled = fresh && !self.wants_lsp && session.tending.is_done() && session.broadcasts.is_empty();
        self.report = self.settled.then(|| report(session, seen, self.called));
        !fresh
    }

    pub fn until(&self) -> Instant {
        self.until
    }

    /// Answers what is settled; `ended` is how the session did.
    pub fn answer(self, ended: &Result<()>) {
        let report = self.report.ok_or_else(|| Error::new(Code::Aborted, "stop() was called"));
        let answer = ended.clone().and(report);
        if let Ok(report) = &answer {
            self.span
                .record("height", report.height)
                .record("lsp", report.lsp.as_str())
                .record("closed_channels", report.closed_channels.len())
                .record("sent", report.sent.len())
                .record("unsent", report.unsent.len());
        }
        note(&self.span, &answer);
        self.pending.send(answer);
    }

    /// Answers with an error.
    pub fn fail(self, error: Error) {
        let answer = Err(error);
        note(&self.span, &answer);
        self.pending.send(answer);
    }
}

/// Looks after all who watch, and answers them when there is nothing more to do, if the session `stays`: else at its end. True: the
/// chain must be followed (again).
pub(super) fn attend(session: &Session, waiting: &mut Waiting, stays: bool) -> bool {
    let mut follow = false;
    for watch in &mut waiting.watches {
        follow |= watch.attend(session);
    }
    if stays {
        let (settled, others) = waiting.watches.drain(..).partition(|watch| watch.settled);
        waiting.watches = others;
        Vec::<Watch>::into_iter(settled).for_each(|watch| watch.answer(&Ok(())));
    }
    follow
}

/// The chain could not be followed for those who wait for that.
pub(super) fn chain_failed(session: &Session, waiting: &mut Waiting, error: &Error) {
    let (failed, others) = waiting.watches.drain(..).partition(|watch| session.followed < watch.called);
    waiting.watches = others;
    Vec::<Watch>::into_iter(failed).for_each(|watch| watch.fail(error.clone()));
}

impl Seen {
    /// Of a session that began for this watch: what was committed before it. Of an earlier one: what it knows now.
    fn of(session: &Session, began_for_it: bool) -> Self {
        if began_for_it {
            return Seen { channels: ids(&session.loaded_as), broadcasts: 0 };
        }
        Seen { channels: ids(&session.wallet.summary()), broadcasts: session.published.len() }
    }
}

fn ids(summary: &Summary) -> Vec<String> {
    summary.channels.iter().map(|channel| channel.channel_id.clone()).collect()
}

fn report(session: &Session, seen: &Seen, called: Instant) -> WatchReport {
    let now = session.wallet.summary();
    let open = ids(&now);
    let broadcasts = || session.published.iter().skip(seen.broadcasts);
    let with = |sent: bool| broadcasts().filter(|(_, took)| *took == sent).map(|(txid, _)| *txid).collect();
    WatchReport {
        height: now.height,
        duration: called.elapsed(),
        lsp: session.contact,
        closed_channels: seen.channels.iter().filter(|id| !open.contains(id)).cloned().collect(),
        sent: with(true),
        unsent: with(false),
        wake_by: now.wake_by(),
        next_by: now.next_by(),
        balance: now.balance,
    }
}
