//! One wake for many webhooks.
//!
//! An LSP calls once per HTLC: a thousand payments, or one payment in many parts, are as many `receivePayment`s at once in a
//! process that serves them all. The first of a wallet leads: its payments are handed to it until nothing is in flight. The
//! others join it and are answered when it is done.
//!
//! What must hold: no call is answered by a flight that could not have seen the payment it was made for. The LSP calls only for
//! a node that it believes to be away, so a flight that has not begun to say goodbye is offered the payment when it connects,
//! and one that has may not be. Who comes after the goodbye began misses the flight and makes the next one.
//!
//! What fails how: a flight that failed for a reason that every call would meet (LSP, store or chain down, a held or fenced wallet)
//! fails for all. One that ended for its leader's own reasons (destroyed, aborted, its `onPayment` threw) served nobody: the
//! others board again, and one of them leads.

use super::command::{Command, Pending, Ready, ReceiveLimits};
use super::handle::Handle;
use crate::error::{Code, Error, Result};
use std::sync::Arc;
use tokio::time::{sleep_until, Instant};

/// A `receivePayment` that is not answered yet. Dropped unanswered, it boards again.
pub struct Boarding {
    limits: ReceiveLimits,
    called: Instant,
    pending: Option<Pending<Ready>>,
}

/// The calls that one stretch of receiving serves. Dropped, it served nobody.
pub struct Flight {
    leader: Arc<Handle>,
    joined: Vec<Boarding>,
    missed: Vec<Boarding>,
    /// The leader knows that it is connected.
    begun: bool,
    /// The goodbye has begun.
    closed: bool,
    complete: bool,
}

impl Boarding {
    /// A call, made now.
    pub fn new(limits: ReceiveLimits, pending: Pending<Ready>) -> Self {
        Boarding { limits, called: Instant::now(), pending: Some(pending) }
    }

    /// Answers.
    pub fn send(mut self, result: Result<Ready>) {
        if let Some(pending) = self.pending.take() {
            pending.send(result);
        }
    }

    /// What its session goes by: the limits, when they began, and the caller.
    pub fn lead(mut self) -> Option<(ReceiveLimits, Instant, Pending<Ready>)> {
        Some((self.limits, self.called, self.pending.take()?))
    }

    /// Listens to its caller's bounds, and to its own deadline: nobody else looks after it.
    fn arm(mut self) -> Self {
        let deadline = self.called + self.limits.deadline;
        self.pending = self.pending.take().map(|pending| {
            pending.arm_with(async move {
                sleep_until(deadline).await;
                // What a `receivePayment` of its own would say then: nothing more is waited for.
                Ok(Ready::Served)
            })
        });
        self
    }

    fn is_abandoned(&self) -> bool {
        self.pending.as_ref().is_none_or(Pending::is_abandoned)
    }
}

impl Drop for Boarding {
    fn drop(&mut self) {
        let Some(pending) = self.pending.take().filter(|pending| !pending.is_abandoned()) else { return };
        let (handle, limits, called) = (Arc::clone(pending.handle()), self.limits, self.called);
        let boarding = Boarding { limits, called, pending: Some(pending.disarm()) };
        handle.send(Command::ReceiveBegin { boarding });
    }
}

impl Flight {
    /// That node's call leads it.
    pub fn new(leader: Arc<Handle>) -> Self {
        Flight { leader, joined: Vec::new(), missed: Vec::new(), begun: false, closed: false, complete: false }
    }

    /// Whose call leads.
    pub fn leader(&self) -> &Arc<Handle> {
        &self.leader
    }

    /// The leader is told that it is connected.
    pub fn begin(&mut self) {
        self.begun = true;
    }

    /// Whether it was.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// Another call wants what this flight does.
    pub fn join(&mut self, boarding: Boarding) {
        let boarding = boarding.arm();
        if self.closed {
            self.missed.push(boarding);
        } else {
            self.joined.push(boarding);
        }
    }

    /// Whether somebody waits for it to go on.
    pub fn serves_others(&self) -> bool {
        !self.complete && self.joined.iter().any(|boarding| !boarding.is_abandoned())
    }

    /// The goodbye begins.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// The node goes back: whoever missed it is aboard after all.
    pub fn reopen(&mut self) {
        self.closed = false;
        self.joined.append(&mut self.missed);
    }

    /// Nothing is in flight any more, and everything that came is handed over.
    pub fn complete(&mut self) {
        self.complete = true;
    }

    /// Those who go on without the leader, which served nobody. Who was served is answered.
    pub fn disband(mut self) -> Vec<Boarding> {
        if self.complete {
            self.serve(&Ok(Ready::Served));
        }
        self.joined.drain(..).chain(self.missed.drain(..)).filter(|boarding| !boarding.is_abandoned()).collect()
    }

    /// The session has ended, and holds nothing.
    pub fn land(mut self, failed: Option<&Error>) {
        let own = |code| matches!(code, Code::Aborted | Code::NodeDestroyed);
        match failed.filter(|error| !own(error.code)) {
            Some(error) => self.serve(&Err(error.clone())),
            None if self.complete => self.serve(&Ok(Ready::Served)),
            None => {}
        }
    }

    fn serve(&mut self, answer: &Result<Ready>) {
        for boarding in self.joined.drain(..) {
            boarding.send(answer.clone());
        }
    }
}
