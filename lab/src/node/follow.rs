//! Tells LDK of the blocks that it has not seen: at each change of the tip, after a restart, and after a reorg.

use super::Base;
use crate::chain::SharedChain;
use bitcoin::{Block, Transaction};
use lightning::chain::{BestBlock, Confirm};

impl Base {
    /// Brings LDK to the chain's tip. True if there was anything to tell.
    pub(super) fn follow_chain(&self) -> bool {
        let tip = self.chain.tip();
        if *self.seen.borrow() == tip {
            return false;
        }
        let (monitors, manager) = (self.loaded.monitors().as_ref(), self.manager());
        bring_to_tip(&self.chain, &[monitors, manager], manager.current_best_block());
        *self.seen.borrow_mut() = tip;
        true
    }
}

/// Tells parts of LDK, which all know the chain up to `best`, what has become of it since.
pub(crate) fn bring_to_tip(chain: &SharedChain, parts: &[&dyn Confirm], best: BestBlock) {
    unconfirm_reorged(chain, parts);
    for height in first_unseen(chain, best)..=chain.height() {
        if let Some(block) = chain.block_at(height) {
            connect(parts, &block, height);
        }
    }
}

/// The block above the last one of the best chain that LDK knows.
fn first_unseen(chain: &SharedChain, best: BestBlock) -> u32 {
    match chain.block(&best.block_hash) {
        Some((_, Some(height))) => height + 1,
        // LDK's best block was reorged out: walk down its branch to the best chain.
        Some((block, None)) => {
            let mut parent = block.header.prev_blockhash;
            loop {
                match chain.block(&parent) {
                    Some((_, Some(height))) => return height + 1,
                    Some((block, None)) => parent = block.header.prev_blockhash,
                    None => return 1,
                }
            }
        }
        None => 1,
    }
}

/// LDK wants every transaction that lost its block named before new blocks come.
fn unconfirm_reorged(chain: &SharedChain, parts: &[&dyn Confirm]) {
    let in_best_chain = |hash| chain.block(&hash).is_some_and(|(_, height)| height.is_some());
    for part in parts {
        for (txid, _, block) in part.get_relevant_txids() {
            if block.is_some_and(|hash| !in_best_chain(hash)) {
                part.transaction_unconfirmed(&txid);
            }
        }
    }
}

fn connect(parts: &[&dyn Confirm], block: &Block, height: u32) {
    let transactions: Vec<(usize, &Transaction)> = block.txdata.iter().enumerate().collect();
    parts.iter().for_each(|part| part.transactions_confirmed(&block.header, &transactions, height));
    parts.iter().for_each(|part| part.best_block_updated(&block.header, height));
}
