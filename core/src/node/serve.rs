//! The loop of a running node: a turn, then whoever can be answered, then sleep until something happens.

use super::boot::follow_chain;
use super::close::{self, CloseWaiter};
use super::command::{Command, Pending};
use super::flight::{Boarding, Flight};
use super::handle::Handle;
use super::idle;
use super::link::Link;
use super::mailbox::Mailbox;
use super::receive::Verdict;
use super::session::{Contact, Session};
use super::tend;
use super::waiting::{EventWaiter, ReadyWaiter, RouteWaiter, Waiting};
use super::watch::{self, Watch};
use super::worker::payments;
use super::State;
use crate::chain::freshness::UNHEARD;
use crate::checkpoint::Loaded;
use crate::error::{Code, Error, Result};
use crate::events::{EventType, PaymentEvent};
use crate::failpoint::{self, Point};
use crate::guard::{guarded, guarded_work};
use crate::lsp::{lsps4, JitRoute};
use crate::onchain::look::Findings;
use crate::wallet::Summary;
use bitcoin::Address;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{interval_at, sleep_until, Instant, Interval, MissedTickBehavior};
use tracing::Instrument;

/// Pings; two ticks without an answer end a connection.
const PEER_TICK: Duration = Duration::from_secs(10);
/// LDK's own housekeeping.
const MANAGER_TICK: Duration = Duration::from_secs(60);
/// Claims on chain are broadcast again.
const REBROADCAST_TICK: Duration = Duration::from_secs(30);
/// A node that stays (a checkout page) follows the chain.
const CHAIN_TICK: Duration = Duration::from_secs(15);

/// How serving ended well.
pub(super) enum End {
    /// `stop()` was called, or nobody needs the node and the LSP is gone.
    Stopped,
}

/// Resolves with when it began: the chain as of then is known.
type ChainWork = Pin<Box<dyn Future<Output = Result<Instant>>>>;

struct Ticks {
    peers: Interval,
    manager: Interval,
    rebroadcast: Interval,
    chain: Interval,
}

impl Ticks {
    /// Missed ticks are skipped: a thawed process must not fire a burst.
    fn new() -> Self {
        let every = |period: Duration| {
            let mut interval = interval_at(Instant::now() + period, period);
            interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
            interval
        };
        Ticks {
            peers: every(PEER_TICK),
            manager: every(MANAGER_TICK),
            rebroadcast: every(REBROADCAST_TICK),
            chain: every(CHAIN_TICK),
        }
    }
}

/// What happened while the loop slept.
enum Happened {
    Work,
    Command(Command),
    LinkEnded,
    Learnt(Result<JitRoute>),
    Connected(Result<Link>),
    ChainFollowed(Result<Instant>),
    Looked(Result<Findings>),
    PeerTick,
    ManagerTick,
    RebroadcastTick,
    ChainTick,
}

