//! A transaction of the wallet that is on its way into a block: kept, and sent out again at each start, until it is final.
//!
//! A sweep takes what a closed channel left to an address of the wallet. It is replaced by one that pays more when the fee turns
//! out too low: with the same inputs and the same address, so that it does not matter which version confirms. (BIP 125: a
//! replacement pays more in all, and for its own relay. Bitcoin Core wants a higher feerate, too.)

use super::account::Place;
use crate::chain::fees::FLOOR_SAT_PER_KW;
use crate::store::Batch;
use bitcoin::{OutPoint, Transaction, Txid};
use serde::{Deserialize, Serialize};

/// One row per transaction that is not final: `outgoing/<its first input>`, JSON.
pub const OUTGOING_PREFIX: &str = "outgoing/";

/// LDK's own measure: what is six blocks deep is final.
pub const FINAL_DEPTH: u32 = 6;

/// The fee was estimated for twelve blocks; later than that the estimate was wrong.
const PATIENCE_BLOCKS: u32 = 12;

/// What it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// To that address of the wallet.
    Sweep(Place),
    /// To where the user said.
    Send,
    /// A cooperative close. LDK accounts for it, and does not send it twice.
    Close,
}

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outgoing {
    /// What it is for.
    pub purpose: Purpose,
    /// The newest version.
    #[serde(with = "in_hex")]
    pub transaction: Transaction,
    /// What it was asked to pay.
    pub sat_per_kw: u32,
    /// The height at which this version was made.
    pub made_at: u32,
    /// In which block it is, or another transaction that spends the same.
    pub confirmed: Option<Confirmation>,
}

/// Where an outgoing transaction is, one of its versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// Which one.
    pub txid: Txid,
    /// Of its block.
    pub height: u32,
}

/// A transaction as hex. (That of the bitcoin crate panics on hex that ends too early.)
mod in_hex {
    use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
    use bitcoin::Transaction;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(transaction: &Transaction, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&serialize_hex(transaction))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Transaction, D::Error> {
        deserialize_hex(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Outgoing {
    /// The key of its row: the same for all versions.
    pub fn key(&self) -> String {
        let first = self.transaction.input.first().map(|input| input.previous_output).unwrap_or_default();
        format!("{OUTGOING_PREFIX}{first}")
    }

    /// What it spends.
    pub fn inputs(&self) -> impl Iterator<Item = OutPoint> + '_ {
        self.transaction.input.iter().map(|input| input.previous_output)
    }

    /// Whether it spends that.
    pub fn spends(&self, outpoint: &OutPoint) -> bool {
        self.inputs().any(|input| input == *outpoint)
    }

    /// What arrives, in satoshi.
    pub fn amount_sats(&self) -> u64 {
        self.transaction.output.iter().map(|output| output.value.to_sat()).fold(0, u64::saturating_add)
    }

    /// Whether no reorganisation can be expected to take it back.
    pub fn is_final(&self, height: u32) -> bool {
        self.confirmed.is_some_and(|at| height.saturating_add(1) >= at.height.saturating_add(FINAL_DEPTH))
    }

    /// The feerate of a replacement, if one is due: `now` is what the market asks.
    pub fn replacement_rate(&self, now: u32, height: u32) -> Option<u32> {
        let least = self.sat_per_kw.saturating_add((self.sat_per_kw / 4).max(FLOOR_SAT_PER_KW));
        let stuck = height >= self.made_at.saturating_add(PATIENCE_BLOCKS);
        (self.confirmed.is_none() && (now >= least || stuck)).then_some(least.max(now))
    }

    /// Writes its row.
    pub fn stage(&self, batch: &mut Batch) -> serde_json::Result<()> {
        batch.put(self.key(), serde_json::to_vec(self)?);
        Ok(())
    }
}

#[cfg(test)]
#[path = "tests/outgoing.rs"]
mod tests;
