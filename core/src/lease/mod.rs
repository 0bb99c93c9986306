//! The lease, as the way out sees it: may anything leave this node now?
//!
//! The store's conditional commit is the fence, and what waits for a commit needs no other. But LDK says things that no commit comes
//! before (`channel_reestablish`, `accept_channel`, LSPS0, pings), a connection is an act of its own, and a process may be frozen at
//! any instant and wake up minutes later, when another holder has the wallet. So everything that leaves asks here first.
//!
//! What is known: each request to the store that proves the lease (claim, commit, check) is numbered, and three clocks are read *before*
//! it is sent. Its answer proves that the lease was ours at some instant after that. From this follow
//! - [`Lease::is_fresh`]: the last proof is younger than the slack, by each of the clocks. A frozen process can't trust one of them:
//!   `CLOCK_MONOTONIC` stands still while a virtual machine is paused or a laptop sleeps, `CLOCK_REALTIME` is set by others. One that moved
//!   too far, or back, is enough to doubt. Stale, the way out is shut until a check that is sent after that says that nothing has changed:
//!   the socket takes no byte of LDK's and reads none (`net/peer_socket.rs`), nobody is called (`node/link.rs`), no transaction is handed to
//!   the network (`chain/esplora.rs`). The question is asked at the very place where something would leave, because after a thaw any task
//!   may run first.
//! - [`Lease::passed`]: a message that needs no commit leaves after an answer to a request that was sent *after* the message was made
//!   (`checkpoint/queues.rs`, `lsp/transport.rs`).
//!
//! What must hold: the slack is shorter than the time after which somebody else may take the lease, so that while this is fresh nobody can
//! have taken it politely, whatever the network does. What fails how: a store that does not answer only lets the lease grow stale; one that
//! says that the lease is another's shuts the way out for ever ([`Lease::lost`]), and whoever asked ends the session.
//!
//! A store whose lease lasts as long as its process (a file lock, `memory:`) has no proof to renew: always fresh, at no cost.
//!
//! What this can't do: a process may freeze between the question and the act. So a transaction leaves only after a commit that holds what
//! made it, and a message that promises something, too; what is left tells nothing that the successor's state contradicts.

mod clocks;
mod returns;
mod store;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
pub(crate) mod tests;

pub use clocks::{Clocks, Reading, SystemClocks};
pub use returns::{Claimed, Returns};
pub use store::LeasedStore;

use crate::error::{Error, Result};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// A lease that was not renewed for 3 s may be taken: what is fresh is younger, by half a second for clocks that differ and bytes on their
/// way.
const LONGEST_SLACK: Duration = Duration::from_millis(2_500);
/// How often a holder renews that has nothing to commit: two may get lost before the slack is over.
const LONGEST_TICK: Duration = Duration::from_secs(1);
/// Before a store that failed is asked again by somebody who waits.
const RETRY_PAUSE: Duration = Duration::from_millis(150);

/// See the module's head. One per session.
pub struct Lease {
    state: Mutex<State>,
    clocks: Box<dyn Clocks>,
    /// The run loop, which sends the checks.
    wake: Arc<Notify>,
    /// Whoever sends them while there is no run loop.
    wanted: Notify,
    /// A proof came, or there will be none.
    changed: Notify,
}

struct State {
    term: Term,
    /// Requests that were sent.
    asked: u64,
    /// When the last of them was.
    asked_at: Instant,
    /// The last that was answered with a proof.
    proven: u64,
    /// The clocks, read before it was sent.
    proven_at: Reading,
    /// Somebody waits for a proof of this request or a later one.
    needed: u64,
    /// Somebody waits until the way out is open.
    awaited: bool,
    /// When a request was last in vain; `None`: not since the last proof.
    failed_at: Option<Instant>,
    lost: bool,
}

/// How long a proof lasts.
#[derive(Clone, Copy)]
enum Term {
    /// There is none yet.
    Unclaimed,
    /// As long as the process.
    Process,
    Lasts {
        slack: Duration,
        tick: Duration,
    },
}

/// A request that is on its way.
#[must_use = "its answer is to be told"]
#[derive(Clone, Copy)]
pub struct Asked {
    number: u64,
    at: Reading,
}

/// The first request that is sent after something was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(u64);

impl Stamp {
    /// Of what waits for no request, or has waited for its commit.
    pub const NONE: Stamp = Stamp(0);
}

impl Lease {
    /// One that is not claimed yet: nothing leaves. `wake` is notified when somebody waits for a check.
    pub fn unclaimed(wake: Arc<Notify>) -> Self {
        Lease::with(Term::Unclaimed, wake, Box::new(SystemClocks))
    }

    /// The same by other clocks.
    pub fn by(clocks: impl Clocks + 'static, wake: Arc<Notify>) -> Self {
        Lease::with(Term::Unclaimed, wake, Box::new(clocks))
    }

