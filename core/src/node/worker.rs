//! The one thread of a node: a current-thread runtime that lives while there is something to do, and is joined by `destroy()`.
//!
//! Between sessions the worker answers what the store alone can answer. A session (lease, LDK, connection) begins with a call
//! that needs one and ends with `stop()`, with the LSP's connection when no call needs it, or with an error.

use super::boot::boot;
use super::chapter::Chapter;
use super::close::CloseWaiter;
use super::command::{Command, Pending};
use super::handle::Handle;
use super::resident::Resident;
use super::serve::{serve, End};
use super::session::Session;
use super::stages::Stage;
use super::waiting::{EventWaiter, ReadyWaiter, RouteWaiter, Waiting};
use super::watch::Watch;
use super::State;
use crate::error::{Code, Error, Result};
use crate::failpoint::{self, Point};
use crate::guard::{guarded, guarded_future, guarded_work};
use crate::lease::Returns;
use crate::stats::{Phase, Stats};
use crate::wallet::Promise;
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::time::{timeout, timeout_at, Instant};
use tracing::Instrument;

/// LDK's deepest calls in an unoptimised build; only touched pages cost memory.
const STACK_BYTES: usize = 8 << 20;
/// The part of the destroy deadline that the last commit and the release may take.
const TEARDOWN_SHARE: f64 = 0.8;

/// What the worker owns; a session that is here survives the cancellation of whatever ran it, so that it can be torn down.
pub(super) struct Worker {
    pub resident: Arc<Resident>,
    pub waiting: Waiting,
    session: Option<Session>,
    /// Promises of a commit that did not happen, of the session that ends. They must not read as those of a destroyed node.
    broken: Vec<Promise>,
    /// What a holder left that ended without giving its lease back.
    pub returns: Returns,
    /// Of the session that is here, or begins.
    chapter: Option<Chapter>,
}

/// Starts the thread. Under the mailbox's lock.
pub(super) fn spawn(resident: Arc<Resident>) -> std::io::Result<JoinHandle<()>> {
    let number = resident.thread_begins();
    #[allow(clippy::disallowed_methods, reason = "this is the one place: one thread per running node")]
    let spawned = std::thread::Builder::new().name("mayfly".to_owned()).stack_size(STACK_BYTES).spawn({
        let resident = Arc::clone(&resident);
        move || run(&resident, number)
    });
    if spawned.is_err() {
        resident.thread_ended(number);
    }
    spawned
}

fn run(resident: &Arc<Resident>, number: u64) {
    let ran = guarded("the node's thread", || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => {
                let error = Error::new(Code::Internal, format!("no runtime: {error}"));
                resident.mailbox.leave_for_good(Some(&error));
                return;
            }
        };
        runtime.block_on(live(Arc::clone(resident)));
        // Tasks and sockets end here, on this thread.
        drop(runtime);
    });
    if let Err(error) = ran {
        tracing::error!(reason = %error.message, "the node's thread ended");
        resident.session_ended(Some(&error));
        resident.mailbox.leave_for_good(Some(&error));
    }
    resident.thread_ended(number);
}

async fn live(resident: Arc<Resident>) {
    let mut worker = Worker {
        resident: Arc::clone(&resident),
        waiting: Waiting::default(),
        session: None,
        broken: Vec::new(),
        returns: Returns::default(),
        chapter: None,
    };
    let destroyed = tokio::select! {
        biased;
        within = resident.destroy_signalled() => Some(within),
        () = worker.work() => None,
    };
    if let Some(within) = destroyed {
        resident.through(Stage::Signal);
        worker.end_session(within).await;
        worker.waiting.park().into_iter().for_each(Command::resettle);
        resident.mailbox.leave_for_good(None);
    }
}

impl Worker {
    /// Serves commands until there is nothing to do.
    async fn work(&mut self) {
        // It may still hold the wallet. One that is stuck is not waited for: who wants the wallet is told that it is locked.
        let _ = timeout(self.resident.config.timeouts.store, self.resident.predecessor_ended()).await;
        loop {
            let command = if self.has_nothing_to_do() {
                let mut parked = self.waiting.park();
                match self.resident.mailbox.next_or_leave(&mut parked) {
                    Some(command) => {
                        parked.into_iter().for_each(|command| drop(self.enqueue(command)));
                        Some(command)
                    }
                    None => return,
                }
            } else {
                self.idle_wait().await
            };
            if let Some(command) = command {
                self.idle_command(command).await;
            }
        }
    }

    /// Nobody waits, or only for events, without end, and had no other call for so long that a node would rest.
    pub(super) fn has_nothing_to_do(&self) -> bool {
        let limit = self.resident.config.max_idle;
        let rests = |handle: &Handle| match (limit, handle.idle_since()) {
            (Some(limit), Some(since)) => since.elapsed() >= limit,
            _ => false,
        };
        self.waiting.is_empty() && self.waiting.events.iter().all(|waiter| rests(waiter.pending.handle()))
    }

