//! A wallet as the node has it, paid by an LSP of the [`Side`] kind, over a store whose reads can be watched, fail or hang. A
//! turn does what the node's loop does.

use crate::chain::fees::Fees;
use crate::checkpoint::tests::{deliver, engine, keys, Side};
use crate::checkpoint::Committer;
use crate::config::SkimLimit;
use crate::error::{Code, Error, Result};
use crate::invoice::{self, MintRequest};
use crate::lsp::JitRoute;
use crate::store::memory::MemoryWallet;
use crate::store::{Batch, Claimant, Nonce, Outcome, Position, Rows, Snapshot, Standing, Store, StoreFuture};
use crate::wallet::{Terms, Wallet};
use bitcoin::secp256k1::PublicKey;
use bitcoin::Network;
use lightning::chain::BestBlock;
use lightning::ln::msgs::{BaseMessageHandler, Init, MessageSendEvent};
use lightning_invoice::Bolt11Invoice;
use std::collections::VecDeque;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the store does when it is asked for rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reads {
    Answer,
    Fail,
    Hang,
}

/// What a test and the store share.
#[derive(Clone)]
pub(crate) struct Desk {
    pub rows: MemoryWallet,
    reads: Arc<Mutex<Reads>>,
    asked: Arc<Mutex<Vec<Vec<String>>>>,
    moved: Arc<Mutex<bool>>,
}

impl Desk {
    fn new() -> Self {
        Desk {
            rows: MemoryWallet::default(),
            reads: Arc::new(Mutex::new(Reads::Answer)),
            asked: Arc::default(),
            moved: Arc::default(),
        }
    }

    /// The next claim finds the store on another server.
    pub fn moves(&self) {
        *self.moved.lock().unwrap() = true;
    }

    pub fn reads(&self, reads: Reads) {
        *self.reads.lock().unwrap() = reads;
    }

    /// What was asked for since the last call, one entry per round trip.
    pub fn take_asked(&self) -> Vec<Vec<String>> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    /// The payment hashes in the ledger.
    pub fn ledger(&self) -> Vec<String> {
        self.rows.rows().keys().filter_map(|key| key.strip_prefix("ledger/")).map(str::to_owned).collect()
    }
}

struct Watched {
    inner: Box<dyn Store>,
    desk: Desk,
}

impl Store for Watched {
    fn claim_and_load<'a>(&'a mut self, claimant: &'a Claimant) -> StoreFuture<'a, Result<Snapshot>> {
        Box::pin(async {
            let snapshot = self.inner.claim_and_load(claimant).await?;
            let moved = std::mem::take(&mut *self.desk.moved.lock().unwrap());
            Ok(Snapshot { moved, ..snapshot })
        })
    }

    fn commit<'a>(&'a mut self, at: Position, nonce: Nonce, batch: &'a Batch) -> StoreFuture<'a, Outcome> {
        self.inner.commit(at, nonce, batch)
    }

    fn check<'a>(&'a mut self, at: Position) -> StoreFuture<'a, Result<Standing>> {
        self.inner.check(at)
    }

    fn release<'a>(&'a mut self, at: Position) -> StoreFuture<'a, Result<()>> {
        self.inner.release(at)
    }

    fn read<'a>(&'a mut self, prefixes: &'a [&'a str]) -> StoreFuture<'a, Result<Rows>> {
        self.desk.asked.lock().unwrap().push(prefixes.iter().map(|prefix| (*prefix).to_owned()).collect());
        match *self.desk.reads.lock().unwrap() {
            Reads::Answer => self.inner.read(prefixes),
            Reads::Fail => Box::pin(async { Err(Error::new(Code::StoreUnavailable, "as the test asked for")) }),
            Reads::Hang => Box::pin(std::future::pending()),
        }
    }

    fn read_last<'a>(
        &'a mut self,
        prefix: &'a str,
        before: Option<&'a str>,
        limit: usize,
    ) -> StoreFuture<'a, Result<Rows>> {
        self.inner.read_last(prefix, before, limit)
    }
}

/// The LSP, and the wallet's life of now.
pub(crate) struct Till {
    pub lsp: Side,
    pub desk: Desk,
    pub wallet: Wallet,
    wire: VecDeque<MessageSendEvent>,
    connected: bool,
}

impl Till {
    /// Connected, and with a usable channel.
    pub async fn open() -> Till {
        let desk = Desk::new();
        let wallet = life(&desk).await;
        let mut till =
            Till { lsp: Side::new(true, &Rows::new()).await, desk, wallet, wire: VecDeque::new(), connected: false };
        till.connect();
        let wallet = keys(false).node_id();
        till.lsp.loaded.manager().create_channel(wallet, 1_000_000, 0, 1, None, None).unwrap();
        till.settle().await.unwrap();
        assert!(till.lsp.usable());
        till
    }

    /// The process dies, and another loads what is committed.
    pub async fn restart(&mut self) {
        self.die().await;
        self.connect();
    }

