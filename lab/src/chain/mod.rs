//! A regtest chain inside this process: blocks on demand, real scripts, a mempool, a folder to come back from.
//!
//! Script verification is Bitcoin Core's own (libbitcoinconsensus); the rules around it are in `rules`. It is a
//! script-verified simulator with one miner and no peers, not a full node: nobody can send it a block.
//!
//! ```text
//! SharedChain   the handle: submit, mine, fund, reorg, subscribe        (this file)
//! Chain         coins, indices, mempool, undo; one block at a time      (state)
//!               which branch is best                                    (branches)
//!               who comes into the mempool, and who goes for it         (admit)
//! Wallet        P2WPKH coins of one owner, found by scanning            (wallet)
//! ```
//!
//! All state is behind one mutex that is never held across an await. Followers watch the tip: they are told after the
//! change, and a reorg is one change.

mod admit;
mod branches;
mod bump;
mod disk;
mod export;
mod mempool;
mod mine;
mod rules;
mod state;
mod wallet;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bitcoin::block::Header;
use bitcoin::{Amount, Block, BlockHash, Script, Transaction, Txid};
use tokio::sync::watch;

pub use rules::{Coin, COINBASE_MATURITY};
pub use state::{script_hash, Chain, Spender};
pub use wallet::{Afford, Wallet};

/// Blocks that `fund` mines at most to get a spendable reward. Past it regtest's subsidy has dried up.
const FUND_MAX_BLOCKS: u32 = 2 * COINBASE_MATURITY;

/// The last block of the best chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    pub height: u32,
    pub hash: BlockHash,
    pub header: Header,
}

/// Why the chain did not do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChainError {
    /// A rule says no, in Bitcoin Core's words. Trying again changes nothing.
    Rejected(String),
    /// A wallet has too little.
    InsufficientFunds(String),
    /// The folder could not be read or written.
    Storage(String),
}

impl fmt::Display for ChainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChainError::Rejected(reason) => f.write_str(reason),
            ChainError::InsufficientFunds(text) => f.write_str(text),
            ChainError::Storage(text) => write!(f, "the chain's folder: {text}"),
        }
    }
}

impl std::error::Error for ChainError {}

impl From<std::io::Error> for ChainError {
    fn from(e: std::io::Error) -> Self {
        ChainError::Storage(e.to_string())
    }
}

/// What becomes of the transactions in the blocks that a reorg takes off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reorged {
    /// They are confirmed again, in the new branch's first block.
    Remined,
    /// They are back in the mempool, unconfirmed.
    Unconfirmed,
    /// They are gone, as if never seen: their inputs can be spent otherwise. So are unconfirmed children of theirs.
    Dropped,
}

/// The handle of a chain; clones share it.
#[derive(Clone)]
pub struct SharedChain {
    inner: Arc<Inner>,
}

struct Inner {
    chain: Mutex<Chain>,
    tip: watch::Sender<Tip>,
    mempool_changes: watch::Sender<u64>,
    miner: Wallet,
}

impl SharedChain {
    /// Opens the chain in `dir` (created when missing), replaying its blocks through every check; with `None` it lives in
    /// memory. One process per folder: nothing guards against a second.
    ///
    /// Errors: [`ChainError::Storage`] when the folder can't be used or holds something else.
    pub fn open(dir: Option<PathBuf>) -> Result<Self, ChainError> {
        let chain = Chain::open(dir.as_deref())?;
        let (tip, _) = watch::channel(chain.tip());
        let (mempool_changes, _) = watch::channel(0);
        let miner = Wallet::new("miner");
        Ok(SharedChain { inner: Arc::new(Inner { chain: Mutex::new(chain), tip, mempool_changes, miner }) })
    }

