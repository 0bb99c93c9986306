//! Two engines, `lsp` (funds) and `wallet` (receives), whose messages are carried by hand. Each turn does what the node's
//! loop does: LDK until it rests, cut, commit, open the gate, send. After each send the committed rows must be the state that
//! was sent from (`Side::assert_committed`).

use crate::chain::fees::Fees;
use crate::checkpoint::{rows, Committer, Engine, EngineParams, Loaded};
use crate::config::Mnemonic;
use crate::error::Result;
use crate::invoice::{self, MintRequest};
use crate::keys::Keys;
use crate::lease::tests::Held;
use crate::lease::Lease;
use crate::log::LdkLog;
use crate::lsp::JitRoute;
use crate::store::memory::MemoryWallet;
use crate::store::{Batch, Claimant, Nonce, Outcome, Rows, Store};
use bitcoin::secp256k1::PublicKey;
use bitcoin::{
    absolute, transaction, Amount, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness,
};
use lightning::chain::BestBlock;
use lightning::events::{Event, EventsProvider, PaymentPurpose};
use lightning::ln::channelmanager::{PaymentId, RecipientOnionFields};
use lightning::ln::msgs::{
    BaseMessageHandler, ChannelMessageHandler, ChannelReestablish, ErrorAction, Init, MessageSendEvent,
};
use lightning::ln::types::ChannelId;
use lightning::routing::router::{Path, Route, RouteHop};
use lightning::types::features::{ChannelFeatures, NodeFeatures};
use lightning::util::config::UserConfig;
use lightning::util::ser::Writeable;
use lightning_invoice::Bolt11Invoice;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

const LSP_WORDS: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";
const WALLET_WORDS: &str =
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

/// Of the channel that [`Pair::with_channel`] opens.
pub(crate) const CHANNEL_SATS: u64 = 1_000_000;

/// The keys of either side.
pub(crate) fn keys(lsp: bool) -> Keys {
    Keys::derive(&Mnemonic::parse(if lsp { LSP_WORDS } else { WALLET_WORDS }).unwrap(), Network::Regtest).unwrap()
}

/// An engine of that wallet; nothing is loaded.
pub(crate) fn engine(keys: &Keys) -> Engine {
    engine_under(keys, Lease::of_process())
}

fn engine_under(keys: &Keys, lease: Arc<Lease>) -> Engine {
    let mut config = UserConfig { manually_accept_inbound_channels: true, ..UserConfig::default() };
    config.channel_handshake_limits.force_announced_channel_preference = false;
    config.channel_handshake_config.max_inbound_htlc_value_in_flight_percent_of_channel = 100;
    let params = EngineParams {
        network: Network::Regtest,
        keys: keys.manager(),
        fees: Arc::new(Fees::default()),
        log: Arc::new(LdkLog::new("test")),
        user_config: config,
    };
    Engine::under(params, Arc::new(Notify::new()), lease)
}

pub(crate) fn load(keys: &Keys, rows: &Rows) -> Result<Loaded> {
    engine(keys).load(rows, BestBlock::from_network(Network::Regtest))
}

/// One engine, its wallet in a store, and what it was told and has said.
pub(crate) struct Side {
    pub keys: Keys,
    pub loaded: Loaded,
    pub store: MemoryWallet,
    pub committer: Committer,
    pub claims: bool,
    /// What left, not yet at the peer.
    pub wire: VecDeque<MessageSendEvent>,
    /// Names of everything that left.
    pub said: Vec<&'static str>,
    pub broadcast: Vec<Transaction>,
    pub events: Vec<String>,
    /// The rows after each commit, oldest first.
    pub history: Vec<Rows>,
    /// What was in memory then, monitors whole.
    pub memory: Vec<Rows>,
    payments: u8,
}

impl Side {
    pub async fn new(lsp: bool, rows: &Rows) -> Side {
        let store = MemoryWallet::default();
        let claimant = Claimant::of_process(1);
        if !rows.is_empty() {
            let mut handle = store.store();
            let at = handle.claim_and_load(&claimant).await.unwrap().position;
            let mut batch = Batch::default();
            rows.iter().for_each(|(key, value)| batch.put(key, value.clone()));
            assert!(matches!(handle.commit(at, Nonce([1; 16]), &batch).await, Outcome::Committed(_)));
        }
        let mut handle = store.store();
        let snapshot = handle.claim_and_load(&claimant).await.unwrap();
        let committer = Committer::new(Box::new(handle), &snapshot, Duration::from_secs(1));
        let keys = keys(lsp);
        let loaded = load(&keys, rows).unwrap();
        if lsp {
            loaded.messages().answer_unknown_channels();
        }
        Side::of(keys, loaded, store, committer)
    }

