//! The smallest receiver: the lab's own node with a role that accepts 0-conf channels from one LSP and claims what comes. Each
//! test file uses its part.
#![allow(dead_code)]

use axum::routing::post;
use bitcoin::secp256k1::PublicKey;
use bitcoin::Network;
use lightning::events::Event;
use lightning::ln::channel_state::ChannelDetails;
use lightning::util::config::ChannelConfigUpdate;
use mayfly_core::config::Mnemonic;
use mayfly_core::invoice::{mint, Invoice, MintRequest};
use mayfly_core::keys::{generate_mnemonic, Keys};
use mayfly_core::log::LdkLog;
use mayfly_core::lsp::JitRoute;
use mayfly_lab::lab::{Lab, LabConfig};
use mayfly_lab::lsp::options::LspOptions;
use mayfly_lab::lsp::Lsp;
use mayfly_lab::node::{
    client_settings, keep_connected, Base, End, Node, NodeParams, NodeThread, Received, Role, Turn,
};
use mayfly_lab::payer::{Paid, Payment};
use serde_json::Value;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, Notify};

/// Only so that a broken test ends: nothing here takes a second.
pub const PATIENCE: Duration = Duration::from_secs(15);

pub async fn lab(options: LspOptions) -> Lab {
    Lab::start(LabConfig { options, ..LabConfig::default() }).await.unwrap()
}

pub async fn pay(lab: &Lab, invoice: &Invoice) -> Result<Paid, String> {
    pay_up_to(lab, invoice, None).await
}

/// Pays in parts of at most so much.
pub async fn pay_in_parts(lab: &Lab, invoice: &Invoice, max_part_msat: u64) -> Result<Paid, String> {
    pay_up_to(lab, invoice, Some(max_part_msat)).await
}

async fn pay_up_to(lab: &Lab, invoice: &Invoice, max_part_msat: Option<u64>) -> Result<Paid, String> {
    let invoice = invoice.bolt11.parse().unwrap();
    let payment =
        Payment { invoice, amount_msat: None, timeout: PATIENCE, max_part_msat, strict_cltv: false, again: false };
    lab.pay(payment).await.unwrap()
}

/// Looks at the LSP until it is so.
pub async fn until(lab: &Lab, holds: impl Fn(&Node<Lsp>) -> bool + Clone + Send + 'static) {
    let waited = async {
        while !lab.with_lsp(holds.clone()).await.unwrap() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waited).await.expect("the LSP did not come to it");
}

