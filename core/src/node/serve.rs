//! The loop of a running node: a turn, then whoever can be answered, then sleep until something happens.

use super::answer::{answer, handle, reconnect, remember_route};
use super::boot::follow_chain;
use super::close;
use super::command::Command;
use super::flight::Flight;
use super::idle;
use super::leave::{depart, departure, finish_receive, goes_on_for_others, may_leave, replace_leader, Departure};
use super::link::Link;
use super::mailbox::Mailbox;
use super::receive::Verdict;
use super::session::{Contact, Session};
use super::tend;
use super::waiting::Waiting;
use super::watch;
use super::State;
use crate::chain::freshness::UNHEARD;
use crate::checkpoint::Loaded;
use crate::error::{Code, Error, Result};
use crate::guard::guarded;
use crate::lsp::JitRoute;
use crate::onchain::look::Findings;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{interval_at, sleep_until, Instant, Interval, MissedTickBehavior};

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
        session.is_active = is_active(session, waiting);
        session.turn().await?;
        session.close_unasked().await?;
        waiting.drop_abandoned();
        replace_leader(session, waiting, false);
        close::pursue(session, waiting).await?;
        tend::begin(session, waiting);
        let idle_at = idle::let_rest(session, waiting);
        if watch::attend(session, waiting, session.resident.is_wanted()) && chain_work.is_none() {
            chain_work = Some(chain_turn(session));
        }
        answer(session, waiting).await?;

        // Asked after the answers: a start that succeeds just now is a reason to stay.
        match departure(session, waiting, session.resident.is_wanted()) {
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
        session.is_active = is_active(session, waiting);
        let renewal = session.wallet.committer.lease().due_at(session.is_active);
        for at in [session.reestablishes_until(), session.patient_until(), idle_at, renewal].into_iter().flatten() {
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

/// Whether it keeps its lease: it hears its LSP, or is about to, or is asked for what can be done without. A holder that hears nothing must
/// not keep others out.
fn is_active(session: &Session, waiting: &Waiting) -> bool {
    let hears = session.link.as_ref().is_some_and(Link::is_up) || waiting.connecting.is_some();
    hears || waiting.goes_on_alone() || !session.broadcasts.is_empty()
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
