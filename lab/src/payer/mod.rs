//! Somebody out there with money: a node with big channels to the LSP, one at first, which pays invoices.

mod route;

use crate::chain::Wallet;
use crate::lsp::rows::hex;
use crate::node::{Base, Node, Role, Turn};
use bitcoin::hashes::Hash;
use bitcoin::secp256k1::PublicKey;
use bitcoin::ScriptBuf;
use lightning::events::{Event, PaymentFailureReason};
use lightning::ln::channel_state::ChannelDetails;
use lightning::ln::channelmanager::{PaymentId, RecipientOnionFields};
use lightning::ln::types::ChannelId;
use lightning::types::payment::{PaymentHash, PaymentPreimage};
use lightning_invoice::Bolt11Invoice;
use mayfly_core::entropy;
use serde::Serialize;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::{oneshot, Notify};
use tokio::time::Instant;

/// A channel of the payer's, in satoshi: just below LDK's limit for channels without large-channel support (2^24).
pub const CHANNEL_SAT: u64 = 16_000_000;

/// A payment that arrived.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Paid {
    /// The proof, 64 hex characters.
    pub preimage: String,
    /// Routing fees, in millisatoshi. A skim is not in it: the receiver bears that.
    pub fee_msat: u64,
    /// From the call to the preimage, in milliseconds.
    pub ms: f64,
}

/// A channel that it pays through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PayerChannel {
    /// 64 hex characters.
    pub channel_id: String,
    /// Its size.
    pub sats: u64,
    /// Connected and reestablished.
    pub usable: bool,
    /// What is left to pay with.
    pub out_msat: u64,
}

/// What to pay, and how.
#[derive(Debug, Clone)]
pub struct Payment {
    /// The invoice.
    pub invoice: Bolt11Invoice,
    /// For an invoice without an amount.
    pub amount_msat: Option<u64>,
    /// How long to wait for the outcome. The payment itself goes on.
    pub timeout: Duration,
    /// No part of it is larger: it takes several, each through another channel of the payer's.
    pub max_part_msat: Option<u64>,
    /// No padding: the last hop gets exactly the invoice's `min_final_cltv_expiry_delta`.
    pub strict_cltv: bool,
    /// Also if it was paid before, or is being paid: what an honest payer never does.
    pub again: bool,
}

type Outcome = Result<Paid, String>;

struct Waiting {
    since: Instant,
    answer: oneshot::Sender<Outcome>,
}

/// The payer's part of a node.
pub struct Payer {
    lsp: PublicKey,
    wallet: Wallet,
    waiting: RefCell<BTreeMap<[u8; 32], Waiting>>,
    /// Notified in each turn: channels may have got ready.
    turned: Rc<Notify>,
}

impl Payer {
    /// Pays through that LSP.
    pub fn new(lsp: PublicKey) -> Self {
        Payer { lsp, wallet: Wallet::new("payer"), waiting: RefCell::default(), turned: Rc::default() }
    }

    /// Where its channel is paid from.
    pub fn wallet(&self) -> &Wallet {
        &self.wallet
    }

    fn fund(&self, node: &Base, channel: ChannelId, sat: u64, script: ScriptBuf) {
        let funded = match self.wallet.pay(&node.chain, &script, sat) {
            Ok(tx) => node.manager().funding_transaction_generated(channel, self.lsp, tx).map_err(|e| format!("{e:?}")),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = funded {
            tracing::error!(sat, error, "the payer can't fund its channel");
        }
    }

    /// Answers once the turn that knows the outcome is committed.
    fn resolve(&self, payment: PaymentId, turn: &mut Turn, outcome: impl FnOnce(Duration) -> Outcome) {
        if let Some(waiting) = self.waiting.borrow_mut().remove(&payment.0) {
            let outcome = outcome(waiting.since.elapsed());
            turn.after_commit(move |_| {
                // Nobody waits any more: its time was up.
                let _ = waiting.answer.send(outcome);
            });
        }
    }
}

impl Role for Payer {
    fn event(&self, node: &Base, event: Event, turn: &mut Turn) {
        match event {
            Event::PaymentSent { payment_id: Some(id), payment_preimage, fee_paid_msat, .. } => {
                self.resolve(id, turn, |took| Ok(paid(payment_preimage, fee_paid_msat, took)));
            }
            Event::PaymentFailed { payment_id, reason, .. } => {
                self.resolve(payment_id, turn, |_| Err(explain(reason)));
            }
            Event::PaymentPathFailed { payment_hash, failure, .. } => {
                tracing::info!(%payment_hash, ?failure, "a path failed");
            }
            Event::FundingGenerationReady { temporary_channel_id, channel_value_satoshis, output_script, .. } => {
                self.fund(node, temporary_channel_id, channel_value_satoshis, output_script);
            }
            Event::ChannelClosed { reason, .. } => tracing::warn!(%reason, "the payer's channel closed"),
            _ => {}
        }
    }

