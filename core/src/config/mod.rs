//! Options, validated: after `Config::parse` nothing in them can be wrong.
//!
//! Nothing is opened, resolved or looked up here. Errors are `INVALID_OPTION` with the option's name as JavaScript spells
//! it (dotted inside an object, such as `lease.ttlMs`), show the value unless it may hold a secret, and say what is valid.
//! `Debug` of everything in here is safe to log.

mod host;
mod label;
mod lsp;
mod mnemonic;
pub(crate) mod network;
mod numbers;
mod postgres_url;
mod shown;
mod store_url;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
mod tests;
mod url;
mod waits;

pub use mnemonic::Mnemonic;
pub use numbers::{safe_argument, safe_integer, MAX_SAFE_INTEGER};
pub use postgres_url::{ChannelBinding, PostgresHost, PostgresTls, PostgresUrl};
pub use shown::{shown, stray};

use crate::error::{Error, Result};
use crate::lsp::JitRoute;
use crate::timeouts::Timeouts;
use bitcoin::secp256k1::PublicKey;
use bitcoin::Network;
use std::fmt;
use std::time::Duration;

/// Options as JavaScript gives them: numbers are JavaScript numbers, absent is `None`.
#[derive(Clone, Default)]
pub struct RawConfig {
    /// `'mainnet'`, `'testnet'`, `'signet'` or `'regtest'`, exactly.
    pub network: String,
    /// 12, 15, 18, 21 or 24 English BIP 39 words.
    pub mnemonic: String,
    /// http(s), without credentials, query or fragment.
    pub esplora_url: String,
    /// 66 hexadecimal characters.
    pub lsp_node_id: String,
    /// `host:port`; an IPv6 address in brackets.
    pub lsp_address: String,
    /// `'auto'` (default) or `'lsps4'`.
    pub lsp_protocol: Option<String>,
    /// Known: mint without any I/O. Absent: learnt.
    pub jit_route: Option<RawJitRoute>,
    /// `file:<directory>`, `postgres://…` or `memory:`.
    pub store: String,
    /// Waiting for a held wallet.
    pub lease: RawLease,
    /// 1 to 10,000 ms, default 250.
    pub destroy_timeout_ms: Option<f64>,
    /// 0 (never) to 86,400,000 ms, default 30,000.
    pub max_idle_ms: Option<f64>,
    /// 0 to 1,000,000, default 30,000.
    pub max_skim_ppm: Option<f64>,
    /// Millisatoshi, default 0.
    pub max_skim_base_msat: Option<f64>,
    /// `'force-close'`: give channels up whose state is lost.
    pub recover: Option<String>,
    /// Every wait's bound; see `timeouts.rs`.
    pub timeouts: RawTimeouts,
}

/// `jitRoute`.
#[derive(Clone, Default)]
pub struct RawJitRoute {
    /// `<block>x<transaction>x<output>`.
    pub scid: String,
    /// Blocks, 1 to 2016.
    pub cltv_expiry_delta: f64,
}

/// `lease`; defaults 8000, 8, 250, 10000, 'unrenewed'.
#[derive(Clone, Default)]
pub struct RawLease {
    /// 2,000 to 600,000 ms.
    pub ttl_ms: Option<f64>,
    /// 1 to 1,000.
    pub attempts: Option<f64>,
    /// 1 to 60,000 ms.
    pub base_delay_ms: Option<f64>,
    /// 0 (don't wait) to 900,000 ms.
    pub max_wait_ms: Option<f64>,
    /// `'expired'` or `'unrenewed'`.
    pub take_over: Option<String>,
    /// At most 64 bytes; what the user calls this holder.
    pub label: Option<String>,
}

/// `timeouts`: each 1 to 900,000 ms. `chainMs` lies within `syncMs`, `storeMs` within `commitMs`, `connectMs` and `lspRequestMs` within `lspMs`.
#[derive(Clone, Default)]
pub struct RawTimeouts {
    /// One Esplora request.
    pub chain_ms: Option<f64>,
    /// Following the chain to the tip, all requests together.
    pub sync_ms: Option<f64>,
    /// One store operation.
    pub store_ms: Option<f64>,
    /// One TCP connect.
    pub connect_ms: Option<f64>,
    /// Being connected to the LSP, retries included.
    pub lsp_ms: Option<f64>,
    /// One LSPS request.
    pub lsp_request_ms: Option<f64>,
    /// Ending cleanly.
    pub stop_ms: Option<f64>,
    /// Resolving a commit of unknown outcome.
    pub commit_ms: Option<f64>,
}

/// Where to reach the LSP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LspPeer {
    /// Its node id.
    pub node_id: PublicKey,
    /// An IPv4 address, an IPv6 address without brackets, or a DNS name in lower case.
    pub host: String,
    /// Never 0.
    pub port: u16,
}

/// Which store, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// In this process only; never on mainnet.
    Memory,
    /// A directory, absolute; it need not exist.
    File(std::path::PathBuf),
    /// A PostgreSQL database.
    Postgres(Box<PostgresUrl>),
}

impl StoreUrl {
    /// Reads the option `store`, without what a network forbids.
    pub fn parse(text: &str) -> Result<StoreUrl> {
        store_url::parse(text).map_err(|what| Error::option("store", what))
    }
}

/// How long to wait for a held wallet, and when a lease may be taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeasePolicy {
    /// How long a lease lives without a renewal, by the store's clock.
    pub ttl: Duration,
    /// How often a held wallet is tried, at least once.
    pub attempts: u32,
    /// The first pause between attempts; it doubles.
    pub base_delay: Duration,
    /// All pauses together; zero is one attempt.
    pub max_wait: Duration,
    /// When someone else's lease may be taken.
    pub take_over: TakeOver,
}

