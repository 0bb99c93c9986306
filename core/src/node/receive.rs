//! When a `receivePayment` is over: at protocol quiescence, never by a timer alone.

use super::command::ReceiveLimits;
use std::time::Duration;
use tokio::time::Instant;

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing is over before that instant.
    WaitUntil(Instant),
    /// Nothing is in flight and nothing came for long enough.
    Quiet,
    /// The caller's deadline passed with something in flight.
    Deadline,
}

/// Follows one `receivePayment`.
pub(super) struct ReceiveProgress {
    active: Option<Active>,
    last_activity: Instant,
}

struct Active {
    /// The deadline counts from here.
    began: Instant,
    /// The wait for a first payment counts from here: a connection that took long leaves the LSP its time to forward.
    listening: Instant,
    limits: ReceiveLimits,
    paid: bool,
}

/// With something in flight only an event or the deadline changes the verdict.
const IN_FLIGHT_LOOK: Duration = Duration::from_secs(1);

impl ReceiveProgress {
    pub fn new() -> Self {
        ReceiveProgress { active: None, last_activity: Instant::now() }
    }

    pub fn begin(&mut self, limits: ReceiveLimits, began: Instant) {
        let now = Instant::now();
        self.active = Some(Active { began, listening: now, limits, paid: false });
        self.last_activity = now;
    }

    /// A new connection stands.
    pub fn connected(&mut self) {
        self.last_activity = Instant::now();
        if let Some(active) = &mut self.active {
            active.listening = self.last_activity;
        }
    }

    pub fn end(&mut self) {
        self.active = None;
    }

    pub fn is_active(&self) -> bool {
        self.active.is_some()
    }

    pub fn saw_payment(&mut self) {
        if let Some(active) = &mut self.active {
            active.paid = true;
        }
    }

    pub fn saw_activity(&mut self) {
        self.last_activity = Instant::now();
    }

    /// The instant after which leaving must not take longer.
    pub fn deadline(&self) -> Option<Instant> {
        self.active.as_ref().map(|active| active.began + active.limits.deadline)
    }

    /// `in_flight`: an HTLC towards us is not yet gone from a channel.
    pub fn verdict(&self, in_flight: bool) -> Verdict {
        let Some(active) = &self.active else { return Verdict::Quiet };
        let now = Instant::now();
        let deadline = active.began + active.limits.deadline;
        if now >= deadline {
            return if in_flight { Verdict::Deadline } else { Verdict::Quiet };
        }
        if in_flight {
            return Verdict::WaitUntil(deadline.min(now + IN_FLIGHT_LOOK));
        }
        let quiet = self.last_activity + active.limits.quiet;
        let earliest = if active.paid { quiet } else { quiet.max(active.listening + active.limits.min) };
        if now >= earliest {
            Verdict::Quiet
        } else {
            Verdict::WaitUntil(earliest.min(deadline))
        }
    }
}
