//! Nodes that nobody calls any more end themselves.
//!
//! A handler that forgets `destroy()` leaves a node behind that the garbage collector may never see. So each node's wish that the
//! wallet runs lapses `maxIdleMs` after its last call. What is under way is a reason to stay: a call that waits, a
//! `receivePayment` whose `onPayment` runs, an HTLC. An event that nobody acks is none, nor a wait without end: an `events()` loop
//! that nobody feeds is the very picture of a forgotten node.

use super::flight::Flight;
use super::session::Session;
use super::waiting::Waiting;
use tokio::time::Instant;

/// Lets those rest whose time is up. When the next one's is comes back.
pub(super) fn let_rest(session: &Session, waiting: &Waiting) -> Option<Instant> {
    let limit = session.config.max_idle?;
    let receiver = waiting.flight.as_ref().filter(|_| session.receive_progress.is_active()).map(Flight::leader);
    let next = session.resident.idle_at(limit, receiver)?;
    if next > Instant::now() {
        return Some(next);
    }
    if session.has_pending_htlcs() {
        session.resident.touch_all();
    }
    session.resident.let_idle_rest(limit, receiver)
}