    /// The wallet in a database, under its lease.
    pub fn held(held: Held) -> Side {
        let keys = keys(false);
        let engine = engine_under(&keys, held.lease);
        let loaded = engine.load(&held.database.wallet.rows(), BestBlock::from_network(Network::Regtest)).unwrap();
        Side::of(keys, loaded, held.database.wallet, held.committer)
    }

    fn of(keys: Keys, loaded: Loaded, store: MemoryWallet, committer: Committer) -> Side {
        Side {
            keys,
            loaded,
            store,
            committer,
            claims: true,
            wire: VecDeque::new(),
            said: Vec::new(),
            broadcast: Vec::new(),
            events: Vec::new(),
            history: Vec::new(),
            memory: Vec::new(),
            payments: 0,
        }
    }

    pub fn id(&self) -> PublicKey {
        self.keys.node_id()
    }

    pub fn has_event(&self, name: &str) -> bool {
        self.events.iter().any(|event| event == name)
    }

    pub fn fault_code(&self) -> Option<&'static str> {
        self.loaded.fault().reason().map(|reason| reason.code.as_str())
    }

    /// LDK until it rests.
    pub fn drive(&mut self) {
        while self.fault_code().is_none() {
            let manager = self.loaded.manager();
            let forwards = manager.needs_pending_htlc_processing();
            if forwards {
                manager.process_pending_htlc_forwards();
            }
            let events = RefCell::new(Vec::new());
            let collect = |event: Event| {
                events.borrow_mut().push(event);
                Ok(())
            };
            manager.process_pending_events(&collect);
            self.loaded.monitors().process_pending_events(&collect);
            let events = events.into_inner();
            if events.is_empty() && !forwards {
                return;
            }
            for event in events {
                self.handle(event);
            }
        }
    }

    fn handle(&mut self, event: Event) {
        let manager = self.loaded.manager();
        match &event {
            Event::OpenChannelRequest { temporary_channel_id: id, counterparty_node_id: peer, .. } => {
                manager.accept_inbound_channel_from_trusted_peer_0conf(id, peer, 0, None).unwrap();
            }
            Event::FundingGenerationReady { temporary_channel_id, counterparty_node_id, output_script, .. } => {
                let funding = funding(output_script);
                manager.funding_transaction_generated(*temporary_channel_id, *counterparty_node_id, funding).unwrap();
            }
            Event::PaymentClaimable { purpose, .. } if self.claims => {
                let PaymentPurpose::Bolt11InvoicePayment { payment_preimage: Some(preimage), .. } = purpose else {
                    panic!("not of an invoice: {purpose:?}");
                };
                manager.claim_funds(*preimage);
            }
            _ => {}
        }
        let name = format!("{event:?}");
        self.events.push(name.split([' ', '{', '(']).next().unwrap_or_default().to_owned());
    }

    pub async fn commit(&mut self) -> Result<()> {
        let cut = self.loaded.cut(Batch::default());
        self.committer.commit(&cut.batch).await?;
        self.history.push(self.store.rows());
        self.memory.push(self.rows_now());
        self.broadcast.extend(self.loaded.open_gate(cut));
        Ok(())
    }

    /// One turn of the node's loop. What left must be covered by what is committed at this instant.
    pub async fn turn(&mut self) {
        self.drive();
        while self.fault_code().is_none() && self.loaded.wants_commit() {
            self.commit().await.unwrap();
        }
        self.committer.renew(true).await.unwrap();
        self.send();
    }

    pub fn send(&mut self) {
        let out = self.loaded.messages().get_and_clear_pending_msg_events();
        if out.is_empty() {
            return;
        }
        self.said.extend(out.iter().map(name));
        self.wire.extend(out);
        self.assert_committed();
    }

    /// A fresh engine on the committed rows would say the same in `channel_reestablish` as one on the state of now.
    pub fn assert_committed(&self) {
        let committed = reestablishes(&self.keys, &self.store.rows());
        assert_eq!(committed, reestablishes(&self.keys, &self.rows_now()), "{:?} left before its commit", self.said);
    }

    /// The state in memory, committed or not.
    pub fn rows_now(&self) -> Rows {
        let mut now = Rows::from([(rows::MANAGER.to_owned(), self.loaded.manager().encode())]);
        for id in self.loaded.monitors().list_monitors() {
            let monitor = self.loaded.monitors().get_monitor(id).unwrap();
            now.insert(format!("{}{}", rows::MONITOR_PREFIX, monitor.persistence_key()), monitor.encode());
        }
        now
    }

    pub fn usable(&self) -> bool {
        let channels = self.loaded.manager().list_channels();
        !channels.is_empty() && channels.iter().all(|channel| channel.is_usable)
    }

    fn init(&self, peer: PublicKey) -> Init {
        let features = self.loaded.messages().provided_init_features(peer);
        Init { features, networks: None, remote_network_address: None }
    }
}

