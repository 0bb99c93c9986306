//! The smallest receiver: the lab's own node with a role that accepts 0-conf channels from one LSP and claims what comes.

use bitcoin::secp256k1::PublicKey;
use bitcoin::Network;
use lightning::events::Event;
use lightning::util::config::ChannelConfigUpdate;
use mayfly_core::config::Mnemonic;
use mayfly_core::invoice::{mint, Invoice, MintRequest};
use mayfly_core::keys::{generate_mnemonic, Keys};
use mayfly_core::log::LdkLog;
use mayfly_core::lsp::JitRoute;
use mayfly_lab::lab::Lab;
use mayfly_lab::node::{
    client_settings, keep_connected, Base, End, Node, NodeParams, NodeThread, Received, Role, Turn,
};
use serde_json::Value;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::Notify;

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

    async fn until(&self, ready: impl Fn(&Node<Client>) -> bool + Send + 'static) {
        let wait = self.running.as_ref().unwrap().call(|node| async move {
            loop {
                let turn = node.role.turned.notified();
                if ready(&node) {
                    return;
                }
                turn.await;
            }
        });
        wait.await.unwrap();
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
        tokio::time::timeout(std::time::Duration::from_secs(15), waited).await.expect("another balance");
    }
}
