//! Every wait's bound, in one table, with their order asserted at compile time.

use std::time::Duration;

/// The bounds of a node; each is an option of JavaScript's `timeouts` object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// One Esplora request (`timeouts.chainMs`).
    pub chain: Duration,
    /// Following the chain from where the wallet was to the tip, all requests together (`timeouts.syncMs`).
    pub sync: Duration,
    /// One store operation (`timeouts.storeMs`).
    pub store: Duration,
    /// One TCP connect to the LSP (`timeouts.connectMs`).
    pub connect: Duration,
    /// Being connected to the LSP, retries included (`timeouts.lspMs`): a frozen predecessor's socket blocks an LDK LSP for 10–20 s.
    pub lsp: Duration,
    /// One LSPS request (`timeouts.lspRequestMs`).
    pub lsp_request: Duration,
    /// Ending cleanly in `stop()` (`timeouts.stopMs`).
    pub stop: Duration,
    /// Resolving a commit whose outcome is unknown (`timeouts.commitMs`).
    pub commit: Duration,
}

/// What is used where an option is not given.
pub const DEFAULTS: Timeouts = Timeouts {
    chain: Duration::from_millis(5_000),
    // A few rounds of a slow server's requests; what takes longer does so because a server leads us on.
    sync: Duration::from_millis(20_000),
    store: Duration::from_millis(5_000),
    connect: Duration::from_millis(3_000),
    lsp: Duration::from_millis(25_000),
    lsp_request: Duration::from_millis(5_000),
    stop: Duration::from_millis(5_000),
    commit: Duration::from_millis(10_000),
};

const _: () = assert!(DEFAULTS.chain.as_millis() < DEFAULTS.sync.as_millis());
const _: () = assert!(DEFAULTS.connect.as_millis() < DEFAULTS.lsp.as_millis());
const _: () = assert!(DEFAULTS.lsp.as_millis() > 20_000, "longer than two ping ticks of an LDK peer");
const _: () = assert!(DEFAULTS.lsp_request.as_millis() < DEFAULTS.lsp.as_millis());
const _: () = assert!(DEFAULTS.store.as_millis() < DEFAULTS.commit.as_millis());
