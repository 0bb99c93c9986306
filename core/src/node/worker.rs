//! The one thread of a node: a current-thread runtime that lives while there is something to do, and is joined by `destroy()`.
//!
//! Between sessions the worker answers what the store alone can answer. A session (lease, LDK, connection) begins with a call
//! that needs one and ends with `stop()`, with the LSP's connection when no call needs it, or with an error.

use super::boot::{boot, claim_rows, open_store};
use super::close::CloseWaiter;
use super::command::Command;
use super::serve::{serve, unknown_event, End};
use super::session::Session;
use super::waiting::{EventWaiter, ReadyWaiter, RouteWaiter, Waiting};
use super::watch::Watch;
use super::{Shared, State};
use crate::checkpoint::rows;
use crate::error::{Code, Error, Result};
use crate::events::{Outbox, PaymentEvent};
use crate::failpoint::{self, Point};
use crate::guard::guarded;
use crate::stats::{Phase, Stats};
use crate::store::{Batch, Rows};
use crate::wallet::ledger::{LedgerEntry, Query};
use crate::wallet::NodeRow;
use bitcoin::Address;
use std::collections::VecDeque;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::time::{sleep_until, timeout, Instant};

/// LDK's deepest calls in an unoptimised build; only touched pages cost memory.
const STACK_BYTES: usize = 8 << 20;
/// How often an event is looked for in the store while no session runs.
const IDLE_LOOK: Duration = Duration::from_millis(250);
/// The part of the destroy deadline that the last commit and the release may take.
const TEARDOWN_SHARE: f64 = 0.8;

/// What the worker owns; a session that is here survives the cancellation of whatever ran it, so that it can be torn down.
struct Worker {
    shared: Arc<Shared>,
    waiting: Waiting,
    session: Option<Session>,
}

/// Hands a command to a node's worker, which is started if none works.
pub(super) fn send(shared: &Arc<Shared>, command: Command) {
    shared.mailbox.send(command, || spawn(Arc::clone(shared)));
}

/// Starts the thread.
fn spawn(shared: Arc<Shared>) -> std::io::Result<JoinHandle<()>> {
    shared.thread_begins();
    #[allow(clippy::disallowed_methods, reason = "this is the one place: one thread per running node")]
    let spawned = std::thread::Builder::new().name("mayfly".to_owned()).stack_size(STACK_BYTES).spawn({
        let shared = Arc::clone(&shared);
        move || run(&shared)
    });
    if spawned.is_err() {
        shared.thread_ended();
    }
    spawned
}

fn run(shared: &Arc<Shared>) {
    let ran = catch_unwind(AssertUnwindSafe(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => {
                let error = Error::new(Code::Internal, format!("no runtime: {error}"));
                shared.mailbox.leave_for_good(Some(&error));
                return;
            }
        };
        runtime.block_on(live(Arc::clone(shared)));
        // Tasks and sockets end here, on this thread.
        drop(runtime);
    }));
    if ran.is_err() {
        tracing::error!(reason = %Error::panicked().message, "the node's thread ended");
        // Also told to a `receivePayment` whose caller's own code runs just now.
        shared.ended_with(Error::panicked());
        shared.mailbox.leave_for_good(Some(&Error::panicked()));
    }
    shared.thread_ended();
}

async fn live(shared: Arc<Shared>) {
    let mut worker = Worker { shared: Arc::clone(&shared), waiting: Waiting::default(), session: None };
    let destroyed = tokio::select! {
        biased;
        () = shared.destroy_signalled() => true,
        () = worker.work() => false,
    };
    if destroyed {
        worker.tear_down().await;
        shared.mailbox.leave_for_good(None);
    }
}

