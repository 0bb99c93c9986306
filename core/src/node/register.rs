//! The wallets of this process: which options their nodes have, and where each one runs.
//!
//! Nodes of one wallet share one running node ([`Resident`]), whichever thread or JavaScript environment they belong to: a second
//! one beside it would fight for the lease and for the LSP's one connection. So they must agree about what it runs with.
//!
//! A resident that ends makes room for a successor, which waits until it has ended: its lock may still be held.

use super::resident::Resident;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::keys::fingerprint;
use bitcoin::hashes::sha256;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A wallet of this process.
pub(super) type Name = sha256::Hash;

struct Entry {
    /// Of the nodes that use it.
    options: Arc<Config>,
    nodes: usize,
    resident: Option<Arc<Resident>>,
}

static WALLETS: Mutex<Option<HashMap<Name, Entry>>> = Mutex::new(None);

fn wallets() -> MutexGuard<'static, Option<HashMap<Name, Entry>>> {
    WALLETS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Not by the wallet's id: this runs on the JavaScript thread, which need not wait for keys.
pub(super) fn name(config: &Config) -> Name {
    fingerprint(&config.mnemonic, config.network)
}

/// `INVALID_OPTION` if a node that uses this wallet has other options.
pub(super) fn check(wallet: Name, config: &Config) -> Result<()> {
    match wallets().get_or_insert_default().get(&wallet) {
        Some(entry) if entry.nodes > 0 => agree(&entry.options, config),
        _ => Ok(()),
    }
}

/// A node uses its wallet for the first time. `INVALID_OPTION` if another one does with other options.
pub(super) fn enrol(wallet: Name, config: &Arc<Config>) -> Result<()> {
    let mut wallets = wallets();
    let fresh = || Entry { options: Arc::clone(config), nodes: 0, resident: None };
    let entry = wallets.get_or_insert_default().entry(wallet).or_insert_with(fresh);
    if entry.nodes == 0 {
        entry.options = Arc::clone(config);
    }
    agree(&entry.options, config)?;
    entry.nodes += 1;
    Ok(())
}

fn agree(known: &Config, config: &Config) -> Result<()> {
    match known.differs(config) {
        None => Ok(()),
        Some(option) => Err(Error::option(
            option,
            format!("{option} differs from that of another MdkNode of this wallet in this process, with which it shares what runs: give both the same options, or destroy() the other one first"),
        )),
    }
}

/// A node goes.
pub(super) fn leave(wallet: Name) {
    let mut wallets = wallets();
    let Some(entry) = wallets.get_or_insert_default().get_mut(&wallet) else { return };
    entry.nodes = entry.nodes.saturating_sub(1);
    forget_if_empty(wallets, wallet);
}

/// Where the wallet runs, or is to run.
pub(super) fn resident(wallet: Name, config: &Arc<Config>) -> Arc<Resident> {
    let mut wallets = wallets();
    let fresh = || Entry { options: Arc::clone(config), nodes: 0, resident: None };
    let entry = wallets.get_or_insert_default().entry(wallet).or_insert_with(fresh);
    let known = entry.resident.take();
    let resident = match known {
        Some(resident) if resident.is_open() && resident.config.differs(config).is_none() => resident,
        predecessor => Arc::new(Resident::new(wallet, Arc::clone(config), predecessor)),
    };
    Arc::clone(entry.resident.insert(resident))
}

/// A resident's thread has ended: nothing need remember it when no node of its wallet is left.
pub(super) fn ended(wallet: Name) {
    forget_if_empty(wallets(), wallet);
}

/// Residents that no node belongs to any more: they are ending by themselves.
pub(super) fn orphans() -> Vec<Arc<Resident>> {
    let mut wallets = wallets();
    let orphaned = wallets.get_or_insert_default().values().filter(|entry| entry.nodes == 0);
    orphaned.filter_map(|entry| entry.resident.clone()).collect()
}

fn forget_if_empty(mut wallets: MutexGuard<'static, Option<HashMap<Name, Entry>>>, wallet: Name) {
    let all = wallets.get_or_insert_default();
    let is_empty =
        |entry: &Entry| entry.nodes == 0 && entry.resident.as_ref().is_none_or(|resident| resident.has_ended());
    let removed = if all.get(&wallet).is_some_and(is_empty) { all.remove(&wallet) } else { None };
    // What hangs on it may come by here again.
    drop(wallets);
    drop(removed);
}
