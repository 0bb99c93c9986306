//! A wallet that is claimed and loaded, without a network: LDK, what JavaScript is told, and the one commit of both.
//!
//! Whoever drives it does three things in turn: [`Wallet::drive`] lets LDK work until it rests, [`Wallet::commit`] makes
//! durable what came of it, and only then does anything leave: LDK's messages through the gate, transactions as the commit's
//! answer, events from the outbox, promises by being kept.
//!
//! What fails how: any error is the end of this wallet in memory. What was not committed was never said; load it again.

mod channel_policy;
pub mod deadlines;
pub mod holdings;
mod ldk_events;
pub mod ledger;
mod payment_policy;
mod payments;
mod receipts;
pub mod row;
pub mod settings;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
pub(crate) mod tests;
pub mod view;

pub use holdings::Holdings;
pub use row::NodeRow;
pub use view::Summary;

use crate::chain::fees::Fees;
use crate::checkpoint::{rows, Committer, Engine, Loaded};
use crate::config::SkimLimit;
use crate::error::Result;
use crate::events::{EventType, Outbox, PaymentEvent};
use crate::failpoint::{self, Point};
use crate::guard::guarded;
use crate::mutation::{self, Mutation};
use crate::onchain::look::{Findings, Questions};
use crate::onchain::spend::Spent;
use crate::store::{Batch, Rows, Snapshot};
use bitcoin::secp256k1::PublicKey;
use bitcoin::{ScriptBuf, Transaction, Txid};
use ldk_events::skim_acceptance;
use lightning::chain::chaininterface::{BroadcasterInterface, ConfirmationTarget, FeeEstimator};
use lightning::chain::BestBlock;
use receipts::Receipts;
use std::collections::HashSet;
use std::sync::Arc;

/// What the user agreed to.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// The one LSP: nobody else may open channels.
    pub lsp: PublicKey,
    /// What it may keep of a payment.
    pub skim: SkimLimit,
    /// The word to give up channels whose state is lost.
    pub recover: bool,
}

/// Kept by the commit that it waits for, or told why there was none.
pub type Promise = Box<dyn FnOnce(Result<()>) + Send>;

/// See the module's head. Dropping it drops its lease and its unkept promises.
pub struct Wallet {
    /// LDK behind its gates.
    pub loaded: Loaded,
    /// The lease.
    pub committer: Committer,
    /// What JavaScript is told.
    pub outbox: Outbox,
    /// What is kept beside LDK's own state.
    pub row: NodeRow,
    /// Its own bitcoin.
    pub holdings: Holdings,
    terms: Terms,
    fees: Arc<Fees>,
    /// Rows for the next commit, beside LDK's and the outbox's.
    staged: Batch,
    /// Which payments were received.
    receipts: Receipts,
    /// Payment ids that LDK told in this life, and that had been told before.
    repeated: HashSet<String>,
    /// How many payments were told in this life.
    received: u64,
    /// Wait for the next commit.
    promises: Vec<Promise>,
}

/// What came of letting LDK work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Driven {
    /// There was something to do.
    pub busy: bool,
    /// A payment was told that had not been told before.
    pub received: bool,
}

/// What a commit lets go.
#[must_use = "the transactions are handed out once"]
pub struct Committed {
    /// To be broadcast.
    pub transactions: Vec<Transaction>,
    /// A received payment became durable.
    pub received: bool,
}

impl Wallet {
    /// Reads what a claim found. `best` is where a wallet without a manager begins. Nothing else may be asked of LDK before the
    /// chain was followed to its tip; then comes [`Wallet::caught_up`].
    pub fn restore(
        engine: Engine,
        claimed: &Snapshot,
        committer: Committer,
        best: BestBlock,
        terms: Terms,
        fees: Arc<Fees>,
    ) -> Result<Wallet> {
        let all = &claimed.rows;
        let row = NodeRow::load(all)?;
        let outbox = Outbox::load(all, row.next_event)?;
        if let Some(saved) = &row.fees {
            fees.restore(saved.as_bytes());
        }
        if terms.recover {
            engine.messages().recovery().allow();
        }
        let loaded = guarded("loading the wallet", || engine.load(all, best))??;
        if claimed.moved || row.moved {
            tracing::warn!("the store moved to another server since the last commit: no channel is closed before the LSP has confirmed it");
            loaded.broadcasts().only_the_peer_ends_doubt();
        }
        row.given_up.iter().for_each(|channel| remember_given_up(&loaded, channel));
        let holdings = guarded("loading the wallet", || Holdings::restore(loaded.keys(), all, row.holdings.clone()))??;
        let staged = set_aside(&loaded, all);
        Ok(Wallet {
            loaded,
            committer,
            outbox,
            row,
            holdings,
            terms,
            fees,
            staged,
            receipts: Receipts::default(),
            repeated: HashSet::new(),
            received: 0,
            promises: Vec::new(),
        })
    }