/// Serves until stopped. An error means that the node is over.
pub(super) async fn serve(session: &mut Session, waiting: &mut Waiting, mailbox: &Mailbox) -> Result<End> {
    let mut ticks = Ticks::new();
    let mut chain_work: Option<ChainWork> = None;
    let mut stop_deadline: Option<Instant> = None;
    if let Some((limits, began)) = waiting.receive_begun.take() {
        session.receive_progress.begin(limits, began);
    }
    loop {
        session.turn().await?;
        session.close_unasked().await?;
        waiting.drop_abandoned();
        replace_leader(session, waiting, false);
        close::pursue(session, waiting).await?;
        tend::begin(session, waiting);
        let idle_at = idle::let_rest(session, waiting);
        let stays = session.resident.is_wanted();
        if watch::attend(session, waiting, stays) && chain_work.is_none() {
            chain_work = Some(chain_turn(session));
        }
        answer(session, waiting).await?;

        match departure(session, waiting, stays) {
            Departure::None => stop_deadline = None,
            _ if stop_deadline.is_some() => {}
            Departure::Done => {
                if !session.needs_lsp() {
                    waiting.abort_tasks();
                }
                stop_deadline = Some(Instant::now() + session.config.timeouts.stop);
            }
            Departure::Stopped => {
                // What the caller began before is over; a connection that is still being made is not worth waiting for.
                waiting.abort_tasks();
                stop_deadline = Some(Instant::now() + session.config.timeouts.stop);
            }
        }
        session.resident.set_state(if stop_deadline.is_some() { State::Stopping } else { State::Running });
        let mut wake_at = waiting.next_deadline();
        for at in [session.reestablishes_until(), session.patient_until(), idle_at].into_iter().flatten() {
            wake_at = sooner(wake_at, at);
        }
        if let Some(deadline) = stop_deadline {
            let listening = session.listens_until(Some(deadline));
            let tends = session.tending.is_looking() && Instant::now() < deadline;
            let may_leave = listening.is_none() && !tends && may_leave(session, waiting, deadline);
            if may_leave && depart(session, waiting, deadline).await? {
                return Ok(End::Stopped);
            }
            let at = listening.unwrap_or(deadline);
            wake_at = sooner(wake_at, at);
        } else if waiting.receive.is_some() {
            let resuming = session.is_resuming(waiting.connecting.is_some());
            let verdict = session.receive_progress.verdict(resuming || session.has_pending_htlcs());
            let listening = session.listens_until(session.receive_progress.deadline());
            match (verdict, listening) {
                (Verdict::WaitUntil(at), _) | (Verdict::Quiet, Some(at)) => {
                    wake_at = sooner(wake_at, at);
                }
                // What is found may have to be broadcast.
                (Verdict::Quiet, None) if session.tending.is_looking() => {
                    wake_at = session.receive_progress.deadline().map_or(wake_at, |at| sooner(wake_at, at));
                }
                // Another node of the wallet goes on: no goodbye, so nobody can have missed anything.
                (Verdict::Quiet, None) if goes_on_for_others(session, waiting) => {
                    waiting.flight.iter_mut().for_each(Flight::complete);
                    finish_receive(session, waiting);
                    replace_leader(session, waiting, true);
                    continue;
                }
                (Verdict::Quiet, None) => {
                    let deadline = session.receive_progress.deadline().unwrap_or_else(Instant::now);
                    if depart(session, waiting, deadline).await? {
                        waiting.flight.iter_mut().for_each(Flight::complete);
                        finish_receive(session, waiting);
                    }
                    continue;
                }
                (Verdict::Deadline, _) => finish_receive(session, waiting),
            }
        }

        match sleep(session, waiting, mailbox, &mut ticks, &mut chain_work, wake_at).await {
            Happened::Work => {}
            Happened::Command(command) => handle(session, waiting, command).await,
            Happened::LinkEnded => {
                session.link = None;
                let departing = stop_deadline.is_some();
                if !departing && (waiting.needs_link() || session.receive_progress.is_active()) {
                    tracing::info!("the connection to the LSP ended; connecting again for the call in progress");
                    reconnect(session, waiting).await?;
                } else if !departing {
                    // Deaf, and nobody asks: a holder that hears nothing must not keep others out. Who comes now is served all the same.
                    tracing::info!("the connection to the LSP ended and no call needs it; the node stops");
                }
            }
            Happened::Connected(result) => {
                waiting.connecting = None;
                match result {
                    Ok(link) => session.connected(link),
                    // LDK's locks are poisoned after a panic.
                    Err(error) if error.code == Code::Internal => return Err(error),
                    Err(error) if stop_deadline.is_none() && waiting.goes_on_alone() => {
                        tracing::warn!(reason = %error.message, "going on without the LSP");
                        session.contact = Contact::Unreachable;
                        waiting.fail_without_lsp(&error);
                        session.receive_progress.end();
                    }
                    Err(error) if stop_deadline.is_none() => return Err(error),
                    Err(error) => tracing::warn!(reason = %error.message, "stopping without the LSP"),
                }
            }
            Happened::Learnt(result) => {
                waiting.learning = None;
                match result {
                    Ok(route) => remember_route(session, route).await?,
                    Err(error) if error.code == Code::Internal => return Err(error),
                    Err(error) => waiting.fail_routes(&error),
                }
            }
            Happened::PeerTick => guarded("LDK's ping timer", || session.peers.timer_tick_occurred())?,
            Happened::ManagerTick => guarded("LDK's timer", || session.wallet.loaded.manager().timer_tick_occurred())?,
            Happened::RebroadcastTick => {
                guarded("LDK's rebroadcast", || session.wallet.loaded.monitors().rebroadcast_pending_claims())?;
            }
            Happened::ChainTick => chain_work = Some(chain_turn(session)),
            Happened::ChainFollowed(Ok(began)) => {
                chain_work = None;
                session.followed = began;
                session.tending.look_again();
                if !waiting.watches.is_empty() {
                    session.wallet.act_on_the_chain()?;
                }
            }
            Happened::ChainFollowed(Err(error)) => {
                chain_work = None;
                tracing::warn!(reason = %error.message, "the chain could not be followed; trying again later");
                watch::chain_failed(session, waiting, &error);
                if session.followed.elapsed() > UNHEARD {
                    // Claims would be judged by a height that nobody has confirmed for too long.
                    return Err(error);
                }
            }
            Happened::Looked(found) => tend::act(session, waiting, found).await?,
        }
    }
}

