//! A running node: a wallet and its network, and one turn of its loop: HTLCs → events → cut → commit → open the gate → send.

use super::link::{Dialer, Link, Peers};
use super::patience::patience;
use super::receive::ReceiveProgress;
use super::resident::Resident;
use super::tend::Tending;
use crate::chain::esplora::Esplora;
use crate::chain::fees::Fees;
use crate::chain::publish::{families, publish};
use crate::config::Config;
use crate::error::Result;
use crate::failpoint::{self, Point};
use crate::guard::{guarded, guarded_future};
use crate::lsp::transport::LspTransport;
use crate::stats::{Phase, Stats};
use crate::wallet::{Summary, Wallet};
use bitcoin::{Transaction, Txid};
use lightning::ln::channel_state::ChannelDetails;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Instrument;

/// How long the LSP may take from TCP to its last `channel_reestablish`, which it sends right behind `init`.
const REESTABLISH: Duration = Duration::from_millis(1_500);

/// What a session knows of the LSP's presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contact {
    /// Nothing needed it.
    Unneeded,
    /// It was connected.
    Reached,
    /// It was tried in vain.
    Unreachable,
}

impl Contact {
    /// As JavaScript sees it.
    pub fn as_str(self) -> &'static str {
        match self {
            Contact::Unneeded => "unneeded",
            Contact::Reached => "reached",
            Contact::Unreachable => "unreachable",
        }
    }
}

/// A wallet that is claimed and loaded. Dropping it gives the lock up; what is not committed was never said.
pub(super) struct Session {
    pub config: Arc<Config>,
    pub resident: Arc<Resident>,
    pub stats: Arc<Stats>,
    pub wallet: Wallet,
    pub peers: Arc<Peers>,
    pub lsp: Arc<LspTransport>,
    pub dialer: Arc<Dialer>,
    pub link: Option<Link>,
    /// It hears its LSP, is about to, or does something that ends by itself: its lease is renewed. See `Lease::due_at`.
    pub is_active: bool,
    pub esplora: Arc<Esplora>,
    pub fees: Arc<Fees>,
    pub receive_progress: ReceiveProgress,
    /// When it was loaded: the LSP is tried from then on.
    pub began: Instant,
    /// The wallet as the last session left it.
    pub loaded_as: Summary,
    /// The chain as of then, or later, is known.
    pub followed: Instant,
    pub contact: Contact,
    /// Transactions on their way to the network, and whether it took them.
    pub broadcasts: JoinSet<Vec<(Txid, bool)>>,
    /// What became of those that were.
    pub published: Vec<(Txid, bool)>,
    /// The look at the chain for the wallet's own bitcoin.
    pub tending: Tending,
}

impl Session {
    /// One turn. An error means that the node is over.
    pub async fn turn(&mut self) -> Result<()> {
        let driven = self.wallet.drive().await?;
        if driven.busy {
            self.receive_progress.saw_activity();
        }
        if driven.received {
            self.receive_progress.saw_payment();
        }
        if self.wallet.wants_commit() {
            self.commit().await?;
        }
        // Whatever waits for the store's word and had none by a commit.
        self.wallet.committer.renew(self.is_active).await?;
        let peers = Arc::clone(&self.peers);
        failpoint::reached(Point::AfterReleaseBeforeSend);
        guarded("sending", || peers.process_events())?;
        failpoint::reached(Point::AfterSend);
        while let Some(tried) = self.broadcasts.try_join_next() {
            self.published.extend(tried.unwrap_or_default());
        }
        self.wallet.check_fault()
    }

    /// A connection stands.
    pub fn connected(&mut self, link: Link) {
        self.link = Some(link);
        self.contact = Contact::Reached;
        self.receive_progress.connected();
    }

    /// Whether something waits for what only the LSP can say or hear.
    pub fn needs_lsp(&self) -> bool {
        self.has_pending_htlcs() || self.wallet.loaded.broadcasts().is_in_doubt()
    }

    /// What waited long enough for the LSP's word goes out without it.
    pub async fn close_unasked(&mut self) -> Result<()> {
        if self.patient_until().is_some_and(|until| until <= Instant::now()) {
            tracing::warn!("a channel must be closed, and the LSP does not say what it knows of it");
            if self.contact == Contact::Unneeded {
                // There was no time left to call it.
                self.contact = Contact::Unreachable;
            }
            self.wallet.loaded.broadcasts().trust_all();
            self.turn().await?;
        }
        Ok(())
    }

