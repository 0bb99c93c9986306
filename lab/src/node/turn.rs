//! The run loop: wait, take a turn, commit, let go.

use super::{Base, End, Node, Role};
use bitcoin::Transaction;
use lightning::events::{Event, EventsProvider, ReplayEvent};
use mayfly_core::checkpoint::Committer;
use mayfly_core::error::{Error, Result};
use mayfly_core::store::Batch;
use std::cell::RefCell;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// What LDK asks for: fee updates, expired payments, stale channels.
const MANAGER_EVERY: Duration = Duration::from_secs(60);
/// Forwards lead to events and events to forwards; more rounds than this wait for the next turn, so that sockets get theirs.
const MAX_ROUNDS: usize = 16;

type AfterCommit = Box<dyn FnOnce(&Base)>;

/// What a role wants committed with this turn, and what it lets out once that is done.
#[derive(Default)]
pub struct Turn {
    rows: Batch,
    after_commit: Vec<AfterCommit>,
}

impl Turn {
    /// Writes a row of the role's own in the same transaction as LDK's state.
    pub fn put(&mut self, key: impl Into<String>, value: Vec<u8>) {
        self.rows.put(key, value);
    }

    /// Deletes one.
    pub fn delete(&mut self, key: impl Into<String>) {
        self.rows.delete(key);
    }

    /// Runs when this turn is committed: an answer, a webhook, a resolved promise.
    pub fn after_commit(&mut self, output: impl FnOnce(&Base) + 'static) {
        self.after_commit.push(Box::new(output));
    }
}

impl<R: Role> Node<R> {
    /// Takes turns until told to end, or until the node is over. Graceful: disconnects, commits once more, gives the lease back.
    pub(super) async fn run(&self, mut end: watch::Receiver<Option<End>>) -> Result<()> {
        let Some(mut committer) = self.committer.borrow_mut().take() else {
            return Err(Error::destroyed());
        };
        let mut timers = Timers::start();
        let mut tip = self.base.chain.subscribe();
        loop {
            self.turn(&mut committer).await?;
            let deadline = timers.next(&self.role);
            let (wake, manager) = (self.base.loaded.wake(), self.base.manager());
            tokio::select! {
                _ = end.wait_for(Option::is_some) => break,
                () = wake.notified() => {}
                () = manager.get_event_or_persistence_needed_future() => {}
                () = self.base.loaded.monitors().get_update_future() => {}
                _ = tip.changed() => {}
                () = tokio::time::sleep_until(deadline) => {}
            }
            timers.fire(&self.base, &self.role);
        }
        let killed = *end.borrow() == Some(End::Kill);
        if killed {
            return Ok(());
        }
        self.base.peers.disconnect_all_peers();
        self.turn(&mut committer).await?;
        committer.release().await
    }

    async fn turn(&self, committer: &mut Committer) -> Result<()> {
        let base = &self.base;
        base.follow_chain();
        let mut turn = Turn::default();
        for _ in 0..MAX_ROUNDS {
            if base.manager().needs_pending_htlc_processing() {
                base.manager().process_pending_htlc_forwards();
            }
            for event in base.take_events() {
                self.role.event(base, event, &mut turn);
            }
            self.role.act(base, &mut turn);
            if !base.manager().needs_pending_htlc_processing() {
                break;
            }
            base.wake();
        }
        if let Some(reason) = base.loaded.fault().reason() {
            return Err(reason);
        }
        if base.loaded.wants_commit() || !turn.rows.is_empty() {
            let cut = base.loaded.cut(turn.rows);
            committer.commit(&cut.batch).await?;
            for transaction in base.loaded.open_gate(cut) {
                base.broadcast(transaction);
            }
        }
        for output in turn.after_commit {
            output(base);
        }
        base.peers.process_events();
        Ok(())
    }
}

impl Base {
    /// What LDK has to say. Taken as handled: what it leads to is in the same cut as its removal.
    fn take_events(&self) -> Vec<Event> {
        let events = RefCell::new(Vec::new());
        let take = |event: Event| -> std::result::Result<(), ReplayEvent> {
            events.borrow_mut().push(event);
            Ok(())
        };
        self.manager().process_pending_events(&take);
        self.loaded.monitors().process_pending_events(&take);
        events.into_inner()
    }

    fn broadcast(&self, transaction: Transaction) {
        let txid = transaction.compute_txid();
        if let Err(error) = self.chain.submit(transaction) {
            tracing::warn!(node = %self.id, %txid, %error, "a broadcast was refused");
            self.loaded.broadcasts().forget(&txid);
        }
    }
}

/// LDK's timers. A late one fires once, not once for each time it missed.
struct Timers {
    last_ping: Instant,
    last_manager: Instant,
}

impl Timers {
    fn start() -> Self {
        let now = Instant::now();
        Timers { last_ping: now, last_manager: now }
    }

    fn next(&self, role: &impl Role) -> Instant {
        let own = (self.last_ping + role.ping_every()).min(self.last_manager + MANAGER_EVERY);
        role.deadline().map_or(own, |deadline| own.min(deadline))
    }

    fn fire(&mut self, base: &Base, role: &impl Role) {
        let now = Instant::now();
        if now >= self.last_ping + role.ping_every() {
            self.last_ping = now;
            base.peers.timer_tick_occurred();
        }
        if now >= self.last_manager + MANAGER_EVERY {
            self.last_manager = now;
            base.manager().timer_tick_occurred();
        }
    }
}