/// Whether it is time to leave, and why.
enum Departure {
    None,
    /// Nobody needs the session.
    Done,
    /// `stop()` was called.
    Stopped,
}

fn departure(session: &mut Session, waiting: &mut Waiting, stays: bool) -> Departure {
    if !waiting.stops.is_empty() {
        let stopped: Vec<_> = waiting.stops.iter().map(|pending| pending.handle().id).collect();
        if !stays && !waiting.serves_others_than(&stopped) {
            return Departure::Stopped;
        }
        for pending in std::mem::take(&mut waiting.stops) {
            stop_one(session, waiting, pending);
        }
    }
    // Deaf, a holder must not keep others out.
    let is_deaf = session.link.is_none() && waiting.connecting.is_none();
    let is_done = !waiting.needs_session() && !session.receive_progress.is_active();
    if is_done && (is_deaf || !stays) {
        Departure::Done
    } else {
        Departure::None
    }
}

/// A node stops, and others go on.
fn stop_one(session: &mut Session, waiting: &mut Waiting, pending: Pending<()>) {
    let led = waiting.is_led_by(pending.handle());
    waiting.stop_one(pending.handle());
    replace_leader(session, waiting, led);
    pending.send(Ok(()));
}

/// A `receivePayment`: it leads from now on, or joins.
fn board(session: &mut Session, waiting: &mut Waiting, boarding: Boarding) {
    let until = Instant::now() + session.config.timeouts.lsp_request;
    if let Some((limits, called)) = waiting.board(boarding, until, &session.resident) {
        session.receive_progress.begin(limits, called);
    }
}

/// A leader that `stopped`, or is gone, has a successor among those who waited for it.
fn replace_leader(session: &mut Session, waiting: &mut Waiting, stopped: bool) {
    if let Some(left) = waiting.leaderless(stopped) {
        session.receive_progress.end();
        left.into_iter().for_each(|boarding| board(session, waiting, boarding));
    }
}

/// Whether the session goes on when the node whose `receivePayment` leads stops.
fn goes_on_for_others(session: &Session, waiting: &Waiting) -> bool {
    let leader = waiting.flight.as_ref().map(|flight| flight.leader().id);
    session.resident.is_wanted_by_others(leader)
}

fn sooner(wake_at: Option<Instant>, at: Instant) -> Option<Instant> {
    Some(wake_at.map_or(at, |earlier| earlier.min(at)))
}

async fn sleep(
    session: &mut Session,
    waiting: &mut Waiting,
    mailbox: &Mailbox,
    ticks: &mut Ticks,
    chain_work: &mut Option<ChainWork>,
    wake_at: Option<Instant>,
) -> Happened {
    let wake = Arc::clone(session.wallet.loaded.wake());
    let manager = session.wallet.loaded.manager().get_event_or_persistence_needed_future();
    let monitors = session.wallet.loaded.monitors().get_update_future();
    let follows = chain_work.is_some();
    let broadcasts = !session.broadcasts.is_empty();
    tokio::select! {
        () = wake.notified() => Happened::Work,
        () = manager => Happened::Work,
        () = monitors => Happened::Work,
        command = mailbox.next() => Happened::Command(command),
        () = ended(&mut session.link) => Happened::LinkEnded,
        result = joined(&mut waiting.learning) => Happened::Learnt(result),
        result = joined(&mut waiting.connecting) => Happened::Connected(result),
        Some(tried) = session.broadcasts.join_next(), if broadcasts => {
            session.published.extend(tried.unwrap_or_default());
            Happened::Work
        }
        result = finished(chain_work) => Happened::ChainFollowed(result),
        found = session.tending.looked() => Happened::Looked(found),
        _ = ticks.peers.tick() => Happened::PeerTick,
        _ = ticks.manager.tick() => Happened::ManagerTick,
        _ = ticks.rebroadcast.tick() => Happened::RebroadcastTick,
        _ = ticks.chain.tick(), if !follows => Happened::ChainTick,
        () = sleep_until(wake_at.unwrap_or_else(Instant::now)), if wake_at.is_some() => Happened::Work,
    }
}