    /// Whether the chain holds something for us that is not final yet. Asked of the monitors alone: LDK's manager lists a channel that
    /// was just found closed until its events are handled.
    pub fn claims_on_chain(&self) -> bool {
        self.loaded.monitors().get_claimable_balances(&[]).iter().any(view::is_on_chain)
    }

    /// LDK is at the chain's tip: what it does not persist is applied again.
    pub fn caught_up(&self) -> Result<()> {
        self.act_on_the_chain()?;
        guarded("skim acceptance", || accept_skims(&self.loaded))
    }

    /// Does what the chain, as far as it was followed, asks for; the LSP is not needed for it.
    pub fn act_on_the_chain(&self) -> Result<()> {
        // An earlier life's claims may never have got through, or be forgotten: LDK's timer for this outlives most lives of ours.
        guarded("LDK's rebroadcast", || self.loaded.monitors().rebroadcast_pending_claims())
    }

    /// Lets LDK work until it has nothing more to do for now. Asks the store only when a payment is claimable. An error means that
    /// the wallet is over; a future that is dropped half-way leaves nothing behind.
    pub async fn drive(&mut self) -> Result<Driven> {
        let received = self.received;
        let mut busy = false;
        loop {
            self.check_fault()?;
            let more = guarded("LDK", || {
                let manager = self.loaded.manager();
                let htlcs = manager.needs_pending_htlc_processing();
                if htlcs {
                    manager.process_pending_htlc_forwards();
                }
                htlcs | self.handle_ldk_events()
            })?;
            let looked_up = self.look_up_receipts().await?;
            if !more && !looked_up {
                return Ok(Driven { busy, received: self.received > received });
            }
            busy = true;
        }
    }

    /// Asks the ledger whether what is claimable was paid before, in one round trip. False: nothing is to be asked.
    async fn look_up_receipts(&mut self) -> Result<bool> {
        let asked = self.receipts.take_asked(|| self.loaded.manager().list_channels());
        if asked.is_empty() {
            return Ok(false);
        }
        let keys: Vec<String> = asked.iter().map(receipts::key).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let found = self.committer.read(&keys).await?;
        self.receipts.answer(&asked, &found);
        Ok(true)
    }

    /// Whether something waits for a commit.
    pub fn wants_commit(&self) -> bool {
        self.loaded.wants_commit()
            || self.outbox.wants_commit()
            || self.holdings.wants_commit()
            || !self.staged.is_empty()
            || !self.promises.is_empty()
    }

    /// One transaction; then everything that waited for it goes. An error means that the wallet is over.
    pub async fn commit(&mut self) -> Result<Committed> {
        let cut = guarded("the cut", || -> Result<_> {
            let mut batch = std::mem::take(&mut self.staged);
            self.refresh_row();
            self.holdings.committing();
            self.outbox.stage(&mut batch)?;
            self.row.stage(&mut batch)?;
            Ok(self.loaded.cut(batch))
        })??;
        self.check_fault()?;
        failpoint::reached(Point::BeforeCommit);
        self.committer.commit(&cut.batch).await?;
        failpoint::reached(Point::AfterCommitBeforeRelease);
        if cfg!(feature = "failpoints") && cut.fulfils() {
            failpoint::reached(Point::BeforeFulfil);
        }
        let received = cut.batch.puts().keys().any(|key| key.starts_with(rows::LEDGER_PREFIX));
        for event in self.outbox.pending().filter(|event| event.event_type == EventType::Received) {
            let PaymentEvent { payment_hash, amount_msat, skimmed_msat, .. } = event;
            tracing::info!(payment_hash, amount_msat, skimmed_msat, "received a payment");
        }
        self.outbox.committed();
        let transactions = self.loaded.open_gate(cut);
        if !self.promises.is_empty() {
            failpoint::reached(Point::AfterAck);
        }
        for promise in self.promises.drain(..) {
            promise(Ok(()));
        }
        Ok(Committed { transactions, received })
    }

