//! One seed: its schedule step by step, and after each step whose state is new, a crash.

use crate::crash::{self, fingerprint};
use crate::oracle::{Oracle, Wrong};
use crate::owned;
use crate::schedule::Step;
use crate::sim::{Remains, Sim};
use std::cell::RefCell;
use std::collections::HashSet;
use std::future::Future;
use std::panic::{catch_unwind, AssertUnwindSafe};

/// LDK's deepest calls, with room.
const STACK_BYTES: usize = 16 << 20;

thread_local! {
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// What happened besides crashes: a schedule in which nothing does shows nothing.
#[derive(Default, Clone, Debug, PartialEq, Eq)]
pub struct Brought {
    pub received: u64,
    pub sent: u64,
    pub channels: u64,
    pub closed: u64,
}

impl Brought {
    fn of(sim: &Sim) -> Self {
        let bank = &sim.bank;
        Brought {
            received: bank.to_wallet.values().filter(|payment| payment.learnt).count() as u64,
            sent: bank.to_peer.values().filter(|payment| payment.received).count() as u64,
            channels: bank.channels.len() as u64,
            closed: bank.channels.values().filter(|channel| channel.closed.is_some()).count() as u64,
        }
    }

    fn add(&mut self, other: &Brought) {
        self.received += other.received;
        self.sent += other.sent;
        self.channels += other.channels;
        self.closed += other.closed;
    }
}

/// What one run saw.
#[derive(Default, Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Steps taken.
    pub steps: u64,
    /// Crash points tried: states that differ.
    pub points: u64,
    /// Those of them with an HTLC in flight.
    pub pending: u64,
    /// What the schedules brought about, at their ends.
    pub brought: Brought,
    /// A hash over all states, in order: two runs of one seed have the same.
    pub digest: u64,
}

impl Seen {
    /// Both together.
    pub fn add(&mut self, other: &Seen) {
        self.steps += other.steps;
        self.points += other.points;
        self.pending += other.pending;
        self.brought.add(&other.brought);
        self.digest ^= other.digest;
    }
}

/// What went wrong, and where.
#[derive(Clone, Debug)]
pub struct Failure {
    /// After this step, counted from 0. The schedule's length: at its end.
    pub step: usize,
    /// It took a crash to see it.
    pub by_crash: bool,
    pub wrongs: Vec<Wrong>,
}

/// Which crash points of a run are tried.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Crashes {
    /// After every step whose state is new.
    All,
    /// Only after this one.
    After(usize),
}

/// Runs a schedule. Stops at the first thing that goes wrong.
pub fn run(seed: u64, steps: &[Step], crashes: Crashes) -> (Seen, Option<Failure>) {
    let steps = steps.to_vec();
    let ran = in_own_world(seed, move || async move { through(seed, &steps, crashes).await });
    ran.unwrap_or_else(|wrong| (Seen::default(), Some(Failure { step: 0, by_crash: false, wrongs: vec![wrong] })))
}

async fn through(seed: u64, steps: &[Step], crashes: Crashes) -> (Seen, Option<Failure>) {
    let mut seen = Seen::default();
    let mut known = HashSet::new();
    let fail = |step, by_crash, wrongs| Some(Failure { step, by_crash, wrongs });
    let mut sim = match Sim::start(Remains::nothing()).await {
        Ok(sim) => sim,
        Err(error) => return (seen, fail(0, false, vec![Wrong { oracle: Oracle::Loads, what: error.to_string() }])),
    };
    for (at, step) in steps.iter().enumerate() {
        if let Some(wrong) = caught(sim.step(*step)).await {
            return (seen, fail(at, false, vec![wrong]));
        }
        seen.steps += 1;
        if !sim.bank.wrongs.is_empty() {
            return (seen, fail(at, false, sim.bank.wrongs));
        }
        let remains = sim.remains();
        let state = fingerprint(&remains);
        seen.digest = owned::mix(&mut (seen.digest ^ state));
        if !known.insert(state) || matches!(crashes, Crashes::After(only) if only != at) {
            continue;
        }
        seen.points += 1;
        seen.pending += u64::from(sim.pending() > 0);
        // Each crash has randomness of its own, so that it can be run again alone.
        let wrongs = in_own_world(seed ^ ((at as u64 + 1) << 32), move || crash::survive(remains));
        let wrongs = wrongs.unwrap_or_else(|wrong| vec![wrong]);
        if !wrongs.is_empty() {
            return (seen, fail(at, true, wrongs));
        }
    }
    seen.brought = Brought::of(&sim);
    if let Some(wrong) = caught(crash::finish(&mut sim)).await {
        return (seen, fail(steps.len(), false, vec![wrong]));
    }
    let failure = (!sim.bank.wrongs.is_empty()).then_some(sim.bank.wrongs);
    (seen, failure.and_then(|wrongs| fail(steps.len(), false, wrongs)))
}

/// A step that panics is a step that went wrong.
async fn caught<T>(step: impl Future<Output = T>) -> Option<Wrong> {
    let mut step = Box::pin(step);
    let polled = std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| step.as_mut().poll(cx))) {
        Ok(poll) => poll.map(|_| None),
        Err(_) => std::task::Poll::Ready(Some(panicked())),
    });
    polled.await
}

/// Runs it on a thread whose time and randomness are owned.
fn in_own_world<T, F>(seed: u64, run: impl FnOnce() -> F + Send + 'static) -> Result<T, Wrong>
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let now = owned::now();
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
        owned::own(seed, now);
        catch_unwind(AssertUnwindSafe(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
            runtime.expect("a runtime without sockets").block_on(run())
        }))
        .map_err(|_| panicked())
    });
    let joined = thread.expect("a thread").join();
    joined.unwrap_or_else(|_| Err(Wrong { oracle: Oracle::NoPanic, what: "a thread ended by a panic".to_owned() }))
}

fn panicked() -> Wrong {
    let what = PANIC.take().unwrap_or_else(|| "no message".to_owned());
    Wrong { oracle: Oracle::NoPanic, what }
}

/// Panics are remembered instead of printed; those that LDK's guards catch are not even wrong.
pub fn remember_panics() {
    std::panic::set_hook(Box::new(|info| PANIC.set(Some(info.to_string()))));
}