async fn ended(link: &mut Option<Link>) {
    match link {
        Some(link) => link.ended().await,
        None => std::future::pending().await,
    }
}

async fn finished(work: &mut Option<ChainWork>) -> Result<Instant> {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

async fn joined<T>(task: &mut Option<JoinHandle<Result<T>>>) -> Result<T> {
    match task {
        Some(task) => {
            task.await.unwrap_or_else(|error| Err(Error::new(Code::Internal, format!("a task ended: {error}"))))
        }
        None => std::future::pending().await,
    }
}

/// Follows the chain beside the loop: LDK is entered between its requests, on this same thread.
fn chain_turn(session: &Session) -> ChainWork {
    let (esplora, fees) = (Arc::clone(&session.esplora), Arc::clone(&session.fees));
    let loaded: Loaded = session.wallet.loaded.clone();
    Box::pin(async move {
        let began = Instant::now();
        let tip = esplora.tip_of_our_network().await?;
        follow_chain(&esplora, &loaded, tip).await?;
        if let Ok(estimates) = esplora.fee_estimates().await {
            fees.update(&estimates);
        }
        Ok(began)
    })
}

async fn handle(session: &mut Session, waiting: &mut Waiting, command: Command) {
    let timeouts = session.config.timeouts;
    match command {
        Command::Look => {}
        Command::Start { receiving, pending } => {
            let until = Instant::now() + timeouts.lsp_request;
            session.resident.want(pending.handle());
            waiting.starts(pending.handle());
            waiting.ready.push(ReadyWaiter { pending: pending.arm(), receiving, leads: false, until });
        }
        Command::Stop { pending } => {
            session.resident.rest(pending.handle());
            waiting.stops.push(pending.arm());
        }
        Command::Route { pending } => waiting.routes.push(RouteWaiter::Route(pending.arm())),
        Command::Mint { request, pending } => waiting.routes.push(RouteWaiter::Mint(request, pending.arm())),
        Command::NextEvent { wait, pending } => {
            let in_session = session.resident.serves(pending.handle());
            waiting.events.push(EventWaiter::new(pending, wait, in_session));
        }
        Command::Ack { id, pending } => acknowledge(session, &id, pending.arm()),
        Command::ReceiveBegin { boarding } => board(session, waiting, boarding),
        Command::ReceiveNext { pending } if waiting.is_led_by(pending.handle()) => {
            waiting.receive = Some(pending.arm())
        }
        // Its own session has ended.
        Command::ReceiveNext { pending } => {
            let error = pending.handle().take_receive_error();
            pending.send(error.map_or(Ok(None), Err));
        }
        Command::Watch { pending } => {
            waiting.watches.push(Watch::new(pending.arm(), Instant::now() + timeouts.lsp + timeouts.lsp_request));
        }
        Command::Close { channel, force, pending } => {
            waiting.closes.push(CloseWaiter::new(channel, force, pending.arm()));
        }
        Command::SendAll { send, pending } => waiting.sends.push((send, pending.arm())),
        Command::Address { pending } => tell_address(session, pending),
        Command::Balance { pending } => pending.send(Ok(session.wallet.summary().balance)),
        Command::Channels { pending } => pending.send(Ok(session.wallet.summary().channels)),
        // Bounded by the store's own time-outs, and nothing is due here that could not wait for so long.
        Command::Payments { query, pending } => pending.send_of(payments(&session.resident, &query)).await,
    }
}

/// Resolves with the commit that deletes the event.
fn acknowledge(session: &mut Session, id: &str, pending: Pending<()>) {
    let promise = Box::new(|committed| pending.send(committed));
    if let Err(promise) = session.wallet.ack(id, promise) {
        promise(Err(unknown_event(id)));
    }
}

/// Resolves with the commit that remembers that it was told.
fn tell_address(session: &mut Session, pending: Pending<Address>) {
    match session.wallet.holdings.tell_address() {
        Ok(address) if session.wallet.holdings.wants_commit() => {
            session.wallet.promise(Box::new(|kept| pending.send(kept.map(|()| address))));
        }
        told => pending.send(told),
    }
}

pub(super) fn unknown_event(id: &str) -> Error {
    let shown: String = id.chars().take(80).collect();
    Error::argument("eventId", format!("no unacked event has the id {shown:?}: it was acked before, or never was"))
}

/// Answers whoever can be answered now, and begins what others wait for.
async fn answer(session: &mut Session, waiting: &mut Waiting) -> Result<()> {
    let now = Instant::now();
    let summary_hashes =
        if waiting.events.is_empty() && waiting.receive.is_none() { None } else { Some(session.wallet.summary()) };
    waiting.answer_events(now, |handle, kind| oldest_event(session, handle, kind, summary_hashes.as_ref()));

    let up = session.link.as_ref().is_some_and(Link::is_up);
    if up {
        let usable = session.can_receive();
        waiting.answer_ready(&session.resident, usable, now);
    } else if waiting.needs_link() && session.link.is_none() && waiting.connecting.is_none() && waiting.stops.is_empty()
    {
        reconnect(session, waiting).await?;
    }
    if !waiting.routes.is_empty() {
        answer_routes(session, waiting, up);
    }
    Ok(())
}

fn oldest_event(
    session: &Session,
    handle: &Handle,
    kind: Option<EventType>,
    summary: Option<&Summary>,
) -> Option<PaymentEvent> {
    let event = session
        .wallet
        .outbox
        .iter()
        .find(|event| kind.is_none_or(|kind| event.event_type == kind) && handle.may_hand_out(&event.id))?;
    let wake_by = summary.and_then(|summary| summary.wake_by_of(&event.payment_hash));
    Some(PaymentEvent { wake_by, ..event.clone() })
}

fn answer_routes(session: &mut Session, waiting: &mut Waiting, up: bool) {
    if let Some(route) = session.wallet.row.route_of(&session.config.lsp.node_id) {
        for waiter in waiting.routes.drain(..) {
            match waiter {
                RouteWaiter::Route(pending) => pending.send(Ok(route)),
                RouteWaiter::Mint(request, pending) => {
                    let minted = pending.handle().mint(&request, &route);
                    pending.send(minted);
                }
            }
        }
    } else if up && waiting.learning.is_none() {
        let (lsp, peers, each) =
            (Arc::clone(&session.lsp), Arc::clone(&session.peers), session.config.timeouts.lsp_request);
        let learning = async move { lsps4::learn_route(&lsp, each, || peers.process_events()).await };
        let learning = guarded_work("learning the route", learning);
        waiting.learning = Some(tokio::spawn(learning.in_current_span()));
    }
}

/// A route that is told must be there after a crash: committed before anyone hears it.
async fn remember_route(session: &mut Session, route: JitRoute) -> Result<()> {
    session.wallet.row.set_route(&session.config.lsp.node_id, route);
    session.commit().await?;
    session.resident.learnt(Some(route));
    Ok(())
}

/// Asks the store whether the lease stands before anything is said on a new connection.
async fn reconnect(session: &mut Session, waiting: &mut Waiting) -> Result<()> {
    session.wallet.committer.check().await?;
    let (dialer, peers, lsp) = (Arc::clone(&session.dialer), Arc::clone(&session.peers), Arc::clone(&session.lsp));
    let connecting = async move { dialer.connect(&peers, &lsp, None).await };
    let connecting = guarded_work("connecting to the LSP", connecting);
    waiting.connecting = Some(tokio::spawn(connecting.in_current_span()));
    Ok(())
}

/// Stopping waits for fulfilment while there is a connection to fulfil through, but not for ever.
fn may_leave(session: &Session, waiting: &Waiting, deadline: Instant) -> bool {
    let can_fulfil = session.link.is_some() || waiting.connecting.is_some();
    !can_fulfil || !session.has_pending_htlcs() && waiting.connecting.is_none() || Instant::now() >= deadline
}

/// Says goodbye. False: a payment came meanwhile and is served first.
async fn depart(session: &mut Session, waiting: &mut Waiting, deadline: Instant) -> Result<bool> {
    if let Some(task) = waiting.connecting.take() {
        task.abort();
    }
    waiting.flight.iter_mut().for_each(Flight::close);
    let before = session.wallet.loaded.messages().htlcs_added();
    if let Some(link) = session.link.take() {
        failpoint::reached(Point::BeforeGoodbye);
        link.leave().await;
        failpoint::reached(Point::AfterGoodbye);
    }
    session.turn().await?;
    let came = session.wallet.loaded.messages().htlcs_added() > before;
    if came && Instant::now() < deadline {
        tracing::info!("a payment came during the goodbye; going back to serve it");
        waiting.flight.iter_mut().for_each(Flight::reopen);
        reconnect(session, waiting).await?;
        return Ok(false);
    }
    Ok(true)
}

fn finish_receive(session: &mut Session, waiting: &mut Waiting) {
    session.receive_progress.end();
    if let Some(pending) = waiting.receive.take() {
        pending.send(Ok(None));
    }
}
