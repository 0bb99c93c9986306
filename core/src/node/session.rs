//! A running node: LDK, the lease, and one turn of its loop: HTLCs → events → cut → commit → open the gate → send.

use super::command::Pending;
use super::link::{Dialer, Link, Peers};
use super::receive::ReceiveProgress;
use super::row::NodeRow;
use super::view::Summary;
use super::Shared;
use crate::chain::esplora::Esplora;
use crate::chain::fees::Fees;
use crate::chain::publish::publish;
use crate::checkpoint::{rows, Committer, Loaded};
use crate::config::Config;
use crate::error::{Code, Error, Result};
use crate::events::Outbox;
use crate::lsp::transport::LspTransport;
use crate::stats::{Phase, Stats};
use crate::store::Batch;
use bitcoin::Transaction;
use std::collections::HashSet;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long the LSP may take from TCP to its last `channel_reestablish`, which it sends right behind `init`.
const REESTABLISH: Duration = Duration::from_millis(1_500);

/// A wallet that is claimed and loaded. Dropping it gives the lock up; what is not committed was never said.
pub(super) struct Session {
    pub config: Arc<Config>,
    pub shared: Arc<Shared>,
    pub stats: Arc<Stats>,
    pub loaded: Loaded,
    pub committer: Committer,
    pub peers: Arc<Peers>,
    pub lsp: Arc<LspTransport>,
    pub dialer: Arc<Dialer>,
    pub link: Option<Link>,
    pub esplora: Arc<Esplora>,
    pub fees: Arc<Fees>,
    pub outbox: Outbox,
    pub row: NodeRow,
    /// Rows for the next commit, beside LDK's and the outbox's.
    pub staged: Batch,
    /// Payment hashes that were claimed, in this life or (as LDK tells at load) before.
    pub claimed: HashSet<[u8; 32]>,
    /// Payment ids that LDK told in this life.
    pub seen_now: HashSet<String>,
    /// Promises that wait for the next commit.
    pub on_commit: Vec<Pending<()>>,
    pub receive_progress: ReceiveProgress,
    /// Transactions on their way to the network.
    pub broadcasts: JoinSet<()>,
}

impl Session {
    /// One turn. An error means that the node is over.
    pub async fn turn(&mut self) -> Result<()> {
        self.drive_ldk()?;
        if self.wants_commit() {
            self.commit().await?;
        }
        let peers = Arc::clone(&self.peers);
        guarded("sending", || peers.process_events())?;
        self.check_fault()
    }

    /// Lets LDK work until it has nothing more to do for now.
    fn drive_ldk(&mut self) -> Result<()> {
        loop {
            self.check_fault()?;
            let busy = guarded("LDK", || {
                let manager = self.loaded.manager();
                let htlcs = manager.needs_pending_htlc_processing();
                if htlcs {
                    manager.process_pending_htlc_forwards();
                }
                htlcs | self.handle_ldk_events()
            })?;
            if !busy {
                return Ok(());
            }
            self.receive_progress.saw_activity();
        }
    }

    fn wants_commit(&self) -> bool {
        self.loaded.wants_commit()
            || self.outbox.wants_commit()
            || !self.staged.is_empty()
            || !self.on_commit.is_empty()
    }

    /// One transaction; then everything that waited for it goes.
    pub async fn commit(&mut self) -> Result<()> {
        let cut = guarded("the cut", || -> Result<_> {
            let mut batch = std::mem::take(&mut self.staged);
            self.refresh_row();
            self.outbox.stage(&mut batch)?;
            self.row.stage(&mut batch)?;
            Ok(self.loaded.cut(batch))
        })??;
        self.check_fault()?;
        self.committer.commit(&cut.batch).await?;
        if cut.batch.puts().keys().any(|key| key.starts_with(rows::LEDGER_PREFIX)) {
            self.stats.reached(Phase::Received);
        }
        self.outbox.committed();
        self.receive_progress.saw_activity();
        let transactions = self.loaded.open_gate(cut);
        self.broadcast(transactions);
        for promise in self.on_commit.drain(..) {
            promise.send(Ok(()));
        }
        self.shared.set_wake_by(self.row.summary.wake_by());
        Ok(())
    }