/// Per channel, the numbers that a `channel_reestablish` from these rows would carry.
fn reestablishes(keys: &Keys, rows: &Rows) -> Vec<(ChannelId, u64, u64)> {
    if !rows.contains_key(rows::MANAGER) {
        return Vec::new();
    }
    let loaded = load(keys, rows).unwrap();
    assert_eq!(loaded.fault().reason(), None);
    let mut numbers = Vec::new();
    for peer in [super::keys(true).node_id(), super::keys(false).node_id()] {
        let init = Init {
            features: loaded.manager().provided_init_features(peer),
            networks: None,
            remote_network_address: None,
        };
        let _ = loaded.manager().peer_connected(peer, &init, false);
    }
    for event in loaded.manager().get_and_clear_pending_msg_events() {
        if let MessageSendEvent::SendChannelReestablish {
            msg:
                ChannelReestablish {
                    channel_id,
                    next_local_commitment_number: local,
                    next_remote_commitment_number: remote,
                    ..
                },
            ..
        } = event
        {
            numbers.push((channel_id, local, remote));
        }
    }
    numbers.sort();
    numbers
}

fn funding(output_script: &ScriptBuf) -> Transaction {
    Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::new(bitcoin::hashes::Hash::from_byte_array([7; 32]), 0),
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::from_slice(&[vec![1u8; 64]]),
        }],
        output: vec![TxOut { value: Amount::from_sat(CHANNEL_SATS), script_pubkey: output_script.clone() }],
    }
}

/// The two of them.
pub(crate) struct Pair {
    pub lsp: Side,
    pub wallet: Side,
}

impl Pair {
    pub async fn of(lsp: &Rows, wallet: &Rows) -> Pair {
        Pair { lsp: Side::new(true, lsp).await, wallet: Side::new(false, wallet).await }
    }

    /// Connected, and a 0-conf channel from the LSP is usable.
    pub async fn with_channel() -> Pair {
        let mut pair = Pair::of(&Rows::new(), &Rows::new()).await;
        pair.connect();
        pair.open_channel();
        pair.settle().await;
        assert!(pair.lsp.usable() && pair.wallet.usable(), "{:?} {:?}", pair.lsp.said, pair.wallet.said);
        pair
    }

    pub fn open_channel(&self) {
        let wallet = self.wallet.id();
        self.lsp.loaded.manager().create_channel(wallet, CHANNEL_SATS, 0, 1, None, None).unwrap();
    }

    pub fn connect(&mut self) {
        let (lsp, wallet) = (self.lsp.id(), self.wallet.id());
        let (lsp_init, wallet_init) = (self.lsp.init(wallet), self.wallet.init(lsp));
        self.lsp.loaded.messages().peer_connected(wallet, &wallet_init, true).unwrap();
        self.wallet.loaded.messages().peer_connected(lsp, &lsp_init, false).unwrap();
    }

    pub fn disconnect(&mut self) {
        self.lsp.loaded.messages().peer_disconnected(self.wallet.id());
        self.wallet.loaded.messages().peer_disconnected(self.lsp.id());
        self.lsp.wire.clear();
        self.wallet.wire.clear();
    }

    /// Turns and messages until nothing moves.
    pub async fn settle(&mut self) {
        for _ in 0..500 {
            self.lsp.turn().await;
            self.wallet.turn().await;
            if self.lsp.wire.is_empty() && self.wallet.wire.is_empty() {
                return;
            }
            self.carry_one_each();
        }
        panic!("does not settle: {:?} {:?}", self.lsp.said, self.wallet.said);
    }

    /// One message in each direction.
    pub fn carry_one_each(&mut self) {
        if let Some(event) = self.lsp.wire.pop_front() {
            hand_over(&self.wallet, self.lsp.id(), event);
        }
        if let Some(event) = self.wallet.wire.pop_front() {
            hand_over(&self.lsp, self.wallet.id(), event);
        }
    }

    pub fn mint(&self, amount_msat: Option<u64>) -> Bolt11Invoice {
        let route = JitRoute { scid: 512_345 << 40 | 1_203 << 16 | 5, cltv_expiry_delta: 72 };
        let request = MintRequest { amount_msat, description: "tea".to_owned(), expiry_secs: 600 };
        let minted = invoice::mint(&self.wallet.keys, Network::Regtest, self.lsp.id(), &route, &request).unwrap();
        Bolt11Invoice::from_str(&minted.bolt11).unwrap()
    }