    /// Of a node that is nobody else's: everything leaves.
    pub fn of_process() -> Arc<Self> {
        Arc::new(Lease::with(Term::Process, Arc::default(), Box::new(SystemClocks)))
    }

    fn with(term: Term, wake: Arc<Notify>, clocks: Box<dyn Clocks>) -> Self {
        let state = State {
            term,
            asked: 0,
            asked_at: Instant::now(),
            proven: 0,
            proven_at: Reading::default(),
            needed: 0,
            awaited: false,
            failed_at: None,
            lost: false,
        };
        Lease { state: Mutex::new(state), clocks, wake, wanted: Notify::new(), changed: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request that proves the lease is about to be sent.
    pub fn ask(&self) -> Asked {
        let mut state = self.state();
        state.asked += 1;
        state.asked_at = Instant::now();
        Asked { number: state.asked, at: self.clocks.read() }
    }

    /// The claim came through. `ttl`: as [`crate::store::Store::ttl`] has it.
    pub fn claimed(&self, asked: Asked, ttl: Option<Duration>) {
        self.state().term = ttl.map_or(Term::Process, |ttl| Term::Lasts {
            slack: (ttl / 3).min(LONGEST_SLACK),
            tick: (ttl / 4).min(LONGEST_TICK),
        });
        self.proven(asked);
    }

    /// The answer says that the lease is ours.
    pub fn proven(&self, asked: Asked) {
        let mut state = self.state();
        if asked.number > state.proven {
            (state.proven, state.proven_at) = (asked.number, asked.at);
        }
        state.failed_at = None;
        state.awaited = false;
        drop(state);
        self.changed.notify_waiters();
    }

    /// There is no answer, or one that says nothing of the lease. True: it is the first since the last proof.
    pub fn failed(&self) -> bool {
        self.state().failed_at.replace(Instant::now()).is_none()
    }

    /// The lease is another's, for ever.
    pub fn lost(&self) {
        self.state().lost = true;
        self.changed.notify_waiters();
    }

    /// Whether anything may leave now.
    pub fn is_fresh(&self) -> bool {
        self.is_fresh_in(&self.state())
    }

    fn is_fresh_in(&self, state: &State) -> bool {
        match state.term {
            _ if state.lost => false,
            Term::Unclaimed => false,
            Term::Process => true,
            Term::Lasts { slack, .. } => self.clocks.read().is_within(slack, &state.proven_at),
        }
    }

    /// What is made now waits for a request that is sent from now on.
    pub fn stamp(&self) -> Stamp {
        let state = self.state();
        match state.term {
            Term::Process => Stamp::NONE,
            _ => Stamp(state.asked + 1),
        }
    }

    /// Whether a proof came that was asked for after that stamp.
    pub fn passed(&self, stamp: Stamp) -> bool {
        stamp == Stamp::NONE || self.state().proven >= stamp.0
    }

    /// Something waits for that: a check is due, unless it has passed.
    pub fn need(&self, stamp: Stamp) {
        let mut state = self.state();
        if state.proven < stamp.0 {
            state.needed = state.needed.max(stamp.0);
            drop(state);
            self.want();
        }
    }

    fn want(&self) {
        self.wake.notify_one();
        self.wanted.notify_one();
    }

    /// Resolves when something may leave that was made at that stamp. `FENCED`: nothing ever will.
    pub async fn open_to(&self, stamp: Stamp) -> Result<()> {
        loop {
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            let fresh = {
                let mut state = self.state();
                if state.lost {
                    return Err(Error::fenced());
                }
                let fresh = self.is_fresh_in(&state);
                state.awaited |= !fresh;
                fresh
            };
            if fresh && self.passed(stamp) {
                return Ok(());
            }
            self.need(stamp);
            self.want();
            changed.await;
        }
    }

    /// The same of anything that waits for no request.
    pub async fn open(&self) -> Result<()> {
        self.open_to(Stamp::NONE).await
    }

    /// When the next check is due; `None`: none is. `active`: the node boots, or hears its LSP, or is about to. A holder that hears nothing
    /// must not keep others out.
    pub fn due_at(&self, active: bool) -> Option<Instant> {
        let state = self.state();
        let Term::Lasts { tick, .. } = state.term else { return None };
        if state.lost {
            return None;
        }
        let stale = || !self.is_fresh_in(&state);
        if state.needed > state.proven || (active || state.awaited) && stale() {
            return Some(state.failed_at.map_or_else(Instant::now, |failed| failed + RETRY_PAUSE));
        }
        active.then(|| state.asked_at + tick)
    }

    /// Resolves when a check is due, for an active node.
    pub async fn due(&self) {
        loop {
            let wanted = self.wanted.notified();
            match self.due_at(true) {
                Some(at) if at <= Instant::now() => return,
                Some(at) => tokio::select! {
                    () = tokio::time::sleep_until(at) => {}
                    () = wanted => {}
                },
                None => wanted.await,
            }
        }
    }
}
