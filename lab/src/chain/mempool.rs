//! Transactions that wait for a block.
//!
//! A transaction enters only after its parents, so the order of arrival is a topological order: it is the order in which
//! they are mined, saved and replayed. Who may come, and who must go for it, is decided in `admit`.

use std::collections::{HashMap, HashSet};

use bitcoin::{Amount, OutPoint, Transaction, TxOut, Txid};

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub tx: Transaction,
    pub fee: Amount,
}

#[derive(Default)]
pub(super) struct Mempool {
    order: Vec<Txid>,
    entries: HashMap<Txid, Entry>,
    spends: HashMap<OutPoint, (Txid, u32)>,
}

impl Mempool {
    pub fn get(&self, txid: &Txid) -> Option<&Transaction> {
        self.entries.get(txid).map(|e| &e.tx)
    }

    pub fn entry(&self, txid: &Txid) -> Option<&Entry> {
        self.entries.get(txid)
    }

    pub fn output(&self, outpoint: &OutPoint) -> Option<&TxOut> {
        self.get(&outpoint.txid)?.output.get(outpoint.vout as usize)
    }

    /// The transaction here that spends `outpoint`, and with which of its inputs.
    pub fn spender(&self, outpoint: &OutPoint) -> Option<(Txid, u32)> {
        self.spends.get(outpoint).copied()
    }

    /// Transactions here that spend what `tx` spends.
    pub fn conflicts(&self, tx: &Transaction) -> Vec<Txid> {
        let mut found: Vec<Txid> =
            tx.input.iter().filter_map(|i| self.spender(&i.previous_output)).map(|(txid, _)| txid).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Parents first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Txid, &Entry)> {
        self.order.iter().filter_map(|txid| self.entries.get_key_value(txid))
    }

    pub fn insert(&mut self, txid: Txid, entry: Entry) {
        for (vin, input) in entry.tx.input.iter().enumerate() {
            self.spends.insert(input.previous_output, (txid, vin as u32));
        }
        self.order.push(txid);
        self.entries.insert(txid, entry);
    }

    /// These, and all that spend what they make, directly or not.
    pub fn with_descendants(&self, txids: impl Iterator<Item = Txid>) -> HashSet<Txid> {
        let mut found: HashSet<Txid> = txids.collect();
        // One pass is enough: children stand behind their parents.
        for (txid, entry) in self.iter() {
            if entry.tx.input.iter().any(|input| found.contains(&input.previous_output.txid)) {
                found.insert(*txid);
            }
        }
        found
    }

    /// Takes these out and nothing else: children of what a block has confirmed stay, the parents are in the chain now.
    pub fn remove<'a>(&mut self, txids: impl IntoIterator<Item = &'a Txid>) {
        for txid in txids {
            if let Some(entry) = self.entries.remove(txid) {
                for input in &entry.tx.input {
                    self.spends.remove(&input.previous_output);
                }
            }
        }
        self.order.retain(|txid| self.entries.contains_key(txid));
    }

    /// Empties it and returns what was in it, parents first.
    pub fn drain(&mut self) -> Vec<Transaction> {
        self.spends.clear();
        let order = std::mem::take(&mut self.order);
        order.iter().filter_map(|txid| self.entries.remove(txid)).map(|e| e.tx).collect()
    }
}
