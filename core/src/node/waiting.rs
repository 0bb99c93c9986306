//! Callers that wait for something to happen, and how they are answered.

use super::close::CloseWaiter;
use super::command::{Command, Pending, Ready, ReceiveLimits, SendAll, Sent};
use super::flight::{Boarding, Flight};
use super::handle::Handle;
use super::link::Link;
use super::resident::Resident;
use super::watch::Watch;
use crate::error::{Code, Error, Result};
use crate::events::{EventType, PaymentEvent};
use crate::invoice::{Invoice, MintRequest};
use crate::lsp::JitRoute;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
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
    /// The `receivePayment`s that are served.
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
    /// It is the `receivePayment` that leads.
    pub leads: bool,
    /// When usable channels are no longer waited for.
    pub until: Instant,
}

/// A call that needs the JIT route.
pub(super) enum RouteWaiter {
    Route(Pending<JitRoute>),
    Mint(MintRequest, Pending<Invoice>),
}

/// A `nextEvent`, or an `events()` loop's wait.
pub(super) struct EventWaiter {
    pub pending: Pending<Option<PaymentEvent>>,
    /// `None`: it waits without end, which is no reason to stay.
    pub until: Option<Instant>,
    /// Its node was started: it waits for what a session brings. Else for what the store shows.
    pub in_session: bool,
}

impl EventWaiter {
    pub fn new(pending: Pending<Option<PaymentEvent>>, wait: Option<Duration>, in_session: bool) -> Self {
        EventWaiter { pending: pending.arm(), until: wait.map(|wait| Instant::now() + wait), in_session }
    }

    fn needs_session(&self) -> bool {
        self.in_session && self.until.is_some()
    }
}

impl Waiting {
    /// Nobody waits for anything but events, and for those without end.
    pub fn is_empty(&self) -> bool {
        !self.needs_session()
            && self.watches.is_empty()
            && self.stops.is_empty()
            && self.events.iter().all(|waiter| waiter.until.is_none())
    }

    /// Somebody waits for what a connection brings.
    pub fn needs_link(&self) -> bool {
        self.needs_lsp()
            || !self.closes.is_empty()
            || self.watches.iter().any(|watch| watch.wants_lsp)
            || self.events.iter().any(|waiter| waiter.in_session)
    }

    /// The same, and fails without it. A forced close is for a day on which the LSP is gone.
    pub fn needs_lsp(&self) -> bool {
        !self.ready.is_empty()
            || !self.routes.is_empty()
            || self.events.iter().any(EventWaiter::needs_session)
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
            || self.flight.as_ref().is_some_and(Flight::serves_others)
    }

    /// Whether some other node's call waits for something that a session does.
    pub fn serves_others_than(&self, stopped: &[u64]) -> bool {
        let other = |handle: &Arc<Handle>| !stopped.contains(&handle.id);
        self.ready.iter().any(|waiter| other(waiter.pending.handle()))
            || self.routes.iter().any(|waiter| other(waiter.handle()))
            || self.events.iter().any(|waiter| waiter.needs_session() && other(waiter.pending.handle()))
            || self.receive.iter().any(|pending| other(pending.handle()))
            || self.watches.iter().any(|watch| other(watch.pending.handle()))
            || self.closes.iter().any(|waiter| other(waiter.pending.handle()))
            || self.sends.iter().any(|(_, pending)| other(pending.handle()))
            || self.flight.as_ref().is_some_and(|flight| other(flight.leader()) || flight.serves_others())
    }

    /// A `receivePayment`: it joins the flight that is under way, or leads one from now on. Then what the session is to go by comes
    /// back.
    pub fn board(
        &mut self,
        boarding: Boarding,
        until: Instant,
        resident: &Resident,
    ) -> Option<(ReceiveLimits, Instant)> {
        if let Some(flight) = &mut self.flight {
            flight.join(boarding);
            return None;
        }
        let (limits, called, pending) = boarding.lead()?;
        resident.leads(pending.handle());
        self.flight = Some(Flight::new(Arc::clone(pending.handle())));
        self.ready.push(ReadyWaiter { pending: pending.arm(), receiving: false, leads: true, until });
        Some((limits, called))
    }

    /// Whether that node's `receivePayment` leads.
    pub fn is_led_by(&self, handle: &Handle) -> bool {
        self.flight.as_ref().is_some_and(|flight| flight.leader().id == handle.id)
    }

    /// Those who were in a flight whose leader `stopped`, is destroyed, or gave up before it was connected. `None`: it has a leader.
    pub fn leaderless(&mut self, stopped: bool) -> Option<Vec<Boarding>> {
        let waits = self.ready.iter().any(|waiter| waiter.leads);
        let is_gone = |flight: &Flight| stopped || flight.leader().is_gone() || !flight.has_begun() && !waits;
        self.flight.take_if(|flight| is_gone(flight)).map(Flight::disband)
    }

