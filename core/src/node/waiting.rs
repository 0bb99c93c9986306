//! Callers that wait for something to happen, and how they are answered.

use super::close::CloseWaiter;
use super::command::{Pending, Ready, ReceiveLimits, SendAll, Sent};
use super::flight::{Boarding, Flight};
use super::link::Link;
use super::watch::Watch;
use super::Shared;
use crate::error::{Error, Result};
use crate::events::{EventType, PaymentEvent};
use crate::invoice::{Invoice, MintRequest};
use crate::lsp::JitRoute;
use std::future::poll_fn;
use std::task::{Context, Poll};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Everyone who waits. Outlives sessions: a wait for an event goes on while the node starts.
#[derive(Default)]
pub(super) struct Waiting {
    pub ready: Vec<ReadyWaiter>,
    pub routes: Vec<RouteWaiter>,
    pub events: Vec<EventWaiter>,
    /// `receivePayment`'s wait for its next payment.
    pub receive: Option<Pending<Option<PaymentEvent>>>,
    /// A `receivePayment` that begins with the next session, and when it was called.
    pub receive_begun: Option<(ReceiveLimits, Instant)>,
    /// The `receivePayment`s of other callers that this node's serves.
    pub flight: Option<Flight>,
    pub watches: Vec<Watch>,
    pub closes: Vec<CloseWaiter>,
    pub sends: Vec<(SendAll, Pending<Sent>)>,
    pub stops: Vec<Pending<()>>,
    /// The route is being asked for.
    pub learning: Option<JoinHandle<Result<JitRoute>>>,
    /// The connection is being made again.
    pub connecting: Option<JoinHandle<Result<Link>>>,
}

/// A `start` or `startReceiving`.
pub(super) struct ReadyWaiter {
    pub pending: Pending<Ready>,
    /// Channels must be usable, too.
    pub receiving: bool,
    /// When usable channels are no longer waited for.
    pub until: Instant,
}

/// A call that needs the JIT route.
pub(super) enum RouteWaiter {
    Route(Pending<JitRoute>),
    Mint(MintRequest, Pending<Invoice>),
}

/// A `nextEvent`.
pub(super) struct EventWaiter {
    pub pending: Pending<Option<PaymentEvent>>,
    pub until: Instant,
}

impl Waiting {
    /// Nobody waits for anything.
    pub fn is_empty(&self) -> bool {
        !self.needs_session() && self.watches.is_empty() && self.stops.is_empty()
    }

    /// Somebody waits for what a connection brings.
    pub fn needs_link(&self) -> bool {
        self.needs_lsp() || !self.closes.is_empty() || self.watches.iter().any(|watch| watch.wants_lsp)
    }

    /// The same, and fails without it. A forced close is for a day on which the LSP is gone.
    pub fn needs_lsp(&self) -> bool {
        !self.ready.is_empty()
            || !self.routes.is_empty()
            || !self.events.is_empty()
            || self.receive.is_some()
            || self.closes.iter().any(|waiter| !waiter.force)
    }

    /// Somebody waits for what can be done although the LSP is gone.
    pub fn goes_on_alone(&self) -> bool {
        !self.watches.is_empty() || !self.sends.is_empty() || self.closes.iter().any(|waiter| waiter.force)
    }

    /// Somebody waits for something that a session does.
    pub fn needs_session(&self) -> bool {
        self.needs_lsp()
            || !self.closes.is_empty()
            || !self.sends.is_empty()
            || self.watches.iter().any(|watch| !watch.settled)
    }

    /// This node's `receivePayment` leads a flight from now on. What the session is to go by comes back.
    pub fn lead(&mut self, boarding: Boarding, flight: Flight, until: Instant) -> Option<(ReceiveLimits, Instant)> {
        let (limits, called, pending) = boarding.lead()?;
        self.ready.push(ReadyWaiter { pending: pending.arm(), receiving: false, until });
        self.flight = Some(flight);
        Some((limits, called))
    }

    /// Another caller's `receivePayment`: served by this node's, if it leads a flight.
    pub fn join(&mut self, boarding: Boarding) {
        match &mut self.flight {
            Some(flight) => flight.join(boarding),
            None => boarding.board(),
        }
    }

    /// The session has ended: so has its flight.
    pub fn land(&mut self, failed: Option<&Error>) {
        if let Some(flight) = self.flight.take() {
            flight.land(failed);
        }
    }

    /// Forgets callers that gave up.
    pub fn drop_abandoned(&mut self) {
        self.ready.retain(|waiter| !waiter.pending.is_abandoned());
        self.routes.retain(|waiter| !waiter.is_abandoned());
        self.events.retain(|waiter| !waiter.pending.is_abandoned());
        self.watches.retain(|watch| !watch.pending.is_abandoned());
        self.closes.retain(|waiter| !waiter.pending.is_abandoned());
        self.sends.retain(|(_, pending)| !pending.is_abandoned());
        if self.receive.as_ref().is_some_and(Pending::is_abandoned) {
            self.receive = None;
        }
    }