impl Worker {
    /// Serves commands until there is nothing to do.
    async fn work(&mut self) {
        loop {
            let command = if self.waiting.is_empty() {
                match self.shared.mailbox.next_or_leave() {
                    Some(command) => Some(command),
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

    /// Waits for a command while callers wait for events that another process may bring.
    async fn idle_wait(&mut self) -> Option<Command> {
        self.waiting.drop_abandoned();
        let rows = read(&self.shared, &[rows::NODE, rows::OUTBOX_PREFIX]).await;
        match rows.and_then(|rows| Ok((NodeRow::load(&rows)?, Outbox::load(&rows, 0)?))) {
            Ok((row, outbox)) => self.waiting.answer_events(Instant::now(), &self.shared, |kind| {
                let event = outbox.iter().find(|event| {
                    kind.is_none_or(|kind| event.event_type == kind) && self.shared.may_hand_out(&event.id)
                })?;
                Some(with_wake_by(event, &row))
            }),
            Err(error) => self.waiting.fail(&error),
        }
        if self.waiting.is_empty() {
            return None;
        }
        let look = (Instant::now() + IDLE_LOOK).min(self.waiting.next_deadline().unwrap_or_else(Instant::now));
        tokio::select! {
            command = self.shared.mailbox.next() => Some(command),
            () = sleep_until(look) => None,
        }
    }

    /// A command while no session runs.
    async fn idle_command(&mut self, command: Command) {
        if let Some(error) = self.shared.over() {
            command.fail(error);
            return;
        }
        match command {
            Command::Stop { pending } => pending.send(Ok(())),
            // The session that this belongs to ended with an error, perhaps while the caller's own code ran.
            Command::ReceiveNext { pending } => pending.send(self.shared.take_receive_error().map_or(Ok(None), Err)),
            Command::Balance { pending } => pending.send(self.read_row().await.map(|row| row.summary.balance)),
            Command::Channels { pending } => pending.send(self.read_row().await.map(|row| row.summary.channels)),
            Command::Ack { id, pending } => pending.send_of(acknowledge(&self.shared, &id)).await,
            Command::Payments { query, pending } => pending.send_of(payments(&self.shared, &query)).await,
            Command::Address { pending } => pending.send_of(tell_address(&self.shared)).await,
            Command::Close { .. } | Command::SendAll { .. } => self.session_for(command, true).await,
            Command::Route { pending } => match self.saved_route().await {
                Ok(Some(route)) => pending.send(Ok(route)),
                Ok(None) => self.session_for(Command::Route { pending }, true).await,
                Err(error) => pending.send(Err(error)),
            },
            Command::Mint { request, pending } => match self.saved_route().await {
                Ok(Some(route)) => pending.send(self.shared.mint(&request, &route)),
                Ok(None) => self.session_for(Command::Mint { request, pending }, true).await,
                Err(error) => pending.send(Err(error)),
            },
            // A call that waits brings the node back that lost its LSP while nobody asked.
            Command::NextEvent { wait, pending } if !wait.is_zero() && self.shared.is_wanted() => {
                self.session_for(Command::NextEvent { wait, pending }, false).await;
            }
            Command::NextEvent { .. } => drop(self.enqueue(command)),
            Command::Watch { .. } => self.session_for(command, true).await,
            // The flight has ended while this was on its way.
            Command::Join { boarding } => boarding.board(),
            Command::Start { .. } | Command::ReceiveBegin { .. } => {
                self.shared.set_wanted(true);
                self.session_for(command, false).await;
            }
        }
    }

    /// Puts a caller among those who wait for a session; other commands come back.
    fn enqueue(&mut self, command: Command) -> Option<Command> {
        let timeouts = self.shared.config.timeouts;
        let now = Instant::now();
        // Usable channels are waited for from the connection on, which may itself take `lsp`.
        let until = now + timeouts.lsp + timeouts.lsp_request;
        match command {
            Command::Start { receiving, pending } => {
                self.waiting.ready.push(ReadyWaiter { pending: pending.arm(), receiving, until });
            }
            Command::ReceiveBegin { boarding, flight } => {
                self.waiting.receive_begun = self.waiting.lead(boarding, flight, until);
                drop(self.shared.take_receive_error());
            }
            Command::Join { boarding } => self.waiting.join(boarding),
            Command::Route { pending } => self.waiting.routes.push(RouteWaiter::Route(pending.arm())),
            Command::Mint { request, pending } => self.waiting.routes.push(RouteWaiter::Mint(request, pending.arm())),
            Command::NextEvent { wait, pending } => {
                self.waiting.events.push(EventWaiter { pending: pending.arm(), until: now + wait });
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

    async fn session_for(&mut self, command: Command, transient: bool) {
        drop(self.enqueue(command));
        self.session(transient).await;
    }

    /// One session from boot to end. `transient`: it ends when nobody waits any more.
    async fn session(&mut self, transient: bool) {
        let stats = self.shared.session_begins();
        let mut later = VecDeque::new();
        let booted = self.boot(&mut later, Arc::clone(&stats)).await;
        let result = match booted {
            Ok(Some(session)) => {
                self.shared.set_state(State::Running);
                self.session = Some(session);
                for command in later.drain(..).rev() {
                    self.shared.mailbox.put_back(command);
                }
                self.serve(transient).await
            }
            Ok(None) => Ok(Ok(())),
            Err(error) => Err(error),
        };
        for command in later.drain(..).rev() {
            self.shared.mailbox.put_back(command);
        }
        stats.reached(Phase::Ended);
        // The state first, and nothing held any more: whoever is answered looks, or calls again.
        match result {
            Ok(stopped) => {
                self.shared.set_state(State::Idle);
                self.answer_the_stopped(&stopped);
                self.waiting.land(None);
            }
            Err(error) => {
                tracing::warn!(code = error.code.as_str(), reason = %error.message, "the session ended");
                self.shared.ended_with(error.clone());
                self.waiting.fail(&error);
            }
        }
    }

    /// Boots while callers may still give up, ask to stop, or ask for more. `None`: nobody wants it any more.
    async fn boot(&mut self, later: &mut VecDeque<Command>, stats: Arc<Stats>) -> Result<Option<Session>> {
        let shared = Arc::clone(&self.shared);
        // A watch need not have the LSP, nor a send; who does, finds it later.
        let connects = self.waiting.watches.is_empty() && self.waiting.needs_lsp();
        let mut booting = pin!(boot(Arc::clone(&shared), stats, connects));
        loop {
            tokio::select! {
                session = &mut booting => return session.map(Some),
                command = shared.mailbox.next() => match command {
                    Command::Stop { pending } => {
                        shared.set_wanted(false);
                        self.waiting.stops.push(pending);
                        return Ok(None);
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

    /// Serves until the end. `Ok` holds how stopping went; an error ended the session.
    async fn serve(&mut self, transient: bool) -> Result<Result<()>> {
        let Some(session) = self.session.as_mut() else { return Ok(Ok(())) };
        let ended = serve(session, &mut self.waiting, &self.shared.mailbox, transient).await;
        self.waiting.abort_tasks();
        self.shared.set_state(State::Stopping);
        let Some(mut session) = self.session.take() else { return Ok(Ok(())) };
        match ended {
            Ok(End::Stopped) => {
                let finished = session.turn().await;
                session.broadcasts_tried().await;
                for watch in &mut self.waiting.watches {
                    watch.attend(&session);
                }
                self.shared.set_wake_by(session.wallet.summary().wake_by());
                let released = release(session).await;
                Ok(finished.and(released))
            }
            Err(error) => {
                // A promise of a commit that did not happen must not read as one of a destroyed node.
                session.wallet.break_promises(&error);
                let _ = guarded("disconnecting", || session.peers.disconnect_all_peers());
                if let Err(problem) = release(session).await {
                    tracing::debug!(reason = %problem.message, "the lease was not given back");
                }
                Err(error)
            }
        }
    }

    fn answer_the_stopped(&mut self, result: &Result<()>) {
        for pending in self.waiting.stops.drain(..) {
            pending.send(result.clone());
        }
        for watch in self.waiting.watches.drain(..) {
            watch.answer(result);
        }
        for waiter in self.waiting.events.drain(..) {
            waiter.pending.send(Ok(None));
        }
        if let Some(pending) = self.waiting.receive.take() {
            pending.send(Ok(None));
        }
        self.waiting.fail(&Error::new(Code::Aborted, "stop() was called"));
    }

    async fn read_row(&self) -> Result<NodeRow> {
        let row = NodeRow::load(&read(&self.shared, &[rows::NODE]).await?)?;
        self.shared.set_wake_by(row.summary.wake_by());
        Ok(row)
    }

    async fn saved_route(&self) -> Result<Option<crate::lsp::JitRoute>> {
        let route = self.read_row().await?.route_of(&self.shared.config.lsp.node_id);
        self.shared.learnt(route);
        Ok(route)
    }

    /// `destroy()`: the peer first, so that the LSP knows at once; then what is worth a commit; then the lease.
    async fn tear_down(&mut self) {
        self.waiting.abort_tasks();
        let Some(mut session) = self.session.take() else { return };
        let budget = self.shared.config.destroy_timeout.mul_f64(TEARDOWN_SHARE);
        let last = async {
            failpoint::reached(Point::BeforeDestroy);
            let _ = guarded("disconnecting", || session.peers.disconnect_all_peers());
            failpoint::reached(Point::DestroyAfterDisconnect);
            if let Err(error) = session.turn().await {
                self.shared.unfinished(format!("the last commit: {}", error.message));
            }
            failpoint::reached(Point::DestroyAfterCommit);
            if let Err(error) = release(session).await {
                self.shared.unfinished(format!("giving the lease back: {}", error.message));
            }
        };
        if timeout(budget, last).await.is_err() {
            self.shared.unfinished("the last commit and the release took too long".to_owned());
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

async fn read(shared: &Shared, prefixes: &[&str]) -> Result<Rows> {
    open_store(&shared.config, shared.wallet_id()?).read(prefixes).await
}

/// What the ledger says, beside whoever holds the wallet.
pub(super) async fn payments(shared: &Shared, query: &Query) -> Result<Vec<LedgerEntry>> {
    query.answer(open_store(&shared.config, shared.wallet_id()?).as_mut()).await
}

/// An ack while no session runs: claim, delete the row, give the lease back.
async fn acknowledge(shared: &Shared, id: &str) -> Result<()> {
    let (mut committer, snapshot) = claim_rows(shared).await?;
    let mut outbox = Outbox::load(&snapshot.rows, 0)?;
    let acked = if outbox.ack(id) {
        let mut batch = Batch::default();
        outbox.stage(&mut batch)?;
        failpoint::reached(Point::BeforeAck);
        let committed = committer.commit(&batch).await;
        failpoint::reached(Point::AfterAck);
        committed
    } else {
        Err(unknown_event(id))
    };
    committer.release().await.and(acked)
}

/// The address that serves. One that was told before is read without the lease.
async fn tell_address(shared: &Shared) -> Result<Address> {
    let account = shared.keys()?.account();
    let (place, is_new) = NodeRow::load(&read(shared, &[rows::NODE]).await?)?.holdings.tell();
    if !is_new {
        return account.address(place);
    }
    let (mut committer, snapshot) = claim_rows(shared).await?;
    let mut row = NodeRow::load(&snapshot.rows)?;
    let (place, _) = row.holdings.tell();
    let mut batch = Batch::default();
    row.stage(&mut batch)?;
    let told = committer.commit(&batch).await;
    committer.release().await.and(told)?;
    account.address(place)
}

fn with_wake_by(event: &PaymentEvent, row: &NodeRow) -> PaymentEvent {
    PaymentEvent { wake_by: row.summary.wake_by_of(&event.payment_hash), ..event.clone() }
}