    /// Puts a caller among those who wait for a session; other commands come back.
    pub(super) fn enqueue(&mut self, command: Command) -> Option<Command> {
        let timeouts = self.resident.config.timeouts;
        let now = Instant::now();
        // Usable channels are waited for from the connection on, which may itself take `lsp`.
        let until = now + timeouts.lsp + timeouts.lsp_request;
        match command {
            Command::Start { receiving, pending } => {
                self.waiting.starts(pending.handle());
                self.waiting.ready.push(ReadyWaiter { pending: pending.arm(), receiving, leads: false, until });
            }
            Command::ReceiveBegin { boarding } => {
                let begun = self.waiting.board(boarding, until, &self.resident);
                self.waiting.receive_begun = begun.or(self.waiting.receive_begun.take());
            }
            Command::Route { pending } => self.waiting.routes.push(RouteWaiter::Route(pending.arm())),
            Command::Mint { request, pending } => self.waiting.routes.push(RouteWaiter::Mint(request, pending.arm())),
            Command::NextEvent { wait, pending } => {
                let in_session = self.resident.serves(pending.handle());
                self.waiting.events.push(EventWaiter::new(pending, wait, in_session));
            }
            Command::Watch { pending } => self.waiting.watches.push(Watch::new(pending.arm(), until)),
            Command::Close { channel, force, pending } => {
                self.waiting.closes.push(CloseWaiter::new(channel, force, pending.arm()));
            }
            Command::SendAll { send, pending } => self.waiting.sends.push((send, pending.arm())),
            other => return Some(other),
        }
        None
    }

    pub(super) async fn session_for(&mut self, command: Command) {
        drop(self.enqueue(command));
        self.session().await;
    }

    /// One session from boot to end.
    async fn session(&mut self) {
        let stats = self.resident.session_begins();
        let span = self.chapter.insert(Chapter::new(&self.resident, Arc::clone(&stats))).span();
        self.live_through(stats).instrument(span).await;
    }

    async fn live_through(&mut self, stats: Arc<Stats>) {
        let mut later = VecDeque::new();
        let booted = self.boot(&mut later, Arc::clone(&stats)).await;
        let given_up = matches!(booted, Ok(None));
        self.give_back().await;
        self.returns.forget_claim();
        let result = match booted {
            Ok(Some(session)) => {
                self.resident.set_state(State::Running);
                self.session = Some(session);
                for command in later.drain(..).rev() {
                    self.resident.mailbox.put_back(command);
                }
                self.serve().await
            }
            Ok(None) => Ok(Ok(())),
            Err(error) => Err(error),
        };
        for command in later.drain(..).rev() {
            self.resident.mailbox.put_back(command);
        }
        stats.reached(Phase::Ended);
        if let Some(chapter) = self.chapter.take() {
            let how = result.clone().and_then(|stopped| stopped);
            chapter.close((!given_up).then_some(&how));
        }
        // The state first, and nothing held any more: whoever is answered looks, or calls again.
        match result {
            Ok(stopped) => {
                self.resident.session_ended(None);
                self.break_promises(stopped.as_ref().err());
                self.answer_the_stopped(&stopped);
                self.waiting.land(None);
            }
            Err(error) => {
                tracing::warn!(code = error.code.as_str(), reason = %error.message, "the session ended");
                self.resident.session_ended(Some(&error));
                self.break_promises(Some(&error));
                if error.code == Code::Fenced {
                    self.waiting.fail_all(&error);
                } else {
                    self.waiting.fail(&error);
                }
            }
        }
    }

    /// Boots while callers may still give up, ask to stop, or ask for more. `None`: nobody wants it any more.
    async fn boot(&mut self, later: &mut VecDeque<Command>, stats: Arc<Stats>) -> Result<Option<Session>> {
        let resident = Arc::clone(&self.resident);
        // A watch need not have the LSP, nor a send; who does, finds it later.
        let connects = self.waiting.watches.is_empty() && self.waiting.needs_lsp();
        let returns = self.returns.clone();
        let mut booting = pin!(guarded_work("the start", boot(Arc::clone(&resident), stats, connects, &returns)));
        loop {
            tokio::select! {
                session = &mut booting => return session.map(Some),
                command = resident.mailbox.next() => match self.led(command) {
                    Command::Stop { pending } => {
                        resident.rest(pending.handle());
                        if !self.goes_on_without(pending) {
                            return Ok(None);
                        }
                    }
                    Command::ReceiveNext { pending } if !self.waiting.is_led_by(pending.handle()) => {
                        let error = pending.handle().take_receive_error();
                        pending.send(error.map_or(Ok(None), Err));
                    }
                    other => later.extend(self.enqueue(other)),
                },
                () = self.waiting.all_abandoned() => {
                    tracing::debug!("nobody waits for the start any more");
                    return Ok(None);
                }
            }
        }
    }

    /// The same command, when there is a leader for those who wait for one.
    fn led(&mut self, command: Command) -> Command {
        self.waiting.drop_abandoned();
        for boarding in self.waiting.leaderless(false).unwrap_or_default() {
            drop(self.enqueue(Command::ReceiveBegin { boarding }));
        }
        command
    }