    /// Until when a commitment of ours waits for the LSP's word; `None`: none waits, or until it comes.
    pub fn patient_until(&self) -> Option<Instant> {
        let broadcasts = self.wallet.loaded.broadcasts();
        if !broadcasts.is_in_doubt() || broadcasts.is_doubt_firm() {
            return None;
        }
        if self.contact == Contact::Unreachable {
            return Some(self.began);
        }
        let height = self.wallet.loaded.manager().current_best_block().height;
        Some(self.began + patience(&self.config.timeouts, height, broadcasts.expiry_in_doubt()))
    }

    /// One transaction; then everything that waited for it goes.
    pub async fn commit(&mut self) -> Result<()> {
        let committed = self.wallet.commit().await?;
        if committed.received {
            self.stats.reached(Phase::Received);
        }
        self.receive_progress.saw_activity();
        self.broadcast(committed.transactions);
        self.resident.set_wake_by(self.wallet.row.summary.wake_by());
        Ok(())
    }

    /// Whether a claimed HTLC is not yet fulfilled and revoked, or any HTLC is in flight towards us.
    pub fn has_pending_htlcs(&self) -> bool {
        let loaded = &self.wallet.loaded;
        let is_announced = |channel: &ChannelDetails| loaded.messages().has_announced(&channel.channel_id);
        let channels = loaded.manager().list_channels();
        channels.iter().any(|channel| !channel.pending_inbound_htlcs.is_empty() || is_announced(channel))
    }

    /// Until when the LSP may still say what it knows of one of our channels; none: it has, or it had its time.
    pub fn reestablishes_until(&self) -> Option<Instant> {
        let until = self.link.as_ref().filter(|link| link.is_up())?.opened() + REESTABLISH;
        let loaded = &self.wallet.loaded;
        let awaits = loaded.messages().awaits_reestablish(self.config.lsp.node_id) || loaded.broadcasts().is_in_doubt();
        (awaits && until > Instant::now()).then_some(until)
    }

    /// Whether the channels that the LSP knows can carry payments now. One that it is silent about can't be waited for: it has
    /// forgotten it, or closed it, and a payment opens another.
    pub fn can_receive(&self) -> bool {
        let (messages, lsp) = (self.wallet.loaded.messages(), self.config.lsp.node_id);
        let waits = self.reestablishes_until().is_some();
        if waits && self.wallet.loaded.broadcasts().is_in_doubt() {
            // What it says next may be that the store is old.
            return false;
        }
        let channels = self.wallet.loaded.manager().list_channels();
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
        let until = self.wallet.loaded.messages().listen_until().filter(|_| self.link.is_some())?;
        (until > Instant::now() && deadline.is_none_or(|deadline| until < deadline)).then_some(until)
    }

    /// Each family in a task of its own; what did not reach the network is handed out again by LDK's rebroadcast timer.
    fn broadcast(&mut self, transactions: Vec<Transaction>) {
        if !transactions.is_empty() {
            failpoint::reached(Point::BeforeBroadcast);
        }
        for family in families(transactions) {
            let (esplora, gate) = (Arc::clone(&self.esplora), Arc::clone(self.wallet.loaded.broadcasts()));
            let fault = self.wallet.loaded.fault().clone();
            let broadcasting = async move {
                let mut tried = Vec::new();
                for transaction in family {
                    let (txid, gate) = (transaction.compute_txid(), Arc::clone(&gate));
                    tried.push((txid, publish(&esplora, &transaction, move || gate.forget(&txid)).await));
                }
                tried
            };
            let trying = async move {
                let tried = guarded_future("broadcasting", broadcasting).await;
                tried.unwrap_or_else(|error| {
                    fault.raise(error);
                    Vec::new()
                })
            };
            self.broadcasts.spawn(trying.in_current_span());
        }
    }

    /// Until what was handed out has been tried, which `timeouts.chainMs` bounds for each: with the node its tasks end, too. An error means
    /// that the node is over.
    pub async fn broadcasts_tried(&mut self) -> Result<()> {
        let Session { broadcasts, published, wallet, .. } = self;
        let trying = async {
            while let Some(tried) = broadcasts.join_next().await {
                published.extend(tried.unwrap_or_default());
            }
        };
        wallet.committer.keeping(trying).await
    }
}
