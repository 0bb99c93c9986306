//! The names under which records are told. They are interface: documented in `docs/logging.md`, and kept when modules move.

/// Every target, with what it speaks of.
pub const TARGETS: [&str; 11] = [
    // All of the following that begin with it.
    "mayfly",
    // A node's life: sessions, calls, `destroy()`.
    "mayfly::node",
    // Where the wallet lives: claims, waits for a held wallet, the release.
    "mayfly::store",
    // Commits, and what they let go or hold back.
    "mayfly::checkpoint",
    // The connection to the LSP, and what is asked of it.
    "mayfly::lsp",
    // Esplora: following the chain, fees, broadcasts.
    "mayfly::chain",
    // Payments and channels.
    "mayfly::wallet",
    // The wallet's own bitcoin: coins, sweeps, sends.
    "mayfly::onchain",
    // What concerns the whole process: shutting down.
    "mayfly::process",
    // LDK's own lines; their field `module` says whose.
    "ldk",
    // Other libraries, such as the DNS resolver.
    "other",
];

/// Modules and their targets; what is below a module is its, unless it stands here itself.
pub(super) const MODULES: [(&str, &str); 13] = [
    ("mayfly_core", "mayfly::node"),
    ("mayfly_core::node::link", "mayfly::lsp"),
    ("mayfly_core::node::tend", "mayfly::onchain"),
    ("mayfly_core::store", "mayfly::store"),
    ("mayfly_core::lock", "mayfly::store"),
    ("mayfly_core::checkpoint", "mayfly::checkpoint"),
    ("mayfly_core::lsp", "mayfly::lsp"),
    ("mayfly_core::chain", "mayfly::chain"),
    ("mayfly_core::wallet", "mayfly::wallet"),
    ("mayfly_core::wallet::holdings", "mayfly::onchain"),
    ("mayfly_core::onchain", "mayfly::onchain"),
    // The addon itself.
    ("mayfly", "mayfly::process"),
    ("mayfly::node", "mayfly::node"),
];

/// The target of what calls itself `origin`: a module's path, or already a target.
pub fn target_of(origin: &str) -> &'static str {
    let named = TARGETS.iter().find(|target| **target == origin && **target != "mayfly");
    let within = || MODULES.iter().filter(|(module, _)| covers(module, origin)).max_by_key(|(module, _)| module.len());
    named.copied().or_else(|| within().map(|(_, target)| *target)).unwrap_or("other")
}

/// Whether `name` is `outer` or below it.
pub(super) fn covers(outer: &str, name: &str) -> bool {
    name.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}
