//! Tells LDK of the blocks that it has not seen: at each change of the tip, after a restart, and after a reorg.

use super::Base;
use bitcoin::{Block, BlockHash, Transaction};
use lightning::chain::Confirm;
use mayfly_core::checkpoint::Loaded;

impl Base {
    /// Brings LDK to the chain's tip. True if there was anything to tell.
    pub(super) fn follow_chain(&self) -> bool {
        let tip = self.chain.tip();
        if *self.seen.borrow() == tip {
            return false;
        }
        unconfirm_reorged(&self.loaded, |hash| self.chain.block(hash).is_some_and(|(_, height)| height.is_some()));
        for height in self.first_unseen()..=tip.height {
            if let Some(block) = self.chain.block_at(height) {
                connect(&self.loaded, &block, height);
            }
        }
        *self.seen.borrow_mut() = tip;
        true
    }

    /// The block above the last one of the best chain that LDK knows.
    fn first_unseen(&self) -> u32 {
        let best = self.manager().current_best_block();
        match self.chain.block(&best.block_hash) {
            Some((_, Some(height))) => height + 1,
            // LDK's best block was reorged out: walk down its branch to the best chain.
            Some((block, None)) => {
                let mut parent = block.header.prev_blockhash;
                loop {
                    match self.chain.block(&parent) {
                        Some((_, Some(height))) => return height + 1,
                        Some((block, None)) => parent = block.header.prev_blockhash,
                        None => return 1,
                    }
                }
            }
            None => 1,
        }
    }
}

/// LDK wants every transaction that lost its block named before new blocks come.
fn unconfirm_reorged(loaded: &Loaded, in_best_chain: impl Fn(&BlockHash) -> bool) {
    let (manager, monitors) = (loaded.manager(), loaded.monitors());
    let lost = |(_, _, block): &(_, _, Option<BlockHash>)| block.is_some_and(|hash| !in_best_chain(&hash));
    for (txid, ..) in manager.get_relevant_txids().iter().filter(|item| lost(item)) {
        manager.transaction_unconfirmed(txid);
    }
    for (txid, ..) in monitors.get_relevant_txids().iter().filter(|item| lost(item)) {
        monitors.transaction_unconfirmed(txid);
    }
}

fn connect(loaded: &Loaded, block: &Block, height: u32) {
    let transactions: Vec<(usize, &Transaction)> = block.txdata.iter().enumerate().collect();
    let (manager, monitors) = (loaded.manager(), loaded.monitors());
    monitors.transactions_confirmed(&block.header, &transactions, height);
    manager.transactions_confirmed(&block.header, &transactions, height);
    monitors.best_block_updated(&block.header, height);
    manager.best_block_updated(&block.header, height);
}