    /// Resolves when every caller who needs a session has given up.
    pub async fn all_abandoned(&mut self) {
        poll_fn(|cx| {
            self.ready.retain_mut(|waiter| waiter.pending.poll_abandoned(cx).is_pending());
            self.routes.retain_mut(|waiter| waiter.poll_abandoned(cx).is_pending());
            self.events.retain_mut(|waiter| waiter.pending.poll_abandoned(cx).is_pending());
            self.watches.retain_mut(|watch| watch.pending.poll_abandoned(cx).is_pending());
            self.closes.retain_mut(|waiter| waiter.pending.poll_abandoned(cx).is_pending());
            self.sends.retain_mut(|(_, pending)| pending.poll_abandoned(cx).is_pending());
            if self.receive.as_mut().is_some_and(|pending| pending.poll_abandoned(cx).is_ready()) {
                self.receive = None;
            }
            if self.needs_session() {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
    }

    /// Answers everyone with an error.
    pub fn fail(&mut self, error: &Error) {
        self.fail_without_lsp(error);
        for watch in self.watches.drain(..) {
            watch.pending.send(Err(error.clone()));
        }
        for waiter in self.closes.drain(..) {
            waiter.pending.send(Err(error.clone()));
        }
        self.fail_sends(error);
        for pending in self.stops.drain(..) {
            pending.send(Err(error.clone()));
        }
        self.receive_begun = None;
        self.abort_tasks();
        self.land(Some(error));
    }

    /// Answers those who can't do without the LSP with an error.
    pub fn fail_without_lsp(&mut self, error: &Error) {
        for waiter in self.ready.drain(..) {
            waiter.pending.send(Err(error.clone()));
        }
        self.fail_routes(error);
        for waiter in self.events.drain(..) {
            waiter.pending.send(Err(error.clone()));
        }
        if let Some(pending) = self.receive.take() {
            pending.send(Err(error.clone()));
        }
        let (alone, without): (Vec<_>, Vec<_>) = self.closes.drain(..).partition(|waiter| waiter.force);
        self.closes = alone;
        for waiter in without {
            waiter.pending.send(Err(error.clone()));
        }
    }

    /// Answers those who send their coins with an error.
    pub fn fail_sends(&mut self, error: &Error) {
        for (_, pending) in self.sends.drain(..) {
            pending.send(Err(error.clone()));
        }
    }

    /// Answers those who need the route with an error.
    pub fn fail_routes(&mut self, error: &Error) {
        for waiter in self.routes.drain(..) {
            match waiter {
                RouteWaiter::Route(pending) => pending.send(Err(error.clone())),
                RouteWaiter::Mint(_, pending) => pending.send(Err(error.clone())),
            }
        }
    }

    /// Ends what was begun for the waiters.
    pub fn abort_tasks(&mut self) {
        if let Some(task) = self.learning.take() {
            task.abort();
        }
        if let Some(task) = self.connecting.take() {
            task.abort();
        }
    }

    /// Hands the oldest fitting event to each waiter; those whose time is up get none.
    pub fn answer_events(
        &mut self,
        now: Instant,
        shared: &Shared,
        oldest: impl Fn(Option<EventType>) -> Option<PaymentEvent>,
    ) {
        if self.events.is_empty() && self.receive.is_none() {
            return;
        }
        if let Some(event) = oldest(None).filter(|_| !self.events.is_empty()) {
            shared.handed_out(&event.id);
            for waiter in self.events.drain(..) {
                waiter.pending.send(Ok(Some(event.clone())));
            }
        } else {
            let (late, waiting) = self.events.drain(..).partition(|waiter| waiter.until <= now);
            self.events = waiting;
            for waiter in Vec::<EventWaiter>::into_iter(late) {
                waiter.pending.send(Ok(None));
            }
        }
        if self.receive.is_some() {
            if let Some(event) = oldest(Some(EventType::Received)) {
                if let Some(pending) = self.receive.take() {
                    shared.handed_out(&event.id);
                    pending.send(Ok(Some(event)));
                }
            }
        }
    }

    /// The next instant at which a waiter's time is up.
    pub fn next_deadline(&self) -> Option<Instant> {
        let events = self.events.iter().map(|waiter| waiter.until);
        let ready = self.ready.iter().filter(|waiter| waiter.receiving).map(|waiter| waiter.until);
        let watches = self.watches.iter().filter(|watch| watch.wants_lsp).map(Watch::until);
        let closes = self.closes.iter().filter_map(|waiter| waiter.until);
        events.chain(ready).chain(watches).chain(closes).min()
    }
}

impl RouteWaiter {
    fn is_abandoned(&self) -> bool {
        match self {
            RouteWaiter::Route(pending) => pending.is_abandoned(),
            RouteWaiter::Mint(_, pending) => pending.is_abandoned(),
        }
    }

    fn poll_abandoned(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            RouteWaiter::Route(pending) => pending.poll_abandoned(cx),
            RouteWaiter::Mint(_, pending) => pending.poll_abandoned(cx),
        }
    }
}
