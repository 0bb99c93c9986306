//! Which branch is the best one: reorganisations, and their undoing.
//!
//! There is one miner, so a branch gets longer only because somebody asks for a reorg. The new best branch always gets one
//! block more than the old one had: no node would follow it otherwise.

use bitcoin::{Script, Transaction};

use super::state::Chain;
use super::{ChainError, Reorged};

impl Chain {
    /// Replaces the last `depth` blocks by `depth + 1` new ones.
    pub(super) fn reorg(&mut self, depth: u32, mode: Reorged, pay_to: &Script) -> Result<(), ChainError> {
        let height = self.height();
        if depth > height {
            return Err(ChainError::Rejected(format!("depth is {depth}: at most {height}, all blocks of the chain")));
        }
        self.left = Some(self.tip().hash);
        let removed = self.disconnect(depth);
        self.grow(height + 1, removed, mode, pay_to)
    }

    /// Makes the branch that the last reorg left the best one again, one block longer than the present one.
    pub(super) fn undo_reorg(&mut self, mode: Reorged, pay_to: &Script) -> Result<(), ChainError> {
        let nothing = || ChainError::Rejected("there is no reorg to undo since this lab was started".into());
        let mut branch = Vec::new();
        let mut hash = self.left.ok_or_else(nothing)?;
        while let Some(block) = self.stale.get(&hash) {
            hash = block.header.prev_blockhash;
            branch.push(block.clone());
        }
        let fork = *self.height_of.get(&hash).ok_or_else(nothing)?;
        let height = self.height();
        self.left = Some(self.tip().hash);
        let removed = self.disconnect(height - fork);
        for block in branch.into_iter().rev() {
            self.connect(block.as_ref().clone())?;
        }
        self.grow(height + 1, removed, mode, pay_to)
    }

    /// Mines up to `height`, on top of whatever the best chain is now.
    fn grow(
        &mut self,
        height: u32,
        mut removed: Vec<Transaction>,
        mode: Reorged,
        pay_to: &Script,
    ) -> Result<(), ChainError> {
        if mode == Reorged::Dropped {
            removed.clear();
        }
        self.refill_mempool(removed)?;
        while self.height() < height {
            self.mine_one(pay_to, mode == Reorged::Remined)?;
        }
        Ok(())
    }

    /// Takes the last `depth` blocks off the chain, returning their transactions (no coinbases), parents first.
    /// The caller must mine a longer branch before anyone looks.
    fn disconnect(&mut self, depth: u32) -> Vec<Transaction> {
        let mut transactions = Vec::new();
        for _ in 0..depth {
            if let Some(block) = self.disconnect_tip() {
                transactions.splice(0..0, block.txdata.iter().skip(1).cloned());
            }
        }
        transactions
    }
}