    /// The same; it is not connected.
    pub async fn die(&mut self) {
        if std::mem::take(&mut self.connected) {
            self.lsp.loaded.messages().peer_disconnected(keys(false).node_id());
        }
        self.lsp.wire.clear();
        self.wire.clear();
        self.wallet = life(&self.desk).await;
    }

    pub fn connect(&mut self) {
        self.connected = true;
        let (lsp, wallet) = (self.lsp.id(), keys(false).node_id());
        let init = |features| Init { features, networks: None, remote_network_address: None };
        let (lsp_init, wallet_init) = (
            init(self.lsp.loaded.messages().provided_init_features(wallet)),
            init(self.wallet.loaded.messages().provided_init_features(lsp)),
        );
        self.lsp.loaded.messages().peer_connected(wallet, &wallet_init, true).unwrap();
        self.wallet.loaded.messages().peer_connected(lsp, &lsp_init, false).unwrap();
    }

    /// Turns and messages until nothing moves, or the wallet is over.
    pub async fn settle(&mut self) -> Result<()> {
        self.steps(|_| false).await
    }

    /// The same, until `enough`.
    pub async fn steps(&mut self, enough: impl Fn(&Till) -> bool) -> Result<()> {
        for _ in 0..500 {
            if !self.step().await? || enough(self) {
                return Ok(());
            }
        }
        panic!("does not settle: {:?}", self.lsp.said);
    }

    /// A turn of each, then one message in each direction. False: nothing moves.
    pub async fn step(&mut self) -> Result<bool> {
        self.lsp.turn().await;
        self.turn().await?;
        let (down, up) = (self.lsp.wire.pop_front(), self.wire.pop_front());
        let moves = down.is_some() || up.is_some();
        if let Some(event) = down {
            deliver(&self.wallet.loaded, self.lsp.id(), event);
        }
        if let Some(event) = up {
            deliver(&self.lsp.loaded, keys(false).node_id(), event);
        }
        Ok(moves)
    }

    pub async fn turn(&mut self) -> Result<()> {
        self.wallet.drive().await?;
        if self.wallet.wants_commit() {
            let committed = self.wallet.commit().await?;
            assert!(committed.transactions.is_empty(), "nothing is closed here");
        }
        self.wire.extend(self.wallet.loaded.messages().get_and_clear_pending_msg_events());
        Ok(())
    }

    pub fn mint(&self, amount_msat: Option<u64>) -> Bolt11Invoice {
        let route = JitRoute { scid: 512_345 << 40 | 1_203 << 16 | 5, cltv_expiry_delta: 72 };
        let request = MintRequest { amount_msat, description: "tea".to_owned(), expiry_secs: 600 };
        let minted = invoice::mint(&keys(false), Network::Regtest, self.lsp.id(), &route, &request).unwrap();
        Bolt11Invoice::from_str(&minted.bolt11).unwrap()
    }

    /// The LSP pays, and it is carried to its end. Whether the LSP has the preimage.
    pub async fn paid(&mut self, invoice: &Bolt11Invoice, amount_msat: u64, final_cltv: u32) -> bool {
        self.begin(invoice, amount_msat, final_cltv);
        self.settle().await.unwrap();
        self.outcome()
    }

    /// The LSP pays; nothing is carried yet.
    pub fn begin(&mut self, invoice: &Bolt11Invoice, amount_msat: u64, final_cltv: u32) {
        self.lsp.events.clear();
        let wallet: PublicKey = keys(false).node_id();
        self.lsp.pay(wallet, invoice, amount_msat, final_cltv);
    }

    /// What became of the LSP's last payment.
    pub fn outcome(&self) -> bool {
        let (sent, failed) = (self.lsp.has_event("PaymentSent"), self.lsp.has_event("PaymentFailed"));
        assert!(sent != failed, "{:?}", self.lsp.events);
        sent
    }

    /// The payment hashes that JavaScript is told of, in their order.
    pub fn told(&self) -> Vec<String> {
        self.wallet.outbox.iter().map(|event| event.payment_hash.clone()).collect()
    }

    pub fn balance_msat(&self) -> u64 {
        self.wallet.summary().balance.lightning_msat
    }
}

/// A wallet's life from what is committed.
async fn life(desk: &Desk) -> Wallet {
    desk.rows.fence();
    let mut store = Watched { inner: Box::new(desk.rows.store()), desk: desk.clone() };
    let claimant = Claimant::of_process(1);
    let snapshot = store.claim_and_load(&claimant).await.unwrap();
    assert!(!snapshot.rows.keys().any(|key| key.starts_with("ledger/")), "no boot reads the ledger");
    let committer = Committer::new(Box::new(store), &snapshot, Duration::from_secs(1));
    let terms = Terms { lsp: keys(true).node_id(), skim: SkimLimit { ppm: 30_000, base_msat: 0 }, recover: false };
    let best = BestBlock::from_network(Network::Regtest);
    let fees = Arc::new(Fees::default());
    let wallet = Wallet::restore(engine(&keys(false)), &snapshot, committer, best, terms, fees).unwrap();
    wallet.caught_up().unwrap();
    wallet
}
