//! Between sessions: what the store alone can answer, and the waits for events that another process may bring.

use super::answer::unknown_event;
use super::boot::{claim_rows, open_store};
use super::command::Command;
use super::resident::Resident;
use super::worker::Worker;
use crate::checkpoint::rows;
use crate::error::Result;
use crate::events::{Outbox, PaymentEvent};
use crate::failpoint::{self, Point};
use crate::lease::Returns;
use crate::lsp::JitRoute;
use crate::store::{Batch, Rows, Store};
use crate::wallet::ledger::{LedgerEntry, Query};
use crate::wallet::NodeRow;
use bitcoin::Address;
use std::time::Duration;
use tokio::time::{sleep_until, Instant};

/// How often an event is looked for in the store while no session runs.
const IDLE_LOOK: Duration = Duration::from_millis(250);

impl Worker {
    /// Waits for a command while callers wait for events that another process may bring. `None`: nobody waits any more.
    pub(super) async fn idle_wait(&mut self) -> Option<Command> {
        // For as long as this waits: over a network a look is then one round trip, and not a login.
        let mut kept = None;
        loop {
            self.waiting.drop_abandoned();
            let rows = look(&self.resident, &mut kept).await;
            match rows.and_then(|rows| Ok((NodeRow::load(&rows)?, Outbox::load(&rows, 0)?))) {
                Ok((row, outbox)) => self.waiting.answer_events(Instant::now(), |handle, kind| {
                    let event = outbox.iter().find(|event| {
                        kind.is_none_or(|kind| event.event_type == kind) && handle.may_hand_out(&event.id)
                    })?;
                    Some(with_wake_by(event, &row))
                }),
                Err(error) => self.waiting.fail_all(&error),
            }
            if self.has_nothing_to_do() {
                return None;
            }
            let look = (Instant::now() + IDLE_LOOK).min(self.waiting.next_deadline().unwrap_or_else(Instant::now));
            tokio::select! {
                command = self.resident.mailbox.next() => return Some(command),
                () = sleep_until(look) => {}
            }
        }
    }

    /// A command while no session runs.
    pub(super) async fn idle_command(&mut self, command: Command) {
        if let Some(error) = self.resident.fenced() {
            command.fail(error);
            return;
        }
        match command {
            Command::Look => {}
            Command::Stop { pending } => {
                self.resident.rest(pending.handle());
                pending.send(Ok(()));
            }
            // The session that this belongs to ended with an error, perhaps while the caller's own code ran.
            Command::ReceiveNext { pending } => {
                let error = pending.handle().take_receive_error();
                pending.send(error.map_or(Ok(None), Err));
            }
            Command::Balance { pending } => pending.send(self.read_row().await.map(|row| row.summary.balance)),
            Command::Channels { pending } => pending.send(self.read_row().await.map(|row| row.summary.channels)),
            Command::Ack { id, pending } => {
                pending.send_of(acknowledge(&self.resident, &id, &self.returns)).await;
                self.give_back().await;
            }
            Command::Payments { query, pending } => pending.send_of(payments(&self.resident, &query)).await,
            Command::Address { pending } => {
                pending.send_of(tell_address(&self.resident, &self.returns)).await;
                self.give_back().await;
            }
            Command::Close { .. } | Command::SendAll { .. } | Command::Watch { .. } => self.session_for(command).await,
            Command::Route { pending } => match self.saved_route().await {
                Ok(Some(route)) => pending.send(Ok(route)),
                Ok(None) => self.session_for(Command::Route { pending }).await,
                Err(error) => pending.send(Err(error)),
            },
            Command::Mint { request, pending } => match self.saved_route().await {
                Ok(Some(route)) => {
                    let minted = pending.handle().mint(&request, &route);
                    pending.send(minted);
                }
                Ok(None) => self.session_for(Command::Mint { request, pending }).await,
                Err(error) => pending.send(Err(error)),
            },
            // A call that waits brings the node back that lost its LSP while nobody asked.
            Command::NextEvent { wait, pending } => {
                let waits = wait.is_none_or(|wait| !wait.is_zero());
                let brings_back = waits && self.resident.serves(pending.handle());
                if brings_back {
                    self.resident.want(pending.handle());
                    self.session_for(Command::NextEvent { wait, pending }).await;
                } else {
                    drop(self.enqueue(Command::NextEvent { wait, pending }));
                }
            }
            Command::Start { receiving, pending } => {
                self.resident.want(pending.handle());
                self.session_for(Command::Start { receiving, pending }).await;
            }
            Command::ReceiveBegin { .. } => self.session_for(command).await,
        }
    }

    async fn read_row(&self) -> Result<NodeRow> {
        let row = NodeRow::load(&read(&self.resident, &[rows::NODE]).await?)?;
        self.resident.set_wake_by(row.summary.wake_by());
        Ok(row)
    }

    async fn saved_route(&self) -> Result<Option<JitRoute>> {
        let route = self.read_row().await?.route_of(&self.resident.config.lsp.node_id);
        self.resident.learnt(route);
        Ok(route)
    }
}

/// One look for events, in a store that is kept for the next one. A process may have stood still since the last one, and what was kept
/// be over for long: that is no error yet.
async fn look(resident: &Resident, kept: &mut Option<Box<dyn Store>>) -> Result<Rows> {
    const EVENTS: &[&str] = &[rows::NODE, rows::OUTBOX_PREFIX];
    if let Some(mut store) = kept.take() {
        if let Ok(rows) = store.read(EVENTS).await {
            *kept = Some(store);
            return Ok(rows);
        }
    }
    let mut store = open_store(resident)?;
    let rows = store.read(EVENTS).await?;
    *kept = Some(store);
    Ok(rows)
}

async fn read(resident: &Resident, prefixes: &[&str]) -> Result<Rows> {
    open_store(resident)?.read(prefixes).await
}

/// What the ledger says, beside whoever holds the wallet.
pub(super) async fn payments(resident: &Resident, query: &Query) -> Result<Vec<LedgerEntry>> {
    query.answer(open_store(resident)?.as_mut()).await
}

/// An ack while no session runs: claim, delete the row, give the lease back.
async fn acknowledge(resident: &Resident, id: &str, returns: &Returns) -> Result<()> {
    let (mut committer, snapshot) = claim_rows(resident, returns).await?;
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
async fn tell_address(resident: &Resident, returns: &Returns) -> Result<Address> {
    let account = resident.keys()?.account();
    let (place, is_new) = NodeRow::load(&read(resident, &[rows::NODE]).await?)?.holdings.tell();
    if !is_new {
        return account.address(place);
    }
    let (mut committer, snapshot) = claim_rows(resident, returns).await?;
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