    /// Takes an event out of sight; the next commit deletes it and keeps the promise. An event that is not there: the promise
    /// comes back.
    pub fn ack(&mut self, id: &str, promise: Promise) -> std::result::Result<(), Promise> {
        if !self.outbox.ack(id) {
            return Err(promise);
        }
        failpoint::reached(Point::BeforeAck);
        match mutation::is_on(Mutation::EarlyPromises) {
            false => self.promises.push(promise),
            true => promise(Ok(())),
        }
        Ok(())
    }

    /// What is to be asked of the chain about the wallet's own bitcoin; `None` if nothing. `every_address`: also those that were
    /// paid to long ago.
    pub fn questions(&self, every_address: bool) -> Option<Questions> {
        self.holdings.questions(&self.loaded, every_address)
    }

    /// Acts on what the chain shows of it. What is to be broadcast comes with the next commit.
    pub fn learn(&mut self, findings: Findings) -> Result<()> {
        let height = self.loaded.manager().current_best_block().height;
        let sat_per_kw = self.fees.get_est_sat_per_1000_weight(ConfirmationTarget::OutputSpendingFee);
        let out = self.holdings.learn(findings, height, sat_per_kw, &mut self.staged)?;
        self.loaded.broadcasts().broadcast_transactions(&out.iter().collect::<Vec<_>>());
        Ok(())
    }

    /// Sends all coins there, `sat_per_kw` or what is usual now. It comes with the next commit.
    pub fn send_all(&mut self, to: ScriptBuf, sat_per_kw: Option<u32>) -> Result<Spent> {
        let height = self.loaded.manager().current_best_block().height;
        let usual = || self.fees.get_est_sat_per_1000_weight(ConfirmationTarget::OutputSpendingFee);
        self.holdings.send_all(to, sat_per_kw.unwrap_or_else(usual), height, &mut self.staged)
    }

    /// A send that the network refused is none.
    pub fn forget_send(&mut self, txid: Txid) {
        self.holdings.forget_send(txid, &mut self.staged);
    }

    /// Resolved by the next commit.
    pub fn promise(&mut self, promise: Promise) {
        self.promises.push(promise);
    }

    /// There will be no commit any more: whoever was promised one must be told why.
    pub fn take_promises(&mut self) -> Vec<Promise> {
        std::mem::take(&mut self.promises)
    }

    /// `Err` if a gate closed for good.
    pub fn check_fault(&self) -> Result<()> {
        self.loaded.fault().reason().map_or(Ok(()), Err)
    }

    /// The state of the wallet now, committed or not.
    pub fn summary(&self) -> Summary {
        Summary::of(&self.loaded, &self.holdings, |channel, htlc| self.receipts.has_claimed(channel, htlc))
    }

    /// What the node's row says as of now.
    fn refresh_row(&mut self) {
        self.row.summary = self.summary();
        self.row.holdings = self.holdings.row().clone();
        self.row.next_event = self.outbox.next_number();
        self.row.fees = String::from_utf8(self.fees.save()).ok();
        self.row.moved = self.loaded.broadcasts().is_doubt_firm();
        self.row.forget_told(&self.repeated);
        let given_up = self.loaded.messages().recovery().given_up();
        self.row.given_up = given_up.iter().map(ToString::to_string).collect();
    }
}

/// A channel that an earlier session gave up; one whose monitor is archived is forgotten with the next commit.
fn remember_given_up(loaded: &Loaded, channel: &str) {
    let known = loaded.monitors().list_monitors().into_iter().find(|id| id.to_string() == channel);
    if let Some(id) = known {
        loaded.messages().recovery().remember(id, loaded.monitors());
    }
}

/// What did not load goes where no load looks.
fn set_aside(loaded: &Loaded, all: &Rows) -> Batch {
    let mut batch = Batch::default();
    for key in loaded.set_aside() {
        if let Some(bytes) = all.get(key) {
            batch.put(format!("{}{key}", rows::LOST_PREFIX), bytes.clone());
            batch.delete(key.as_str());
        }
    }
    batch
}

/// LDK reads this setting as "no" after every load; without it every skimmed payment on an existing channel would fail.
fn accept_skims(loaded: &Loaded) {
    for channel in loaded.manager().list_channels() {
        let peer = channel.counterparty.node_id;
        let update = skim_acceptance();
        if let Err(error) = loaded.manager().update_partial_channel_config(&peer, &[channel.channel_id], &update) {
            tracing::warn!(channel = %channel.channel_id, ?error, "skim acceptance was not applied");
        }
    }
}