    fn act(&self, node: &Base, _turn: &mut Turn) {
        // LSPS is not for payers.
        drop(node.port.take_received());
        self.turned.notify_waiters();
    }
}

fn paid(preimage: PaymentPreimage, fee_msat: Option<u64>, took: Duration) -> Paid {
    Paid { preimage: hex(&preimage.0), fee_msat: fee_msat.unwrap_or(0), ms: took.as_secs_f64() * 1_000.0 }
}

fn explain(reason: Option<PaymentFailureReason>) -> String {
    match reason {
        Some(PaymentFailureReason::RecipientRejected) => "the recipient rejected it".into(),
        Some(PaymentFailureReason::RouteNotFound) => "no route to the recipient".into(),
        // We send along one given route, without retries.
        Some(PaymentFailureReason::RetriesExhausted) => {
            "it failed on its way (held for too long, an unknown SCID, or refused by the recipient)".into()
        }
        Some(other) => format!("{other:?}"),
        None => "it failed, for a reason that LDK does not tell".into(),
    }
}

impl Node<Payer> {
    /// Whether it can pay now, through all of its channels.
    pub fn can_pay(&self) -> bool {
        let channels = self.base.manager().list_channels();
        !channels.is_empty() && channels.iter().all(|channel| channel.is_usable)
    }

    /// What it pays through.
    pub fn channels(&self) -> Vec<PayerChannel> {
        let channels = self.base.manager().list_channels();
        let view = |channel: &ChannelDetails| PayerChannel {
            channel_id: channel.channel_id.to_string(),
            sats: channel.channel_value_satoshis,
            usable: channel.is_usable,
            out_msat: channel.outbound_capacity_msat,
        };
        channels.iter().map(view).collect()
    }

    /// Of its youngest channel.
    pub fn confirmations(&self) -> u32 {
        let channels = self.base.manager().list_channels();
        channels.iter().map(|channel| channel.confirmations.unwrap_or(0)).min().unwrap_or(0)
    }

    /// Waits until `ready` says so, looking after each turn.
    pub async fn until(&self, ready: impl Fn(&Self) -> bool) {
        let turned = Rc::clone(&self.role.turned);
        loop {
            let turn = turned.notified();
            if ready(self) {
                return;
            }
            turn.await;
        }
    }

    /// Opens a channel to pay through; needs a connection and money. Returns when its funding is broadcast.
    pub async fn open_channel(&self, sat: u64) -> Result<(), String> {
        let lsp = self.role.lsp;
        self.until(|node| node.base.port.is_connected(&lsp)).await;
        let ours = u128::from_be_bytes(entropy::random());
        let mut mempool = self.base.chain.subscribe_mempool();
        let created = self.base.manager().create_channel(lsp, sat, 0, ours, None, None);
        created.map_err(|error| format!("the payer can't open a channel of {sat} sat: {error:?}"))?;
        self.base.wake();
        loop {
            let channels = self.base.manager().list_channels();
            let Some(channel) = channels.iter().find(|channel| channel.user_channel_id == ours) else {
                return Err("the payer's channel closed before it was funded; see the log".into());
            };
            if channel.funding_txo.is_some_and(|funding| self.base.chain.transaction(&funding.txid).is_some()) {
                return Ok(());
            }
            mempool.changed().await.map_err(|_| "the chain is gone".to_owned())?;
        }
    }

    /// Pays, and waits for the outcome. The error is for humans: why it failed, or that it is still under way.
    pub async fn pay(&self, payment: Payment) -> Outcome {
        let hash = PaymentHash(payment.invoice.payment_hash().to_byte_array());
        let route = route::find(&self.base, &payment)?;
        let mut onion = RecipientOnionFields::secret_only(*payment.invoice.payment_secret());
        onion.payment_metadata = payment.invoice.payment_metadata().cloned();
        let (answer, outcome) = oneshot::channel();
        let since = Instant::now();
        // LDK pays once for each id.
        let id = PaymentId(if payment.again { entropy::random() } else { hash.0 });
        if self.role.waiting.borrow().contains_key(&id.0) {
            return Err("this invoice is being paid already".into());
        }
        // Before the call: a route that fails at once tells so in an event.
        self.role.waiting.borrow_mut().insert(id.0, Waiting { since, answer });
        if let Err(error) = self.base.manager().send_payment_with_route(route, hash, onion, id) {
            self.role.waiting.borrow_mut().remove(&id.0);
            return Err(format!("LDK refuses to pay it: {error:?}"));
        }
        self.base.wake();
        match tokio::time::timeout(payment.timeout, outcome).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err("the payer ended before the payment did".into()),
            Err(_) => {
                self.role.waiting.borrow_mut().remove(&id.0);
                Err(format!("no outcome within {} ms; the payment is still under way", payment.timeout.as_millis()))
            }
        }
    }
}