    /// The LSP pays that much of the invoice, with exactly that final CLTV delta.
    pub fn pay(&mut self, invoice: &Bolt11Invoice, amount_msat: u64, final_cltv: u32) {
        let wallet = self.wallet.id();
        self.lsp.pay(wallet, invoice, amount_msat, final_cltv);
    }
}

impl Side {
    /// Through its only channel, as a payment of its own, however often that invoice was paid before.
    pub fn pay(&mut self, to: PublicKey, invoice: &Bolt11Invoice, amount_msat: u64, final_cltv: u32) {
        let channel = &self.loaded.manager().list_channels()[0];
        let hop = RouteHop {
            pubkey: to,
            node_features: NodeFeatures::empty(),
            short_channel_id: channel.get_outbound_payment_scid().unwrap(),
            channel_features: ChannelFeatures::empty(),
            fee_msat: amount_msat,
            cltv_expiry_delta: final_cltv,
            maybe_announced_channel: false,
        };
        let route = Route { paths: vec![Path { hops: vec![hop], blinded_tail: None }], route_params: None };
        let hash = lightning::types::payment::PaymentHash(*invoice.payment_hash().as_ref());
        let onion = RecipientOnionFields::secret_only(*invoice.payment_secret());
        self.payments += 1;
        // Of this invoice and this attempt: another pair may go on from this one's state.
        let mut id = PaymentId(hash.0);
        id.0[0] = self.payments;
        self.loaded.manager().send_payment_with_route(route, hash, onion, id).unwrap();
    }
}

/// Hands a peer's message to the gate.
pub(crate) fn hand_over(to: &Side, from: PublicKey, event: MessageSendEvent) {
    deliver(&to.loaded, from, event);
}

/// The same, to whoever has the engine.
pub(crate) fn deliver(to: &Loaded, from: PublicKey, event: MessageSendEvent) {
    use MessageSendEvent::*;
    let gate = to.messages();
    match event {
        SendOpenChannel { msg, .. } => gate.handle_open_channel(from, &msg),
        SendAcceptChannel { msg, .. } => gate.handle_accept_channel(from, &msg),
        SendFundingCreated { msg, .. } => gate.handle_funding_created(from, &msg),
        SendFundingSigned { msg, .. } => gate.handle_funding_signed(from, &msg),
        SendChannelReady { msg, .. } => gate.handle_channel_ready(from, &msg),
        SendRevokeAndACK { msg, .. } => gate.handle_revoke_and_ack(from, &msg),
        SendChannelReestablish { msg, .. } => gate.handle_channel_reestablish(from, &msg),
        SendChannelUpdate { msg, .. } => gate.handle_channel_update(from, &msg),
        UpdateHTLCs { updates, .. } => {
            updates.update_add_htlcs.iter().for_each(|msg| gate.handle_update_add_htlc(from, msg));
            updates.update_fulfill_htlcs.into_iter().for_each(|msg| gate.handle_update_fulfill_htlc(from, msg));
            updates.update_fail_htlcs.iter().for_each(|msg| gate.handle_update_fail_htlc(from, msg));
            updates.update_fail_malformed_htlcs.iter().for_each(|m| gate.handle_update_fail_malformed_htlc(from, m));
            updates.update_fee.iter().for_each(|msg| gate.handle_update_fee(from, msg));
            updates.commitment_signed.iter().for_each(|msg| gate.handle_commitment_signed(from, msg));
        }
        HandleError { action: ErrorAction::SendErrorMessage { msg }, .. } => gate.handle_error(from, &msg),
        HandleError { .. } | BroadcastChannelUpdate { .. } => {}
        other => panic!("not carried: {other:?}"),
    }
}

/// What a message is called.
pub(crate) fn name(event: &MessageSendEvent) -> &'static str {
    use MessageSendEvent::*;
    match event {
        SendOpenChannel { .. } => "open_channel",
        SendAcceptChannel { .. } => "accept_channel",
        SendFundingCreated { .. } => "funding_created",
        SendFundingSigned { .. } => "funding_signed",
        SendChannelReady { .. } => "channel_ready",
        SendRevokeAndACK { .. } => "revoke_and_ack",
        SendChannelReestablish { .. } => "channel_reestablish",
        SendChannelUpdate { .. } => "channel_update",
        UpdateHTLCs { .. } => "update_htlcs",
        HandleError { .. } => "error",
        _ => "other",
    }
}
