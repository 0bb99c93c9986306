//! One wake for many webhooks.
//!
//! An LSP calls once per HTLC: a thousand payments, or one payment in many parts, are as many `receivePayment`s at once in a
//! process that serves them all. The first of a wallet leads: it takes the lease, connects, receives until nothing is in flight.
//! The others join it and are answered when it is done; they cost no thread, no socket, no lock.
//!
//! What must hold: no call is answered by a flight that could not have seen the payment it was made for. The LSP calls only for
//! a node that it believes to be away, so a flight that has not begun to say goodbye is offered the payment when it connects,
//! and one that has may not be. Who comes after the goodbye began misses the flight and makes the next one.
//!
//! What fails how: a flight that failed for a reason that every call would meet (LSP, store or chain down, a held wallet) fails
//! for all. One that ended for its leader's own reasons (destroyed, aborted, its `onPayment` threw, fenced) served nobody: the
//! others board again, and one of them leads.

use super::command::{Command, Pending, Ready, ReceiveLimits};
use super::{worker, Shared};
use crate::error::{Code, Error, Result};
use crate::keys::fingerprint;
use bitcoin::hashes::sha256;
use std::collections::hash_map::{Entry, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::{sleep_until, Instant};

/// A wallet of this process.
type Wallet = sha256::Hash;

/// Who leads the flight of each wallet of this process that has one.
static LEADERS: Mutex<Option<HashMap<Wallet, Arc<Shared>>>> = Mutex::new(None);

fn leaders() -> MutexGuard<'static, Option<HashMap<Wallet, Arc<Shared>>>> {
    LEADERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A `receivePayment` that is not answered yet. Dropped unanswered, it boards again.
pub struct Boarding {
    shared: Arc<Shared>,
    limits: ReceiveLimits,
    called: Instant,
    pending: Option<Pending<Ready>>,
}

/// The calls that one session serves. Held by its leader's worker; dropped, it served nobody.
pub struct Flight {
    wallet: Wallet,
    leader: Arc<Shared>,
    joined: Vec<Boarding>,
    missed: Vec<Boarding>,
    /// The goodbye has begun.
    closed: bool,
    complete: bool,
}

impl Boarding {
    /// A call of that node, made now.
    pub fn new(shared: Arc<Shared>, limits: ReceiveLimits, pending: Pending<Ready>) -> Self {
        Boarding { shared, limits, called: Instant::now(), pending: Some(pending) }
    }

    /// Leads a flight of its wallet, or joins the one that is under way.
    pub fn board(self) {
        if let Some(error) = self.shared.over() {
            return self.send(Err(error));
        }
        // Not by the wallet's id: this runs on the JavaScript thread, which need not wait for keys.
        let wallet = fingerprint(&self.shared.config.mnemonic, self.shared.config.network);
        let own = Arc::clone(&self.shared);
        let leader = match leaders().get_or_insert_default().entry(wallet) {
            // One that is over takes nobody along.
            Entry::Occupied(leader) if leader.get().over().is_none() => Some(Arc::clone(leader.get())),
            entry => {
                entry.insert_entry(Arc::clone(&own));
                None
            }
        };
        match leader {
            Some(leader) => worker::send(&leader, Command::Join { boarding: self }),
            None => {
                let flight = Flight::new(wallet, Arc::clone(&own));
                worker::send(&own, Command::ReceiveBegin { boarding: self, flight });
            }
        }
    }

    /// Answers.
    pub fn send(mut self, result: Result<Ready>) {
        if let Some(pending) = self.pending.take() {
            pending.send(result);
        }
    }

    /// What its leader's session goes by: the limits, when they began, and the caller.
    pub fn lead(mut self) -> Option<(ReceiveLimits, Instant, Pending<Ready>)> {
        Some((self.limits, self.called, self.pending.take()?))
    }

    /// Listens to its caller's bounds on this runtime, which is another node's.
    fn arm(mut self) -> Self {
        let (shared, deadline) = (Arc::clone(&self.shared), self.called + self.limits.deadline);
        self.pending = self.pending.take().map(|pending| {
            pending.arm_with(async move {
                tokio::select! {
                    () = shared.destroy_signalled() => Err(Error::destroyed()),
                    // What a `receivePayment` of its own would say then: nothing more is waited for.
                    () = sleep_until(deadline) => Ok(Ready::Served),
                }
            })
        });
        self
    }
}

impl Drop for Boarding {
    fn drop(&mut self) {
        let Some(pending) = self.pending.take() else { return };
        if !pending.is_abandoned() {
            let (shared, limits, called) = (Arc::clone(&self.shared), self.limits, self.called);
            Boarding { shared, limits, called, pending: Some(pending.disarm()) }.board();
        }
    }
}

impl Flight {
    fn new(wallet: Wallet, leader: Arc<Shared>) -> Self {
        Flight { wallet, leader, joined: Vec::new(), missed: Vec::new(), closed: false, complete: false }
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

    /// The session has ended, and holds nothing.
    pub fn land(mut self, failed: Option<&Error>) {
        self.leave_register();
        let own = |code| matches!(code, Code::Aborted | Code::Fenced | Code::NodeDestroyed);
        let shared_fate = failed.filter(|error| !own(error.code));
        let answer = match shared_fate {
            Some(error) => Err(error.clone()),
            None if self.complete => Ok(Ready::Served),
            None => return,
        };
        for boarding in self.joined.drain(..) {
            boarding.send(answer.clone());
        }
    }

    fn leave_register(&self) {
        let mut leaders = leaders();
        let registered = leaders.get_or_insert_default();
        if registered.get(&self.wallet).is_some_and(|leader| Arc::ptr_eq(leader, &self.leader)) {
            registered.remove(&self.wallet);
        }
    }
}

impl Drop for Flight {
    /// Who is still aboard boards again, when the fields are dropped after this.
    fn drop(&mut self) {
        self.leave_register();
    }
}
