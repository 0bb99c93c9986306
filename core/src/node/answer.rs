//! Commands to a session, and the answers to those who wait for what it brings.

use super::between::payments;
use super::close::CloseWaiter;
use super::command::{Command, Pending};
use super::handle::Handle;
use super::leave::board;
use super::link::Link;
use super::session::Session;
use super::waiting::{EventWaiter, ReadyWaiter, RouteWaiter, Waiting};
use super::watch::Watch;
use crate::error::{Error, Result};
use crate::events::{EventType, PaymentEvent};
use crate::guard::guarded_work;
use crate::lsp::{lsps4, JitRoute};
use crate::wallet::Summary;
use bitcoin::Address;
use std::sync::Arc;
use tokio::time::Instant;
use tracing::Instrument;

pub(super) async fn handle(session: &mut Session, waiting: &mut Waiting, command: Command) {
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
pub(super) async fn answer(session: &mut Session, waiting: &mut Waiting) -> Result<()> {
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
pub(super) async fn remember_route(session: &mut Session, route: JitRoute) -> Result<()> {
    session.wallet.row.set_route(&session.config.lsp.node_id, route);
    session.commit().await?;
    session.resident.learnt(Some(route));
    Ok(())
}

/// Asks the store whether the lease stands before anything is said on a new connection. One that does not answer is waited for.
pub(super) async fn reconnect(session: &mut Session, waiting: &mut Waiting) -> Result<()> {
    let decided = session.wallet.committer.lease().stamp();
    session.wallet.committer.confirm().await?;
    let (dialer, peers, lsp) = (Arc::clone(&session.dialer), Arc::clone(&session.peers), Arc::clone(&session.lsp));
    let connecting = async move { dialer.connect(&peers, &lsp, None, decided).await };
    let connecting = guarded_work("connecting to the LSP", connecting);
    waiting.connecting = Some(tokio::spawn(connecting.in_current_span()));
    Ok(())
}