    /// What the node's row says as of now.
    fn refresh_row(&mut self) {
        let onchain_sats = self.row.spendable_sats.values().sum();
        let claimed = &self.claimed;
        self.row.summary = Summary::of(&self.loaded, onchain_sats, |hash| claimed.contains(hash));
        self.row.next_event = self.outbox.next_number();
        self.row.fees = String::from_utf8(self.fees.save()).ok();
        self.row.forget_told(&self.seen_now);
        let given_up = self.loaded.messages().recovery().given_up();
        self.row.given_up = given_up.iter().map(ToString::to_string).collect();
    }

    /// The state of the wallet now, committed or not.
    pub fn summary(&self) -> Summary {
        let onchain_sats = self.row.spendable_sats.values().sum();
        Summary::of(&self.loaded, onchain_sats, |hash| self.claimed.contains(hash))
    }

    /// Whether a claimed HTLC is not yet fulfilled and revoked, or any HTLC is in flight towards us.
    pub fn has_pending_htlcs(&self) -> bool {
        self.loaded.manager().list_channels().iter().any(|channel| !channel.pending_inbound_htlcs.is_empty())
    }

    /// Until when the LSP may still say what it knows of one of our channels; none: it has, or it had its time.
    pub fn reestablishes_until(&self) -> Option<Instant> {
        let until = self.link.as_ref().filter(|link| link.is_up())?.opened() + REESTABLISH;
        let awaits = self.loaded.messages().awaits_reestablish(self.config.lsp.node_id);
        (awaits && until > Instant::now()).then_some(until)
    }

    /// Whether the channels that the LSP knows can carry payments now. One that it is silent about can't be waited for: it has
    /// forgotten it, or closed it, and a payment opens another.
    pub fn can_receive(&self) -> bool {
        let (messages, lsp) = (self.loaded.messages(), self.config.lsp.node_id);
        let waits = self.reestablishes_until().is_some();
        let channels = self.loaded.manager().list_channels();
        channels.iter().all(|channel| {
            let silent = messages.awaits_reestablish_of(lsp, channel.channel_id);
            channel.is_usable || !channel.is_channel_ready || silent && !waits
        })
    }

    /// Whether the LSP has still to hear or say what became of our channels: a connection is being made, perhaps after one that
    /// broke off under our last word, or stands and is not reestablished.
    pub fn is_resuming(&self, connecting: bool) -> bool {
        connecting || self.reestablishes_until().is_some()
    }

    /// Before that instant, if it is to come before `deadline`, a goodbye could cut the LSP short.
    pub fn listens_until(&self, deadline: Option<Instant>) -> Option<Instant> {
        let until = self.loaded.messages().listen_until().filter(|_| self.link.is_some())?;
        (until > Instant::now() && deadline.is_none_or(|deadline| until < deadline)).then_some(until)
    }

    /// `Err` if a gate closed for good.
    pub fn check_fault(&self) -> Result<()> {
        self.loaded.fault().reason().map_or(Ok(()), Err)
    }

    /// Each in a task of its own; one that did not reach the network is handed out again by LDK's rebroadcast timer.
    fn broadcast(&mut self, transactions: Vec<Transaction>) {
        for transaction in transactions {
            let (esplora, gate) = (Arc::clone(&self.esplora), Arc::clone(self.loaded.broadcasts()));
            self.broadcasts.spawn(async move {
                let txid = transaction.compute_txid();
                publish(&esplora, &transaction, move || gate.forget(&txid)).await;
            });
        }
    }

    /// Until what was handed out has been tried, which `timeouts.chainMs` bounds: with the node its tasks end, too.
    pub async fn broadcasts_tried(&mut self) {
        while self.broadcasts.join_next().await.is_some() {}
    }
}

/// Runs LDK code; a panic in it becomes `INTERNAL` and the node is over, the process is not.
pub(crate) fn guarded<T>(what: &str, call: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        let line = text.lines().next().unwrap_or_default();
        Error::new(
            Code::Internal,
            format!("a panic in {what}: {line}; the node is stopped, what was committed is safe"),
        )
    })
}