/// When someone else's lease may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakeOver {
    /// After its time to live.
    Expired,
    /// Also when it was not renewed for 3 s.
    Unrenewed,
}

/// What an LSP may keep per payment: `base_msat + amount * ppm / 1_000_000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SkimLimit {
    /// Millionths of the amount, up to 1,000,000.
    pub ppm: u64,
    /// Millisatoshi.
    pub base_msat: u64,
}

/// Validated options.
#[derive(Clone)]
pub struct Config {
    /// Which chain.
    pub network: Network,
    /// The wallet's secret.
    pub mnemonic: Mnemonic,
    /// Without a trailing slash; no credentials, query or fragment. Its path may be an API key: log the host only.
    pub esplora_url: String,
    /// The LSP.
    pub lsp: LspPeer,
    /// The route to mint with, if it was given.
    pub jit_route: Option<JitRoute>,
    /// Where the wallet lives.
    pub store: StoreUrl,
    /// Waiting for a held wallet.
    pub lease: LeasePolicy,
    /// What the user calls this holder.
    pub label: Option<String>,
    /// How long `destroy()` may take.
    pub destroy_timeout: Duration,
    /// How long a node may run without a call; `None`: for ever.
    pub max_idle: Option<Duration>,
    /// What the LSP may keep.
    pub skim: SkimLimit,
    /// Channels whose state is lost are given up: the user's explicit word.
    pub recover: bool,
    /// Every other wait.
    pub timeouts: Timeouts,
}

/// LSPs take up to 2 % today; 3 % leaves room without hiding a mistake.
const DEFAULT_SKIM_PPM: u64 = 30_000;

impl Config {
    /// Checks everything; `INVALID_OPTION` names the first wrong option.
    pub fn parse(raw: RawConfig) -> Result<Config> {
        let network = network::parse(&raw.network).map_err(|what| Error::option("network", what))?;
        let mnemonic = Mnemonic::parse(&raw.mnemonic).map_err(|what| Error::option("mnemonic", what))?;
        let esplora_url = url::esplora_url(&raw.esplora_url)?;
        let lsp = lsp::peer(&raw.lsp_node_id, &raw.lsp_address)?;
        lsp::protocol(raw.lsp_protocol.as_deref())?;
        Ok(Config {
            network,
            mnemonic,
            esplora_url,
            lsp,
            jit_route: raw.jit_route.as_ref().map(lsp::jit_route).transpose()?,
            store: store_url::store_url(&raw.store, network)?,
            lease: waits::lease(&raw.lease)?,
            label: label::label(raw.lease.label.as_deref())?,
            destroy_timeout: waits::destroy_timeout(raw.destroy_timeout_ms)?,
            max_idle: waits::max_idle(raw.max_idle_ms)?,
            skim: skim(&raw)?,
            recover: recover(raw.recover.as_deref())?,
            timeouts: waits::timeouts(&raw.timeouts)?,
        })
    }
}

impl Config {
    /// The first option in which another node of the same wallet differs, as JavaScript spells it. What each node has for itself
    /// does not count: the route that it mints with, and how long its `destroy()` may take.
    pub fn differs(&self, other: &Config) -> Option<&'static str> {
        let same = [
            ("esploraUrl", self.esplora_url == other.esplora_url),
            ("lspNodeId", self.lsp.node_id == other.lsp.node_id),
            ("lspAddress", self.lsp == other.lsp),
            ("store", self.store == other.store),
            ("lease", self.lease == other.lease && self.label == other.label),
            ("maxIdleMs", self.max_idle == other.max_idle),
            ("maxSkimPpm", self.skim.ppm == other.skim.ppm),
            ("maxSkimBaseMsat", self.skim.base_msat == other.skim.base_msat),
            ("recover", self.recover == other.recover),
            ("timeouts", self.timeouts == other.timeouts),
        ];
        same.into_iter().find(|(_, same)| !same).map(|(name, _)| name)
    }
}

fn recover(word: Option<&str>) -> Result<bool> {
    match word {
        None => Ok(false),
        Some("force-close") => Ok(true),
        Some(_) => Err(Error::option("recover", "recover must be 'force-close' or absent: it gives channels up")),
    }
}

fn skim(raw: &RawConfig) -> Result<SkimLimit> {
    let or = |name, value: Option<f64>, max, default| match value {
        None => Ok(default),
        Some(value) => safe_integer(name, value, 0..=max),
    };
    Ok(SkimLimit {
        ppm: or("maxSkimPpm", raw.max_skim_ppm, 1_000_000, DEFAULT_SKIM_PPM)?,
        base_msat: or("maxSkimBaseMsat", raw.max_skim_base_msat, MAX_SAFE_INTEGER, 0)?,
    })
}

impl fmt::Debug for RawConfig {
    /// Nothing that is not validated: any text in it may be a secret in the wrong place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawConfig").finish_non_exhaustive()
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("network", &self.network)
            .field("mnemonic", &self.mnemonic)
            .field("esplora_url", &format_args!("{}", shown::shown_url(&self.esplora_url)))
            .field("lsp", &self.lsp)
            .field("jit_route", &self.jit_route)
            .field("store", &self.store)
            .field("lease", &self.lease)
            .field("label", &self.label)
            .field("destroy_timeout", &self.destroy_timeout)
            .field("max_idle", &self.max_idle)
            .field("skim", &self.skim)
            .field("recover", &self.recover)
            .field("timeouts", &self.timeouts)
            .finish()
    }
}