    /// Several questions about one instant. `f` must not call the handle: it would wait for itself.
    pub fn read<T>(&self, f: impl FnOnce(&Chain) -> T) -> T {
        f(&self.lock())
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Chain> {
        // A panic elsewhere while it was held doesn't make the chain unreadable.
        self.inner.chain.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Broadcasts a transaction. Success when it is new and valid, and when it is known (mempool or chain).
    ///
    /// Errors: [`ChainError::Rejected`] with Core's reason, [`ChainError::Storage`].
    pub fn submit(&self, tx: Transaction) -> Result<Txid, ChainError> {
        let txid = tx.compute_txid();
        if self.lock().submit(tx)? {
            self.mempool_changed();
        }
        Ok(txid)
    }

    /// Mines `n` blocks with what is in the mempool; the rewards go to the lab's miner.
    pub fn mine(&self, n: u32) -> Result<Vec<BlockHash>, ChainError> {
        self.mine_to(n, self.inner.miner.script())
    }

    /// Mines `n` blocks with what is in the mempool; the rewards go to `script`.
    pub fn mine_to(&self, n: u32, script: &Script) -> Result<Vec<BlockHash>, ChainError> {
        self.change(|chain| (0..n).map(|_| chain.mine_one(script, true)).collect())
    }

    /// Mines `n` blocks without the mempool: nothing gets confirmed, time passes.
    pub fn mine_empty(&self, n: u32) -> Result<Vec<BlockHash>, ChainError> {
        self.change(|chain| (0..n).map(|_| chain.mine_one(self.inner.miner.script(), false)).collect())
    }

    /// Replaces the last `depth` blocks by `depth + 1` new ones. Followers see one change, from the old tip to the new.
    /// Coinbases of the old branch are gone, and what spends them with them.
    ///
    /// Errors: [`ChainError::Rejected`] when the chain has fewer blocks.
    pub fn reorg(&self, depth: u32, transactions: Reorged) -> Result<(), ChainError> {
        self.change(|chain| chain.reorg(depth, transactions, self.inner.miner.script()))
    }

    /// Makes the branch that the last reorg left the best one again, with as many blocks on top as it takes to be one longer
    /// than the present one. `transactions` are those that only the present one holds. It can itself be undone.
    ///
    /// Errors: [`ChainError::Rejected`] when there was none since the chain was opened.
    pub fn undo_reorg(&self, transactions: Reorged) -> Result<(), ChainError> {
        self.change(|chain| chain.undo_reorg(transactions, self.inner.miner.script()))
    }

    /// Takes an unconfirmed transaction and all its descendants out of the mempool, as if never seen. Returns which, parents
    /// first.
    ///
    /// Errors: [`ChainError::Rejected`] when it is not in the mempool.
    pub fn evict(&self, txid: Txid) -> Result<Vec<Txid>, ChainError> {
        let evicted = self.lock().evict(txid)?;
        self.mempool_changed();
        Ok(evicted)
    }

    /// Pays `sats` to `script` from mining rewards and confirms it with one block. Mines as many blocks before as it takes
    /// for a reward to mature: 101 on a fresh chain.
    pub fn fund(&self, script: &Script, sats: u64) -> Result<Transaction, ChainError> {
        let miner = &self.inner.miner;
        self.change(|chain| {
            let mut mined = 0;
            let tx = loop {
                match miner.pay_from(chain, script, sats) {
                    Err(ChainError::InsufficientFunds(_)) if mined < FUND_MAX_BLOCKS => {
                        chain.mine_one(miner.script(), true)?;
                        mined += 1;
                    }
                    other => break other?,
                }
            };
            chain.submit(tx.clone())?;
            chain.mine_one(miner.script(), true)?;
            Ok(tx)
        })
    }

    pub fn tip(&self) -> Tip {
        self.lock().tip()
    }

    pub fn height(&self) -> u32 {
        self.lock().height()
    }

    /// The best chain's block at `height`.
    pub fn block_at(&self, height: u32) -> Option<Arc<Block>> {
        self.lock().block_at(height)
    }

    /// A block by hash: with its height when it is in the best chain, without when a reorg took it off.
    pub fn block(&self, hash: &BlockHash) -> Option<(Arc<Block>, Option<u32>)> {
        self.lock().block(hash)
    }

    /// A known transaction, with its height when confirmed.
    pub fn transaction(&self, txid: &Txid) -> Option<(Transaction, Option<u32>)> {
        self.lock().transaction(txid).map(|(tx, height)| (tx.clone(), height))
    }

    /// The mempool with fees, parents first.
    pub fn mempool(&self) -> Vec<(Transaction, Amount)> {
        self.lock().unconfirmed().map(|(tx, fee)| (tx.clone(), fee)).collect()
    }

    /// The tip to follow. After `mine(n)` a follower may see only the last one: walk the blocks in between.
    pub fn subscribe(&self) -> watch::Receiver<Tip> {
        self.inner.tip.subscribe()
    }

    /// Counts changes of the mempool (new transactions, blocks, reorgs), so that a test waits for one without polling.
    pub fn subscribe_mempool(&self) -> watch::Receiver<u64> {
        self.inner.mempool_changes.subscribe()
    }

    /// Blocks mined from now on carry this Unix time in seconds (or later, when the median demands it); `None` is the
    /// system's clock again.
    pub fn set_clock(&self, unix_seconds: Option<u32>) {
        self.lock().set_clock(unix_seconds);
    }

    /// What a transaction must pay to enter the mempool. 1,000 satoshi per 1,000 vbytes at the start.
    pub fn set_min_relay_fee(&self, sat_per_kvb: u64) {
        self.lock().set_min_relay_fee(sat_per_kvb);
    }

    /// Runs a change of the chain and tells the followers, also after a failure: it may have come half way.
    fn change<T>(&self, f: impl FnOnce(&mut Chain) -> Result<T, ChainError>) -> Result<T, ChainError> {
        let mut chain = self.lock();
        let result = f(&mut chain);
        // Under the lock, so that two changes are told in their order.
        let tip = chain.tip();
        self.inner.tip.send_if_modified(|last| std::mem::replace(last, tip) != tip);
        drop(chain);
        self.mempool_changed();
        result
    }

    fn mempool_changed(&self) {
        self.inner.mempool_changes.send_modify(|n| *n += 1);
    }
}