/// Registers a webhook for the wallet; what is posted comes out of the channel.
pub async fn webhook(lab: &Lab, wallet: &Wallet) -> mpsc::UnboundedReceiver<Value> {
    let (sender, posted) = mpsc::unbounded_channel();
    let app = axum::Router::new().route(
        "/",
        post(move |axum::Json(body): axum::Json<Value>| async move {
            sender.send(body).unwrap();
        }),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let mut webhooks = lab.webhooks.lock().unwrap_or_else(PoisonError::into_inner);
    webhooks.insert(wallet.keys.node_id(), url.parse().unwrap());
    posted
}

pub async fn next(posted: &mut mpsc::UnboundedReceiver<Value>) -> Value {
    tokio::time::timeout(PATIENCE, posted.recv()).await.expect("no webhook came").unwrap()
}

pub struct Client {
    lsp: PublicKey,
    answers: RefCell<Vec<String>>,
    turned: Rc<Notify>,
    config_applied: RefCell<bool>,
}

impl Role for Client {
    fn event(&self, node: &Base, event: Event, _turn: &mut Turn) {
        match event {
            Event::OpenChannelRequest { temporary_channel_id, counterparty_node_id, .. } => {
                assert_eq!(counterparty_node_id, self.lsp);
                let manager = node.manager();
                // An LSP that is gone again has forgotten the channel.
                let _ =
                    manager.accept_inbound_channel_from_trusted_peer_0conf(&temporary_channel_id, &self.lsp, 0, None);
            }
            Event::PaymentClaimable { purpose, .. } => node.manager().claim_funds(purpose.preimage().unwrap()),
            _ => {}
        }
    }

    fn act(&self, node: &Base, _turn: &mut Turn) {
        // LDK does not persist it, and without it each skimmed payment after a restart is refused.
        if !self.config_applied.replace(true) {
            for channel in node.manager().list_channels() {
                let accept = ChannelConfigUpdate { accept_underpaying_htlcs: Some(true), ..Default::default() };
                let ids = [channel.channel_id];
                node.manager().update_partial_channel_config(&self.lsp, &ids, &accept).unwrap();
            }
        }
        for received in node.port.take_received() {
            if let Received::Message(_, message) = received {
                self.answers.borrow_mut().push(message.0.unwrap());
            }
        }
        self.turned.notify_waiters();
    }
}

/// A wallet that runs between `start` and `stop`, its state in this process's memory.
pub struct Wallet {
    pub keys: Arc<Keys>,
    lsp: PublicKey,
    chain: mayfly_lab::chain::SharedChain,
    address: std::net::SocketAddr,
    running: Option<NodeThread<Client>>,
}

impl Wallet {
    pub fn new(lab: &Lab) -> Wallet {
        let mnemonic = Mnemonic::parse(&generate_mnemonic(12).unwrap()).unwrap();
        let keys = Arc::new(Keys::derive(&mnemonic, Network::Regtest).unwrap());
        Wallet { keys, lsp: lab.lsp_id, chain: lab.chain.clone(), address: lab.lsp_link.address(), running: None }
    }

    pub async fn start(&mut self) {
        let (keys, chain, lsp, address) = (Arc::clone(&self.keys), self.chain.clone(), self.lsp, self.address);
        let open = move || async move {
            let log = Arc::new(LdkLog::new("client"));
            let settings = client_settings();
            Node::open(NodeParams { keys: keys.manager(), dir: None, settings, log, chain }, |_| {
                Ok(Client {
                    lsp,
                    answers: RefCell::default(),
                    turned: Rc::default(),
                    config_applied: RefCell::default(),
                })
            })
            .await
        };
        let connect = move |node: Rc<Node<Client>>| async move { keep_connected(&node.base, lsp, address).await };
        self.running = Some(NodeThread::start("client", open, connect).await.unwrap());
        self.until(move |node| node.base.port.is_connected(&lsp)).await;
    }

    pub fn stop(&mut self) {
        self.running.take().unwrap().end(End::Graceful);
    }

    /// Looks after each turn until it is so.
    pub async fn until(&self, ready: impl Fn(&Node<Client>) -> bool + Send + 'static) {
        let wait = self.running.as_ref().unwrap().call(|node| async move {
            loop {
                let turn = node.role.turned.notified();
                if ready(&node) {
                    return;
                }
                turn.await;
            }
        });
        tokio::time::timeout(PATIENCE, wait).await.expect("the client did not come to it").unwrap();
    }

    /// What LDK says of them.
    pub async fn channels(&self) -> Vec<ChannelDetails> {
        let listed = self.running.as_ref().unwrap().call(|node| async move { node.base.manager().list_channels() });
        listed.await.unwrap()
    }

    /// Sends one LSPS message.
    pub async fn send(&self, json: &str) {
        let (json, lsp) = (json.to_owned(), self.lsp);
        let sent = self.running.as_ref().unwrap().call(move |node| async move {
            node.role.answers.borrow_mut().clear();
            node.base.port.send(lsp, json);
            node.base.peers.process_events();
        });
        sent.await.unwrap();
    }

    /// Sends one LSPS message and returns the answer to it.
    pub async fn ask(&self, json: &str) -> String {
        self.send(json).await;
        self.until(|node| !node.role.answers.borrow().is_empty()).await;
        let answer = self.running.as_ref().unwrap().call(|node| async move { node.role.answers.borrow()[0].clone() });
        answer.await.unwrap()
    }

    /// Registers and returns the route.
    pub async fn register(&self) -> JitRoute {
        let request = r#"{"jsonrpc":"2.0","id":"00ff","method":"lsps4.register_node","params":{}}"#;
        let answer: Value = serde_json::from_str(&self.ask(request).await).unwrap();
        assert_eq!(answer["id"], "00ff");
        let scid = answer["result"]["jit_channel_scid"].as_str().unwrap();
        let parts: Vec<u64> = scid.split('x').map(|part| part.parse().unwrap()).collect();
        JitRoute {
            scid: parts[0] << 40 | parts[1] << 16 | parts[2],
            cltv_expiry_delta: answer["result"]["lsp_cltv_expiry_delta"].as_u64().unwrap() as u16,
        }
    }

    pub fn invoice(&self, route: &JitRoute, amount_msat: u64) -> Invoice {
        let request = MintRequest { amount_msat: Some(amount_msat), description: "a test".into(), expiry_secs: 600 };
        mint(&self.keys, Network::Regtest, self.lsp, route, &request).unwrap()
    }

    /// Waits until its channels hold that much for it, in millisatoshi, its reserves included.
    pub async fn until_balance(&self, msat: u64) {
        let waited = self.until(move |node| {
            let channels = node.base.manager().list_channels();
            let reserve = |sat: Option<u64>| 1_000 * sat.unwrap_or(0);
            let held = channels.iter().map(|c| c.outbound_capacity_msat + reserve(c.unspendable_punishment_reserve));
            held.sum::<u64>() == msat
        });
        waited.await;
    }
}