    /// A node stops while the session that it asked for begins. Whether it goes on for another one.
    fn goes_on_without(&mut self, pending: Pending<()>) -> bool {
        let goes_on = self.resident.is_wanted() || self.waiting.serves_others_than(&[pending.handle().id]);
        if goes_on {
            self.waiting.stop_one(pending.handle());
            pending.send(Ok(()));
        } else {
            self.waiting.stops.push(pending);
        }
        goes_on
    }

    /// Serves until the end. `Ok` holds how stopping went; an error ended the session.
    async fn serve(&mut self) -> Result<Result<()>> {
        let Some(session) = self.session.as_mut() else { return Ok(Ok(())) };
        let serving = serve(session, &mut self.waiting, &self.resident.mailbox);
        let ended = guarded_work("the node's loop", serving).await;
        self.waiting.abort_tasks();
        self.resident.set_state(State::Stopping);
        let Some(mut session) = self.session.take() else { return Ok(Ok(())) };
        match ended {
            Ok(End::Stopped) => {
                let ending = async {
                    let finished = session.turn().await;
                    self.broken = session.wallet.take_promises();
                    let finished = match finished {
                        Ok(()) => session.broadcasts_tried().await,
                        over => over,
                    };
                    for watch in &mut self.waiting.watches {
                        watch.attend(&session);
                    }
                    self.resident.set_wake_by(session.wallet.summary().wake_by());
                    let released = release(session).await;
                    finished.and(released)
                };
                Ok(guarded_work("the stop", ending).await)
            }
            Err(error) => {
                self.broken = session.wallet.take_promises();
                let _ = guarded("disconnecting", || session.peers.disconnect_all_peers());
                if let Err(problem) = release(session).await {
                    tracing::debug!(reason = %problem.message, "the lease was not given back");
                }
                Err(error)
            }
        }
    }

    /// For holders that are gone. `timeouts.storeMs` bounds each.
    pub(super) async fn give_back(&self) {
        if let Err(error) = self.returns.give_back().await {
            tracing::debug!(reason = %error.message, "the lease was not given back; it expires");
        }
    }

    /// `None`: all were kept.
    fn break_promises(&mut self, reason: Option<&Error>) {
        let Some(reason) = reason else { return };
        for promise in self.broken.drain(..) {
            promise(Err(reason.clone()));
        }
    }

    fn answer_the_stopped(&mut self, result: &Result<()>) {
        for pending in self.waiting.stops.drain(..) {
            pending.send(result.clone());
        }
        for watch in self.waiting.watches.drain(..) {
            watch.answer(result);
        }
        self.waiting.end_waits(|_| true);
        self.waiting.fail(&Error::new(Code::Aborted, "stop() was called"));
    }

    /// `destroy()` ends the session, if there is one.
    async fn end_session(&mut self, within: Duration) {
        self.waiting.abort_tasks();
        let until = Instant::now() + within.mul_f64(TEARDOWN_SHARE);
        if let Some(chapter) = self.chapter.take() {
            self.tear_down(until).instrument(chapter.span()).await;
            chapter.cut_short();
        }
        // Of what was under way when it was called.
        if !self.returns.is_empty() {
            let result = match timeout_at(until, self.returns.give_back()).await {
                Ok(result) => result.map_err(|error| error.message),
                Err(_) => Err("it took too long".to_owned()),
            };
            if let Err(problem) = result {
                self.resident.unfinished(format!("giving the lease back: {problem}; it ends by its time to live"));
            }
        }
        if self.returns.is_claiming() {
            let what = "a claim was under way: if it came through, its lease ends by its time to live";
            self.resident.unfinished(what.to_owned());
        }
    }

    /// `destroy()`: the peer first, so that the LSP knows at once; then what is worth a commit; then the lease.
    async fn tear_down(&mut self, until: Instant) {
        let Some(mut session) = self.session.take() else { return };
        let last = async {
            failpoint::reached(Point::BeforeDestroy);
            let _ = guarded("disconnecting", || session.peers.disconnect_all_peers());
            self.resident.through(Stage::Disconnect);
            failpoint::reached(Point::DestroyAfterDisconnect);
            if let Err(error) = session.turn().await {
                self.resident.unfinished(format!("the last commit: {}", error.message));
            }
            self.resident.through(Stage::Commit);
            failpoint::reached(Point::DestroyAfterCommit);
            if let Err(error) = release(session).await {
                self.resident.unfinished(format!("giving the lease back: {}", error.message));
            }
            self.resident.through(Stage::Release);
        };
        match timeout_at(until, guarded_future("destroy()", last)).await {
            Ok(Ok(())) => {}
            Ok(Err(panic)) => self.resident.unfinished(panic.message),
            Err(_) => self.resident.unfinished("the last commit and the release took too long".to_owned()),
        }
    }
}

/// Sockets first, then the lease: nobody else may come while we still speak.
async fn release(session: Session) -> Result<()> {
    let Session { wallet, peers, link, .. } = session;
    let _ = guarded("disconnecting", || peers.disconnect_all_peers());
    drop(link);
    failpoint::reached(Point::BeforeLeaseRelease);
    wallet.committer.release().await?;
    failpoint::reached(Point::AfterLeaseRelease);
    Ok(())
}
