//! The bank auditor: what was paid, promised and told, whoever crashed meanwhile. It outlives every process of a run.

use crate::oracle::{Oracle, Wrong};
use lightning::chain::transaction::OutPoint;
use lightning::ln::types::ChannelId;
use lightning::sign::SpendableOutputDescriptor;
use mayfly_core::events::PaymentEvent;
use std::collections::{BTreeMap, BTreeSet};

/// A payment from the LSP to the wallet.
#[derive(Clone, Debug)]
pub struct ToWallet {
    /// What the payer sent, all parts together.
    pub msat: u64,
    /// What each part holds.
    pub part_msat: u64,
    /// What its onions carry.
    pub secret: [u8; 32],
    /// Whether the wallet should take it.
    pub good: bool,
    /// In one part: no other part can be late.
    pub single: bool,
    /// The payer holds the preimage.
    pub learnt: bool,
    /// The payer gave up.
    pub failed: bool,
    /// What it paid once more.
    pub again_msat: u64,
}

/// A payment from the wallet to the LSP.
#[derive(Clone, Debug)]
pub struct ToPeer {
    /// What the wallet sends, all parts together.
    pub msat: u64,
    /// Whether the LSP takes it.
    pub good: bool,
    /// The LSP has claimed it.
    pub received: bool,
}

/// A channel that the LSP has funded.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Its funding output.
    pub funding: bitcoin::OutPoint,
    /// The schedule asked to close it.
    pub asked_to_close: bool,
    /// Why the LSP's side of it is closed.
    pub closed: Option<String>,
}

/// See the module's head.
#[derive(Clone, Default)]
pub struct Bank {
    pub to_wallet: BTreeMap<[u8; 32], ToWallet>,
    pub to_peer: BTreeMap<[u8; 32], ToPeer>,
    pub channels: BTreeMap<ChannelId, Opened>,
    /// Events that JavaScript was handed, by id.
    pub told: BTreeMap<String, PaymentEvent>,
    /// Those that JavaScript asked to acknowledge: they may be gone.
    pub wished: BTreeSet<String>,
    /// Those whose acknowledgement was promised to be durable: they are.
    pub acked: BTreeSet<String>,
    /// Outputs of closed channels that the LSP can spend.
    pub peer_spendable: BTreeMap<bitcoin::OutPoint, u64>,
    /// What should not have happened.
    pub wrongs: Vec<Wrong>,
}

impl Bank {
    /// Something that should not have happened.
    pub fn wrong(&mut self, oracle: Oracle, what: impl Into<String>) {
        self.wrongs.push(Wrong { oracle, what: what.into() });
    }

    /// The schedule closes a channel, or does what LDK closes one for.
    pub fn ask_to_close(&mut self, channel: ChannelId) {
        if let Some(opened) = self.channels.get_mut(&channel) {
            opened.asked_to_close = true;
        }
    }

    /// LDK closes a channel whose funding transaction was in a block and is in none, be it only for a moment.
    pub fn moved(&mut self, transactions: &[bitcoin::Txid]) {
        for channel in self.channels.values_mut() {
            channel.asked_to_close |= transactions.contains(&channel.funding.txid);
        }
    }

    /// Whether the schedule closed a channel.
    pub fn a_close_was_asked_for(&self) -> bool {
        self.channels.values().any(|channel| channel.asked_to_close)
    }

    /// Whether the LSP takes a payment of the wallet's.
    pub fn peer_takes(&self, hash: &[u8; 32]) -> bool {
        self.to_peer.get(hash).is_some_and(|payment| payment.good)
    }

    /// The LSP has claimed a payment of the wallet's.
    pub fn peer_received(&mut self, hash: [u8; 32], msat: u64) {
        match self.to_peer.get_mut(&hash) {
            Some(payment) if payment.msat == msat => payment.received = true,
            other => {
                let what = format!("the LSP received {msat} msat of {other:?}");
                self.wrong(Oracle::NoSatsCreatedOrLost, what);
            }
        }
    }

    /// The payer has the preimage. `payment` is its id: the hash, unless the invoice was paid before.
    pub fn peer_paid(&mut self, payment: [u8; 32], hash: [u8; 32], preimage: [u8; 32]) {
        if payment != hash {
            return self.peer_paid_again(hash);
        }
        use bitcoin::hashes::{sha256, Hash};
        if sha256::Hash::hash(&preimage).to_byte_array() != hash {
            self.wrong(Oracle::NoSatsCreatedOrLost, "a preimage that is none");
        }
        if let Some(payment) = self.to_wallet.get_mut(&hash) {
            payment.learnt = true;
        }
    }

    /// The wallet refuses it. But a preimage that is known is known: LDK claims whatever it opens of a commitment on the chain,
    /// so a second payment that is in flight when its channel is closed is the wallet's, without a row in the ledger.
    fn peer_paid_again(&mut self, hash: [u8; 32]) {
        let closed = self.a_close_was_asked_for();
        match self.to_wallet.get_mut(&hash) {
            Some(payment) if closed => payment.again_msat += payment.msat,
            _ => self.wrong(Oracle::NoSatsCreatedOrLost, "an invoice was paid twice"),
        }
    }

    /// The payer gave up, on paying for the first time.
    pub fn peer_failed_to_pay(&mut self, hash: [u8; 32]) {
        if let Some(payment) = self.to_wallet.get_mut(&hash) {
            payment.failed = true;
        }
    }

    /// The LSP has funded a channel.
    pub fn channel_opened(&mut self, channel: ChannelId, funding: bitcoin::OutPoint) {
        self.channels.entry(channel).or_insert(Opened { funding, asked_to_close: false, closed: None });
    }

    /// The LSP's side of a channel is closed. One that was never funded may be forgotten.
    pub fn channel_closed(&mut self, channel: ChannelId, reason: String) {
        if let Some(opened) = self.channels.get_mut(&channel) {
            opened.closed = Some(reason);
        }
    }

    /// Outputs of closed channels.
    pub fn peer_may_spend(&mut self, outputs: &[SpendableOutputDescriptor]) {
        for output in outputs {
            let outpoint: OutPoint = output.spendable_outpoint();
            self.peer_spendable.insert(outpoint.into_bitcoin_outpoint(), value(output));
        }
    }

    /// What is the wallet's when nothing is in flight: received less sent.
    pub fn wallet_msat(&self) -> i64 {
        let received = self.to_wallet.values().filter(|payment| payment.learnt);
        let received: u64 = received.map(|payment| payment.msat + payment.again_msat).sum();
        let sent: u64 = self.to_peer.values().filter(|payment| payment.received).map(|payment| payment.msat).sum();
        received as i64 - sent as i64
    }
}

/// What an output that LDK hands over holds.
pub fn value(output: &SpendableOutputDescriptor) -> u64 {
    match output {
        SpendableOutputDescriptor::StaticOutput { output, .. } => output.value.to_sat(),
        SpendableOutputDescriptor::DelayedPaymentOutput(descriptor) => descriptor.output.value.to_sat(),
        SpendableOutputDescriptor::StaticPaymentOutput(descriptor) => descriptor.output.value.to_sat(),
    }
}
