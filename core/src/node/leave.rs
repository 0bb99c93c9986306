//! When a session ends well, and how: who needs it, who goes on without whom, the goodbye.
//!
//! A node that stops does not end what another node of the wallet needs. A `receivePayment` whose leader leaves is led by the next
//! one that waits for it.

use super::answer::reconnect;
use super::command::Pending;
use super::flight::{Boarding, Flight};
use super::session::Session;
use super::waiting::Waiting;
use crate::error::Result;
use crate::failpoint::{self, Point};
use tokio::time::Instant;

/// Whether it is time to leave, and why.
pub(super) enum Departure {
    None,
    /// Nobody needs the session.
    Done,
    /// `stop()` was called.
    Stopped,
}

pub(super) fn departure(session: &mut Session, waiting: &mut Waiting, stays: bool) -> Departure {
    if !waiting.stops.is_empty() {
        let stopped: Vec<_> = waiting.stops.iter().map(|pending| pending.handle().id).collect();
        if !stays && !waiting.serves_others_than(&stopped) {
            return Departure::Stopped;
        }
        for pending in std::mem::take(&mut waiting.stops) {
            stop_one(session, waiting, pending);
        }
    }
    // Deaf, a holder must not keep others out.
    let is_deaf = session.link.is_none() && waiting.connecting.is_none();
    let is_done = !waiting.needs_session() && !session.receive_progress.is_active();
    if is_done && (is_deaf || !stays) {
        Departure::Done
    } else {
        Departure::None
    }
}

/// A node stops, and others go on.
fn stop_one(session: &mut Session, waiting: &mut Waiting, pending: Pending<()>) {
    let led = waiting.is_led_by(pending.handle());
    waiting.stop_one(pending.handle());
    replace_leader(session, waiting, led);
    pending.send(Ok(()));
}

/// A `receivePayment`: it leads from now on, or joins.
pub(super) fn board(session: &mut Session, waiting: &mut Waiting, boarding: Boarding) {
    let until = Instant::now() + session.config.timeouts.lsp_request;
    if let Some((limits, called)) = waiting.board(boarding, until, &session.resident) {
        session.receive_progress.begin(limits, called);
    }
}

/// A leader that `stopped`, or is gone, has a successor among those who waited for it.
pub(super) fn replace_leader(session: &mut Session, waiting: &mut Waiting, stopped: bool) {
    if let Some(left) = waiting.leaderless(stopped) {
        session.receive_progress.end();
        left.into_iter().for_each(|boarding| board(session, waiting, boarding));
    }
}

/// Whether the session goes on when the node whose `receivePayment` leads stops.
pub(super) fn goes_on_for_others(session: &Session, waiting: &Waiting) -> bool {
    let leader = waiting.flight.as_ref().map(|flight| flight.leader().id);
    session.resident.is_wanted_by_others(leader)
}

/// Stopping waits for fulfilment while there is a connection to fulfil through, but not for ever.
pub(super) fn may_leave(session: &Session, waiting: &Waiting, deadline: Instant) -> bool {
    let can_fulfil = session.link.is_some() || waiting.connecting.is_some();
    !can_fulfil || !session.has_pending_htlcs() && waiting.connecting.is_none() || Instant::now() >= deadline
}

/// Says goodbye. False: a payment came meanwhile and is served first.
pub(super) async fn depart(session: &mut Session, waiting: &mut Waiting, deadline: Instant) -> Result<bool> {
    if let Some(task) = waiting.connecting.take() {
        task.abort();
    }
    waiting.flight.iter_mut().for_each(Flight::close);
    let before = session.wallet.loaded.messages().htlcs_added();
    if let Some(link) = session.link.take() {
        failpoint::reached(Point::BeforeGoodbye);
        session.wallet.committer.keeping(link.leave()).await?;
        failpoint::reached(Point::AfterGoodbye);
    }
    session.turn().await?;
    let came = session.wallet.loaded.messages().htlcs_added() > before;
    if came && Instant::now() < deadline {
        tracing::info!("a payment came during the goodbye; going back to serve it");
        waiting.flight.iter_mut().for_each(Flight::reopen);
        reconnect(session, waiting).await?;
        return Ok(false);
    }
    Ok(true)
}

pub(super) fn finish_receive(session: &mut Session, waiting: &mut Waiting) {
    session.receive_progress.end();
    if let Some(pending) = waiting.receive.take() {
        pending.send(Ok(None));
    }
}