    /// A connection stands for those who wait for one.
    pub fn answer_ready(&mut self, resident: &Resident, is_usable: bool, now: Instant) {
        for waiter in take_if(&mut self.ready, |waiter| !waiter.receiving || is_usable || waiter.until <= now) {
            if waiter.leads {
                self.flight.iter_mut().for_each(Flight::begin);
            }
            resident.started(waiter.pending.handle());
            waiter.pending.send(Ok(Ready::Up));
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
            watch.fail(error.clone());
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

    /// The same for those, too, who look into the store only.
    pub fn fail_all(&mut self, error: &Error) {
        for waiter in self.events.drain(..) {
            waiter.pending.send(Err(error.clone()));
        }
        self.fail(error);
    }

    /// Answers those who can't do without the LSP with an error.
    pub fn fail_without_lsp(&mut self, error: &Error) {
        for waiter in self.ready.drain(..) {
            waiter.pending.send(Err(error.clone()));
        }
        self.fail_routes(error);
        for waiter in take_if(&mut self.events, |waiter| waiter.in_session) {
            waiter.pending.send(Err(error.clone()));
        }
        if let Some(pending) = self.receive.take() {
            pending.send(Err(error.clone()));
        }
        for waiter in take_if(&mut self.closes, |waiter| !waiter.force) {
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
        self.routes.drain(..).for_each(|waiter| waiter.fail(error));
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

    /// Hands to each waiter the oldest fitting event that is not out with another node; those whose time is up get none.
    pub fn answer_events(&mut self, now: Instant, oldest: impl Fn(&Handle, Option<EventType>) -> Option<PaymentEvent>) {
        for waiter in std::mem::take(&mut self.events) {
            let event = oldest(waiter.pending.handle(), None);
            if let Some(event) = &event {
                waiter.pending.handle().handed_out(&event.id);
            }
            if event.is_some() || waiter.until.is_some_and(|until| until <= now) {
                waiter.pending.send(Ok(event));
            } else {
                self.events.push(waiter);
            }
        }
        if let Some(pending) = self.receive.take() {
            match oldest(pending.handle(), Some(EventType::Received)) {
                Some(event) => {
                    pending.handle().handed_out(&event.id);
                    pending.send(Ok(Some(event)));
                }
                None => self.receive = Some(pending),
            }
        }
    }

    /// The nodes' session ended well: who only waited for what it would bring got nothing.
    pub fn end_waits(&mut self, of: impl Fn(&Handle) -> bool) {
        for waiter in take_if(&mut self.events, |waiter| of(waiter.pending.handle())) {
            if waiter.needs_session() {
                waiter.pending.send(Ok(None));
            } else {
                self.events.push(EventWaiter { in_session: false, ..waiter });
            }
        }
        if let Some(pending) = self.receive.take_if(|pending| of(pending.handle())) {
            pending.send(Ok(None));
        }
    }

    /// That node is started: what it waits for is what a session brings.
    pub fn starts(&mut self, started: &Handle) {
        let own = self.events.iter_mut().filter(|waiter| waiter.pending.handle().id == started.id);
        own.for_each(|waiter| waiter.in_session = true);
    }

    /// One node stops, and the session goes on for others: what it began before is over.
    pub fn stop_one(&mut self, stopped: &Handle) {
        let own = |handle: &Handle| handle.id == stopped.id;
        let error = Error::new(Code::Aborted, "stop() was called");
        self.end_waits(own);
        for waiter in take_if(&mut self.ready, |waiter| own(waiter.pending.handle())) {
            waiter.pending.send(Err(error.clone()));
        }
        for waiter in take_if(&mut self.routes, |waiter| own(waiter.handle())) {
            waiter.fail(&error);
        }
        for watch in take_if(&mut self.watches, |watch| own(watch.pending.handle())) {
            watch.answer(&Ok(()));
        }
        for waiter in take_if(&mut self.closes, |waiter| own(waiter.pending.handle())) {
            waiter.pending.send(Err(error.clone()));
        }
        for (_, pending) in take_if(&mut self.sends, |(_, pending)| own(pending.handle())) {
            pending.send(Err(error.clone()));
        }
    }

    /// Waits without end, to be kept while nothing runs.
    pub fn park(&mut self) -> Vec<Command> {
        self.drop_abandoned();
        let parked = take_if(&mut self.events, |waiter| waiter.until.is_none()).into_iter();
        parked.map(|waiter| Command::NextEvent { wait: None, pending: waiter.pending.disarm() }).collect()
    }

    /// The next instant at which a waiter's time is up.
    pub fn next_deadline(&self) -> Option<Instant> {
        let events = self.events.iter().filter_map(|waiter| waiter.until);
        let ready = self.ready.iter().filter(|waiter| waiter.receiving).map(|waiter| waiter.until);
        let watches = self.watches.iter().filter(|watch| watch.wants_lsp).map(Watch::until);
        let closes = self.closes.iter().filter_map(|waiter| waiter.until);
        events.chain(ready).chain(watches).chain(closes).min()
    }
}

/// Those that fit, taken out of `all`; the others keep their order.
pub(super) fn take_if<T>(all: &mut Vec<T>, fits: impl Fn(&T) -> bool) -> Vec<T> {
    let (taken, others) = std::mem::take(all).into_iter().partition(fits);
    *all = others;
    taken
}

impl RouteWaiter {
    fn handle(&self) -> &Arc<Handle> {
        match self {
            RouteWaiter::Route(pending) => pending.handle(),
            RouteWaiter::Mint(_, pending) => pending.handle(),
        }
    }

    fn fail(self, error: &Error) {
        match self {
            RouteWaiter::Route(pending) => pending.send(Err(error.clone())),
            RouteWaiter::Mint(_, pending) => pending.send(Err(error.clone())),
        }
    }

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
