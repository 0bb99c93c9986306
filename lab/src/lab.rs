//! The whole network: chain, Esplora, LSP, payer and the links in front of them, from nothing or from a folder.

use crate::chain::{SharedChain, Wallet};
use crate::cheat::{Memory, Theft};
use crate::esplora::tls::{Certificate, TlsServer};
use crate::esplora::{lying_router, EsploraServer, FeeTable, Lies};
use crate::faults::{Fan, Link};
use crate::lsp::options::{LspOptions, SharedOptions};
use crate::lsp::{Lsp, Webhooks};
use crate::node::wire_log::WireLog;
use crate::node::{keep_connected, listen, lsp_settings, payer_settings, End, Identity, Node, NodeParams, NodeThread};
use crate::payer::{Paid, Payer, PayerChannel, Payment, CHANNEL_SAT};
use crate::webhook::WebhookUrl;
use bitcoin::secp256k1::PublicKey;
use mayfly_core::entropy;
use mayfly_core::error::{Code, Error, Result};
use mayfly_core::log::LdkLog;
use serde::Serialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::RwLock;
use tokio::task::JoinSet;

/// What the LSP opens channels with, in satoshi: 1,000 of the smallest.
const LSP_FUNDS_SAT: u64 = 100_000_000;
/// A coin is reserved from signing to broadcast: as many channels as coins can be opened at the same instant. Enough for a
/// hundred wallets that are paid at once.
const LSP_COINS: u64 = 120;
/// Below this the LSP's wallet is filled again at the next start.
const LSP_LOW_SAT: u64 = 20_000_000;
/// A channel of 16 M satoshi needs some confirmations at the acceptor; LDK asks for 6. As many again are room for a reorg.
const CONFIRMATIONS: u32 = 12;
/// Everything is on this machine: a start that takes longer hangs.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// Seeds of a lab in a temporary folder: node ids that are the same each time.
const LSP_SEED: [u8; 32] = [31; 32];
const PAYER_SEED: [u8; 32] = [41; 32];

/// How a lab is started.
#[derive(Debug, Clone)]
pub struct LabConfig {
    /// Kept across restarts: chain, channels, node ids. `None`: a temporary folder, gone with the lab.
    pub dir: Option<PathBuf>,
    /// The LSP's options at the start.
    pub options: LspOptions,
    /// Payments without CLTV padding.
    pub strict_cltv: bool,
    /// How many channels the payer has at least; it opens what is missing.
    pub payer_channels: usize,
}

impl Default for LabConfig {
    fn default() -> Self {
        LabConfig { dir: None, options: LspOptions::default(), strict_cltv: false, payer_channels: 1 }
    }
}

/// What a program needs to use the lab; the first line on stdout.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ready {
    /// Always true.
    pub ready: bool,
    /// Always `regtest`.
    pub network: &'static str,
    /// Esplora, behind its link.
    pub esplora_url: String,
    /// Esplora over TLS, with a certificate that nobody vouches for. This one and the next two are behind no link.
    pub esplora_tls_url: String,
    /// The same with another host's certificate.
    pub esplora_tls_wrong_name_url: String,
    /// The same with a certificate that has expired.
    pub esplora_tls_expired_url: String,
    /// The LSP's node id.
    pub lsp_node_id: String,
    /// The LSP, behind its link: `127.0.0.1:port`.
    pub lsp_address: String,
    /// The control API.
    pub control_url: String,
}

/// A running lab. Dropping it ends everything.
pub struct Lab {
    /// The chain.
    pub chain: SharedChain,
    /// What Esplora says instead of the truth.
    pub lies: Lies,
    /// The LSP's options.
    pub options: SharedOptions,
    /// Who is woken where.
    pub webhooks: Webhooks,
    /// The LSP's commitments with the clients that it is to cheat.
    pub memory: Memory,
    /// What the LSP says and hears.
    pub messages: WireLog,
    /// What Esplora says of fees.
    pub fees: FeeTable,
    /// In front of the LSP.
    pub lsp_link: Link,
    /// In front of Esplora.
    pub esplora_link: Link,
    /// In front of everyone who is woken.
    pub webhook_links: Fan,
    /// The LSP's node id.
    pub lsp_id: PublicKey,
    /// Payments without CLTV padding, unless the payment says otherwise.
    pub strict_cltv: bool,
    // `None` only while it restarts, or when that failed. Declared before the folder: threads end first.
    lsp: RwLock<Option<NodeThread<Lsp>>>,
    payer: Arc<NodeThread<Payer>>,
    lsp_identity: Identity,
    lsp_address: SocketAddr,
    dir: PathBuf,
    thefts: Mutex<JoinSet<()>>,
    _esplora: EsploraServer,
    tls: [TlsServer; 3],
    scratch: Mutex<Option<tempfile::TempDir>>,
}

