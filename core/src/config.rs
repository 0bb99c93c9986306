//! Options, validated: after `Config::parse` nothing in them can be wrong.

use crate::error::Result;
use crate::lsp::JitRoute;
use crate::timeouts::Timeouts;
use bitcoin::secp256k1::PublicKey;
use bitcoin::Network;
use std::time::Duration;

/// Options as JavaScript gives them: numbers are JavaScript numbers, absent is `None`.
#[derive(Clone, Default)]
pub struct RawConfig {
    pub network: String,
    pub mnemonic: String,
    pub esplora_url: String,
    pub lsp_node_id: String,
    pub lsp_address: String,
    pub lsp_protocol: Option<String>,
    pub jit_route: Option<RawJitRoute>,
    pub store: String,
    pub lease: RawLease,
    pub destroy_timeout_ms: Option<f64>,
    pub max_skim_ppm: Option<f64>,
    pub max_skim_base_msat: Option<f64>,
    pub timeouts: RawTimeouts,
}
#[derive(Clone, Default)]
pub struct RawJitRoute {
    pub scid: String,
    pub cltv_expiry_delta: f64,
}
#[derive(Clone, Default)]
pub struct RawLease {
    pub ttl_ms: Option<f64>,
    pub attempts: Option<f64>,
    pub base_delay_ms: Option<f64>,
    pub max_wait_ms: Option<f64>,
    pub take_over: Option<String>,
}
#[derive(Clone, Default)]
pub struct RawTimeouts {
    pub chain_ms: Option<f64>,
    pub store_ms: Option<f64>,
    pub connect_ms: Option<f64>,
    pub lsp_ms: Option<f64>,
    pub lsp_request_ms: Option<f64>,
    pub stop_ms: Option<f64>,
    pub commit_ms: Option<f64>,
}

/// A mnemonic with a good checksum; its `Debug` shows nothing.
#[derive(Clone)]
pub struct Mnemonic(pub(crate) bip39::Mnemonic);

/// Where to reach the LSP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LspPeer {
    pub node_id: PublicKey,
    pub host: String,
    pub port: u16,
}

/// Which store, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    Memory,
    File(std::path::PathBuf),
}

/// How long to wait for a held wallet, and when a lease may be taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeasePolicy {
    pub ttl: Duration,
    pub attempts: u32,
    pub base_delay: Duration,
    pub max_wait: Duration,
    pub take_over: TakeOver,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakeOver {
    Expired,
    Unrenewed,
}

/// What an LSP may keep per payment: `base_msat + amount * ppm / 1_000_000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SkimLimit {
    pub ppm: u64,
    pub base_msat: u64,
}

/// Validated options.
#[derive(Clone)]
pub struct Config {
    pub network: Network,
    pub mnemonic: Mnemonic,
    pub esplora_url: String,
    pub lsp: LspPeer,
    pub jit_route: Option<JitRoute>,
    pub store: StoreUrl,
    pub lease: LeasePolicy,
    pub destroy_timeout: Duration,
    pub skim: SkimLimit,
    pub timeouts: Timeouts,
}

impl Config {
    /// Checks everything; `INVALID_OPTION` names the first wrong option.
    pub fn parse(_raw: RawConfig) -> Result<Config> {
        Err(crate::error::Error::option("network", "not built yet"))
    }
}
