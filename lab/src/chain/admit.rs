//! What enters the mempool, what it replaces there, and what falls out.
//!
//! Replacement follows BIP 125 without its opt-in, as Bitcoin Core has it since 28 (every transaction may be replaced):
//! a higher fee rate than each direct conflict, more fee than all that goes, the relay fee for its own size on top, no new
//! unconfirmed input, and at most 100 transactions gone. A refusal is worded as Core words it and changes nothing.

use std::collections::HashSet;

use bitcoin::{Amount, Transaction, Txid, Weight};

use super::mempool::Entry;
use super::rules::{check_shape, check_spend, Coin};
use super::state::Chain;
use super::ChainError;

/// Core's policy: heavier transactions are not relayed.
const MAX_TX_WEIGHT: Weight = Weight::from_wu(400_000);

/// BIP 125, rule 5.
const MAX_REPLACED: usize = 100;

impl Chain {
    /// Checks `tx` for the next block and keeps it until then. One that is known already is a success: the same
    /// transaction is broadcast again by every wake-up until it is confirmed. Returns whether it was new.
    pub(super) fn submit(&mut self, tx: Transaction) -> Result<bool, ChainError> {
        let new = self.accept(tx).map_err(ChainError::Rejected)?;
        if new {
            self.save_mempool()?;
        }
        Ok(new)
    }

    pub(super) fn accept(&mut self, tx: Transaction) -> Result<bool, String> {
        let txid = tx.compute_txid();
        if self.transaction(&txid).is_some() {
            return Ok(false);
        }
        check_shape(&tx)?;
        if tx.is_coinbase() {
            return Err("coinbase".into());
        }
        if tx.weight() > MAX_TX_WEIGHT {
            return Err(format!("tx-size, {} weight units are over {MAX_TX_WEIGHT}", tx.weight()));
        }
        let coins: Vec<Coin> = tx
            .input
            .iter()
            .map(|input| self.coin(&input.previous_output))
            .collect::<Option<_>>()
            .ok_or("bad-txns-inputs-missingorspent")?;
        let fee = check_spend(&tx, &coins, &self.headers)?;
        let floor = self.relay_fee(&tx);
        if fee < floor {
            return Err(format!("min relay fee not met, {} < {}", fee.to_sat(), floor.to_sat()));
        }
        let replaced = self.replaced_by(&tx, txid, fee)?;
        for gone in &replaced {
            tracing::info!(%txid, %gone, "replaced in the mempool");
        }
        self.mempool.remove(&replaced);
        self.mempool.insert(txid, Entry { tx, fee });
        Ok(true)
    }

    /// What must go for `tx` to come, or why it may not come.
    fn replaced_by(&self, tx: &Transaction, txid: Txid, fee: Amount) -> Result<HashSet<Txid>, String> {
        let conflicts = self.mempool.conflicts(tx);
        if conflicts.is_empty() {
            return Ok(HashSet::new());
        }
        let replaced = self.mempool.with_descendants(conflicts.iter().copied());
        if let Some(input) = tx.input.iter().find(|input| replaced.contains(&input.previous_output.txid)) {
            let parent = input.previous_output.txid;
            return Err(format!("bad-txns-spends-conflicting-tx, {txid} spends conflicting transaction {parent}"));
        }
        let refused = |why: String| Err(format!("insufficient fee, rejecting replacement {txid}{why}"));
        let mut parents = HashSet::new();
        for entry in conflicts.iter().filter_map(|conflict| self.mempool.entry(conflict)) {
            // Cross-multiplied: a rate must be higher by any fraction.
            if fee.to_sat() * entry.tx.vsize() as u64 <= entry.fee.to_sat() * tx.vsize() as u64 {
                let (new, old) = (rate(fee, tx), rate(entry.fee, &entry.tx));
                return refused(format!("; new feerate {new} BTC/kvB <= old feerate {old} BTC/kvB"));
            }
            parents.extend(entry.tx.input.iter().map(|input| input.previous_output.txid));
        }
        if replaced.len() > MAX_REPLACED {
            let count = replaced.len();
            return Err(format!(
                "too many potential replacements, rejecting replacement {txid}; too many potential replacements \
                 ({count} > {MAX_REPLACED})"
            ));
        }
        let unconfirmed = |txid: &Txid| self.mempool.get(txid).is_some() && !parents.contains(txid);
        if let Some(index) = tx.input.iter().position(|input| unconfirmed(&input.previous_output.txid)) {
            return Err(format!(
                "replacement-adds-unconfirmed, replacement {txid} adds unconfirmed input, idx {index}"
            ));
        }
        let gone: Amount = replaced.iter().filter_map(|txid| self.mempool.entry(txid)).map(|entry| entry.fee).sum();
        let Some(more) = fee.checked_sub(gone) else {
            return refused(format!(", less fees than conflicting txs; {} < {}", btc(fee), btc(gone)));
        };
        let floor = self.relay_fee(tx);
        if more < floor {
            return refused(format!(", not enough additional fees to relay; {} < {}", btc(more), btc(floor)));
        }
        Ok(replaced)
    }

    fn relay_fee(&self, tx: &Transaction) -> Amount {
        Amount::from_sat(self.min_relay_sat_per_kvb.saturating_mul(tx.vsize() as u64) / 1_000)
    }

    /// Forgets an unconfirmed transaction and all that descend from it, as a node with a full mempool does. Returns which.
    pub(super) fn evict(&mut self, txid: Txid) -> Result<Vec<Txid>, ChainError> {
        if self.mempool.get(&txid).is_none() {
            return Err(ChainError::Rejected(format!("{txid} is not in the mempool")));
        }
        let evicted = self.mempool.with_descendants([txid].into_iter());
        let in_order = self.mempool.iter().map(|(txid, _)| *txid).filter(|txid| evicted.contains(txid)).collect();
        self.mempool.remove(&evicted);
        self.save_mempool()?;
        Ok(in_order)
    }

    /// Refills the mempool with `first` and what was in it; what is not valid any more falls out.
    pub(super) fn refill_mempool(&mut self, first: Vec<Transaction>) -> Result<(), ChainError> {
        let waiting = self.mempool.drain();
        for tx in first.into_iter().chain(waiting) {
            let txid = tx.compute_txid();
            if let Err(e) = self.accept(tx) {
                tracing::info!(%txid, "fell out of the mempool in a reorg: {e}");
            }
        }
        self.save_mempool()
    }

    pub(super) fn save_mempool(&self) -> Result<(), ChainError> {
        match &self.disk {
            Some(disk) => Ok(disk.save_mempool(self.mempool.iter().map(|(_, entry)| &entry.tx))?),
            None => Ok(()),
        }
    }
}

/// An amount as Core prints it.
fn btc(amount: Amount) -> String {
    format!("{:.8}", amount.to_btc())
}

/// A fee rate as Core prints it, per 1,000 vbytes.
fn rate(fee: Amount, tx: &Transaction) -> String {
    btc(Amount::from_sat(fee.to_sat() * 1_000 / tx.vsize() as u64))
}
