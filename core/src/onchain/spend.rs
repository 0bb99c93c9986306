//! One transaction that takes every coin somewhere else.

use super::account::{Account, Place};
use crate::error::{Code, Error, Result};
use bitcoin::absolute::LockTime;
use bitcoin::sighash::{EcdsaSighashType, SighashCache};
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Weight, Witness};
use serde::{Deserialize, Serialize};

/// What an input weighs that spends a coin: outpoint, empty script, sequence; then two witness items, the longest signature with a
/// low R (71 bytes with its type) and the public key.
pub const COIN_WEIGHT: u64 = 4 * (36 + 1 + 4) + 1 + (1 + 71) + (1 + 33);

/// A confirmed output that pays to an address of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coin {
    /// Its transaction.
    pub txid: Txid,
    /// Its place there.
    pub vout: u32,
    /// In satoshi.
    pub sats: u64,
    /// Whose key spends it.
    pub place: Place,
}

impl Coin {
    /// What spends it names it so.
    pub fn outpoint(&self) -> OutPoint {
        OutPoint { txid: self.txid, vout: self.vout }
    }
}

/// A signed transaction and what it costs.
#[derive(Debug, Clone)]
pub struct Spent {
    /// Ready to be broadcast.
    pub transaction: Transaction,
    /// What arrives, in satoshi.
    pub amount_sats: u64,
    /// What the miner gets, in satoshi.
    pub fee_sats: u64,
}

/// What a transaction of that weight costs, rounded up.
pub fn fee_sats(weight: u64, sat_per_kw: u32) -> u64 {
    weight.saturating_mul(sat_per_kw.into()).div_ceil(1_000)
}

/// Spends all coins that are worth more than their own input costs, to one output. `INSUFFICIENT_FUNDS` when nothing that the
/// network relays would arrive.
pub fn spend_all(account: &Account, coins: &[Coin], to: ScriptBuf, sat_per_kw: u32, height: u32) -> Result<Spent> {
    let input_fee = fee_sats(COIN_WEIGHT, sat_per_kw);
    let coins: Vec<&Coin> = coins.iter().filter(|coin| coin.sats > input_fee).collect();
    let total: u64 = coins.iter().map(|coin| coin.sats).sum();
    let dust = to.minimal_non_dust();
    let mut transaction = Transaction {
        version: Version::TWO,
        // Not before the next block: nobody gains by mining the last one again. (A height beyond all sense is none.)
        lock_time: LockTime::from_height(height).unwrap_or(LockTime::ZERO),
        input: coins.iter().map(|coin| unsigned(coin.outpoint())).collect(),
        output: vec![TxOut { value: Amount::from_sat(total), script_pubkey: to }],
    };
    // Two bytes of the transaction make it one with witnesses; each input's own are in its weight.
    let base = Weight::from_vb(transaction.base_size() as u64).map_or(u64::MAX, Weight::to_wu);
    let witnesses = 2 + coins.len() as u64 * (COIN_WEIGHT - 4 * (36 + 1 + 4));
    let fee_sats = fee_sats(base.saturating_add(witnesses), sat_per_kw);
    let amount_sats = total.saturating_sub(fee_sats);
    if amount_sats < dust.to_sat() || coins.is_empty() {
        return Err(Error::new(
            Code::InsufficientFunds,
            format!(
                "{total} sat are confirmed on chain; at {} sat/vB {fee_sats} sat of them would be the fee, and what is left is less than the network relays",
                f64::from(sat_per_kw) / 250.0
            ),
        ));
    }
    for output in &mut transaction.output {
        output.value = Amount::from_sat(amount_sats);
    }
    sign(account, &coins, &mut transaction)?;
    Ok(Spent { transaction, amount_sats, fee_sats })
}

/// Its sequence says that it may be replaced.
fn unsigned(previous_output: OutPoint) -> TxIn {
    TxIn {
        previous_output,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness: Witness::new(),
    }
}

fn sign(account: &Account, coins: &[&Coin], transaction: &mut Transaction) -> Result<()> {
    let mut witnesses = Vec::with_capacity(coins.len());
    let mut cache = SighashCache::new(&*transaction);
    for (index, coin) in coins.iter().enumerate() {
        let script = account.script(coin.place)?;
        let value = Amount::from_sat(coin.sats);
        let hash = cache
            .p2wpkh_signature_hash(index, &script, value, EcdsaSighashType::All)
            .map_err(|error| Error::new(Code::Internal, format!("input {index} can't be signed: {error}")))?;
        witnesses.push(account.witness(coin.place, hash)?);
    }
    for (input, witness) in transaction.input.iter_mut().zip(witnesses) {
        input.witness = witness;
    }
    Ok(())
}

#[cfg(test)]
#[path = "tests/spend.rs"]
mod tests;