impl Lab {
    /// Starts everything; returns when the payer can pay. Must run inside a multi-thread tokio runtime.
    pub async fn start(config: LabConfig) -> Result<Lab> {
        let started = tokio::time::timeout(START_TIMEOUT, Lab::start_unbounded(config)).await;
        started.unwrap_or_else(|_| {
            Err(Error::new(Code::Timeout, format!("the lab did not start within {} s", START_TIMEOUT.as_secs())))
        })
    }

    async fn start_unbounded(config: LabConfig) -> Result<Lab> {
        let (dir, scratch) = folder(config.dir)?;
        let kept = scratch.is_none();
        let chain = SharedChain::open(Some(dir.join("chain"))).map_err(broken)?;
        let lsp_identity = identity(&dir, "lsp", kept, LSP_SEED)?;
        let payer_identity = identity(&dir, "payer", kept, PAYER_SEED)?;
        let lsp_id = lsp_identity.node_id()?;
        fill(&chain, &Wallet::new("lsp"), LSP_FUNDS_SAT, LSP_COINS)?;

        let fees = FeeTable::default();
        let lies = Lies::default();
        let routes = lying_router(chain.clone(), fees.clone(), lies.clone());
        let tls = |certificate| TlsServer::start(routes.clone(), certificate);
        let tls = [
            tls(Certificate::SelfSigned).await.map_err(broken)?,
            tls(Certificate::WrongName).await.map_err(broken)?,
            tls(Certificate::Expired).await.map_err(broken)?,
        ];
        let esplora = EsploraServer::serve(routes, 0).await.map_err(broken)?;
        let esplora_link = Link::start(esplora.address()).await.map_err(broken)?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(broken)?;
        let lsp_address = listener.local_addr().map_err(broken)?;
        // A node's thread registers its listener with its own runtime.
        drop(listener);
        let lsp_link = Link::start(lsp_address).await.map_err(broken)?;
        let options = SharedOptions::new(config.options);
        let parts = LspParts {
            identity: lsp_identity.clone(),
            dir: dir.join("lsp"),
            chain: chain.clone(),
            address: lsp_address,
            options: options.clone(),
            webhooks: Webhooks::default(),
            memory: Memory::default(),
            messages: WireLog::default(),
        };
        let (webhooks, memory, messages) = (Arc::clone(&parts.webhooks), parts.memory.clone(), parts.messages.clone());
        let lsp = parts.start().await?;
        let payer = start_payer(payer_identity, dir.join("payer"), chain.clone(), lsp_id, lsp_address).await?;
        let there = payer.call(|node| async move { node.channels().len() }).await?;
        for _ in there..config.payer_channels.max(1) {
            open_payer_channel(&payer, &chain, CHANNEL_SAT).await?;
        }
        // Also after a lab that ended between a broadcast and its confirmations.
        confirm_payer(&payer, &chain).await?;
        Ok(Lab {
            chain,
            lies,
            options,
            webhooks,
            memory,
            messages,
            fees,
            lsp_link,
            esplora_link,
            webhook_links: Fan::default(),
            lsp_id,
            strict_cltv: config.strict_cltv,
            lsp: RwLock::new(Some(lsp)),
            payer: Arc::new(payer),
            lsp_identity,
            lsp_address,
            dir,
            thefts: Mutex::default(),
            _esplora: esplora,
            tls,
            scratch: Mutex::new(scratch),
        })
    }

    /// Where everything is.
    pub fn ready(&self, control: SocketAddr) -> Ready {
        let [self_signed, wrong_name, expired] = &self.tls;
        Ready {
            ready: true,
            network: "regtest",
            esplora_url: format!("http://{}", self.esplora_link.address()),
            esplora_tls_url: self_signed.url(),
            esplora_tls_wrong_name_url: wrong_name.url(),
            esplora_tls_expired_url: expired.url(),
            lsp_node_id: self.lsp_id.to_string(),
            lsp_address: self.lsp_link.address().to_string(),
            control_url: format!("http://{control}"),
        }
    }

    /// Asks something of the LSP, on its thread.
    pub async fn with_lsp<T: Send + 'static>(&self, ask: impl FnOnce(&Node<Lsp>) -> T + Send + 'static) -> Result<T> {
        let lsp = self.lsp.read().await;
        let Some(thread) = lsp.as_ref() else {
            return Err(Error::new(Code::LspUnavailable, "the LSP is not running: a restart failed; see the log"));
        };
        thread.call(|node| async move { ask(&node) }).await
    }

    /// From now on that node is woken there, through a link.
    pub async fn register_webhook(&self, node: PublicKey, url: WebhookUrl) -> Result<()> {
        let way = self.webhook_links.way_to(url.address()).await.map_err(broken)?;
        self.webhooks.lock().unwrap_or_else(PoisonError::into_inner).insert(node, url.through(way));
        Ok(())
    }

    /// From now on it takes what it can, until the lab ends; restarts of the LSP do not stop it.
    pub fn let_loose(&self, theft: Theft) {
        self.thefts.lock().unwrap_or_else(PoisonError::into_inner).spawn(theft.run());
    }

    /// Pays. The inner error is why the payment failed.
    pub async fn pay(&self, payment: Payment) -> Result<std::result::Result<Paid, String>> {
        self.payer.call(move |node| async move { node.pay(payment).await }).await
    }

    /// Opens one more channel for the payer and mines until it can pay through all of them.
    pub async fn open_payer_channel(&self, sat: u64) -> Result<()> {
        let opened = async {
            open_payer_channel(&self.payer, &self.chain, sat).await?;
            confirm_payer(&self.payer, &self.chain).await
        };
        tokio::time::timeout(START_TIMEOUT, opened)
            .await
            .unwrap_or_else(|_| Err(Error::new(Code::Timeout, "the payer's new channel did not get usable")))
    }

    /// What the payer pays through.
    pub async fn payer_channels(&self) -> Result<Vec<PayerChannel>> {
        self.payer.call(|node| async move { node.channels() }).await
    }

    /// How many blocks a reorg may take off without costing the payer a channel.
    pub async fn deepest_reorg(&self) -> Result<u32> {
        let confirmations = self.payer.call(|node| async move { node.confirmations() });
        Ok(confirmations.await?.saturating_sub(1))
    }

    /// Ends the LSP, gracefully or not, and starts it again from its store, on the same port; returns when the payer's
    /// channel is usable again.
    pub async fn restart_lsp(&self, how: End) -> Result<()> {
        let mut lsp = self.lsp.write().await;
        if let Some(running) = lsp.take() {
            let ended = tokio::task::spawn_blocking(move || running.end(how)).await;
            ended.map_err(|error| Error::new(Code::Internal, format!("ending the LSP failed: {error}")))?;
            // Else its channel could still look usable, by the connection to the LSP that is gone, when that is asked below.
            let noticed = self.payer.call(|node| async move { node.until(|node| !node.can_pay()).await });
            tokio::time::timeout(START_TIMEOUT, noticed).await.unwrap_or_else(|_| {
                Err(Error::new(Code::Timeout, "the payer did not notice that the LSP has ended"))
            })?;
        }
        let parts = LspParts {
            identity: self.lsp_identity.clone(),
            dir: self.dir.join("lsp"),
            chain: self.chain.clone(),
            address: self.lsp_address,
            options: self.options.clone(),
            webhooks: Arc::clone(&self.webhooks),
            memory: self.memory.clone(),
            messages: self.messages.clone(),
        };
        *lsp = Some(parts.start().await?);
        drop(lsp);
        let usable = self.payer.call(|node| async move { node.until(Node::can_pay).await });
        tokio::time::timeout(START_TIMEOUT, usable).await.unwrap_or_else(|_| {
            Err(Error::new(Code::Timeout, "the payer's channel did not come back after the LSP's restart"))
        })
    }

    /// Ends everything in order: what is uncommitted is committed, a temporary folder is removed. Calls that wait are
    /// answered with `NODE_DESTROYED`.
    pub async fn stop(&self) {
        drop(std::mem::take(&mut *self.thefts.lock().unwrap_or_else(PoisonError::into_inner)));
        let lsp = self.lsp.write().await.take();
        let payer = Arc::clone(&self.payer);
        let ended = tokio::task::spawn_blocking(move || {
            payer.end(End::Graceful);
            if let Some(lsp) = lsp {
                lsp.end(End::Graceful);
            }
        });
        if ended.await.is_err() {
            tracing::error!("the nodes did not end in order");
        }
        drop(self.scratch.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// What an LSP is started from, the first time and again.
struct LspParts {
    identity: Identity,
    dir: PathBuf,
    chain: SharedChain,
    address: SocketAddr,
    options: SharedOptions,
    webhooks: Webhooks,
    memory: Memory,
    messages: WireLog,
}

impl LspParts {
    async fn start(self) -> Result<NodeThread<Lsp>> {
        let LspParts { identity, dir, chain, address, options, webhooks, memory, messages } = self;
        let runtime = tokio::runtime::Handle::current();
        let listener = std::net::TcpListener::bind(address).map_err(broken)?;
        listener.set_nonblocking(true).map_err(broken)?;
        let open = move || async move {
            let log = Arc::new(LdkLog::observed("lsp", Box::new(move |record| messages.observe(record))));
            let params = NodeParams { keys: identity.keys(), dir: Some(dir), settings: lsp_settings(), log, chain };
            Node::open(params, |rows| Lsp::load(rows, options, webhooks, memory, runtime)).await
        };
        NodeThread::start("lab-lsp", open, move |node| async move {
            match TcpListener::from_std(listener) {
                Ok(listener) => listen(&node.base, listener, || {}).await,
                Err(error) => tracing::error!(%error, "the LSP can't listen"),
            }
        })
        .await
    }
}

/// Starts the payer, which has no channel the first time.
async fn start_payer(
    identity: Identity,
    dir: PathBuf,
    chain: SharedChain,
    lsp: PublicKey,
    address: SocketAddr,
) -> Result<NodeThread<Payer>> {
    let follow = chain.clone();
    let open = move || async move {
        let log = Arc::new(LdkLog::new("payer"));
        let params =
            NodeParams { keys: identity.keys(), dir: Some(dir), settings: payer_settings(), log, chain: follow };
        Node::open(params, |_| Ok(Payer::new(lsp))).await
    };
    let connect = move |node: std::rc::Rc<Node<Payer>>| async move { keep_connected(&node.base, lsp, address).await };
    NodeThread::start("lab-payer", open, connect).await
}

/// Opens one more channel for the payer, with fresh money if it needs some.
async fn open_payer_channel(payer: &NodeThread<Payer>, chain: &SharedChain, sat: u64) -> Result<()> {
    fill(chain, &Wallet::new("payer"), CHANNEL_SAT + 1_000_000, 1)?;
    payer.call(move |node| async move { node.open_channel(sat).await }).await?.map_err(broken)
}

/// Mines until LDK takes all of the payer's channels for confirmed.
async fn confirm_payer(payer: &NodeThread<Payer>, chain: &SharedChain) -> Result<()> {
    let confirmations = payer.call(|node| async move { node.confirmations() }).await?;
    let missing = CONFIRMATIONS.saturating_sub(confirmations);
    if missing > 0 {
        chain.mine(missing).map_err(broken)?;
    }
    payer.call(|node| async move { node.until(Node::can_pay).await }).await
}

/// Mines money for a wallet that has too little, in that many coins.
fn fill(chain: &SharedChain, wallet: &Wallet, sat: u64, coins: u64) -> Result<()> {
    if wallet.balance_sats(chain) < sat.min(LSP_LOW_SAT) {
        for _ in 0..coins {
            chain.fund(wallet.script(), sat / coins).map_err(broken)?;
        }
    }
    Ok(())
}

fn folder(dir: Option<PathBuf>) -> Result<(PathBuf, Option<tempfile::TempDir>)> {
    match dir {
        Some(dir) => {
            std::fs::create_dir_all(&dir)
                .map_err(|error| Error::option("dir", format!("{} can't be used: {error}", dir.display())))?;
            Ok((dir, None))
        }
        None => {
            let scratch = tempfile::Builder::new().prefix("mayfly-lab-").tempdir().map_err(broken)?;
            Ok((scratch.path().to_owned(), Some(scratch)))
        }
    }
}

/// In a kept folder a random seed, drawn once; else a fixed one. Money on regtest is worth nothing.
fn identity(dir: &Path, name: &str, kept: bool, fixed: [u8; 32]) -> Result<Identity> {
    if !kept {
        return Ok(Identity::new(fixed));
    }
    let path = dir.join(format!("{name}.seed"));
    match std::fs::read(&path) {
        Ok(bytes) => match <[u8; 32]>::try_from(bytes.as_slice()) {
            Ok(seed) => Ok(Identity::new(seed)),
            Err(_) => Err(Error::option("dir", format!("{} is not 32 bytes: delete the folder", path.display()))),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let seed = entropy::random();
            std::fs::write(&path, seed).map_err(broken)?;
            Ok(Identity::new(seed))
        }
        Err(error) => Err(broken(format!("{}: {error}", path.display()))),
    }
}

fn broken(error: impl std::fmt::Display) -> Error {
    Error::new(Code::Internal, format!("the lab can't work on this machine: {error}"))
}
