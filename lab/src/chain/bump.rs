//! A wallet's unconfirmed transaction, signed anew with a higher fee out of its change.
//!
//! It has another txid: whoever waits for the old one (a channel whose funding it was) waits for ever.

use bitcoin::{Amount, Transaction, Txid};

use super::{ChainError, Coin, SharedChain, Wallet};

impl Wallet {
    /// Replaces `txid` in the mempool by one that pays `sat_per_vbyte`, under the mempool's own rules.
    ///
    /// Errors: [`ChainError::Rejected`] when it is not in the mempool, not this wallet's alone, has too little change, or
    /// when the mempool refuses the replacement.
    pub fn bump(&self, chain: &SharedChain, txid: Txid, sat_per_vbyte: f64) -> Result<Transaction, ChainError> {
        let bumped = self.bumped(chain, txid, sat_per_vbyte).map_err(ChainError::Rejected)?;
        chain.submit(bumped.clone())?;
        Ok(bumped)
    }

    /// Whether every input of `tx` is this wallet's.
    pub fn signed(&self, chain: &SharedChain, tx: &Transaction) -> bool {
        let chain = chain.lock();
        tx.input.iter().all(|input| {
            chain.coin(&input.previous_output).is_some_and(|coin| *coin.output.script_pubkey == *self.script())
        })
    }

    fn bumped(&self, chain: &SharedChain, txid: Txid, sat_per_vbyte: f64) -> Result<Transaction, String> {
        let chain = chain.lock();
        let Some((tx, None)) = chain.transaction(&txid) else {
            return Err(format!("{txid} is not in the mempool"));
        };
        let mut tx = tx.clone();
        let inputs = tx.input.iter().map(|input| chain.coin(&input.previous_output));
        let ours = |coin: &Coin| *coin.output.script_pubkey == *self.script();
        let coins: Option<Vec<Coin>> = inputs.map(|coin| coin.filter(ours)).collect();
        let coins = coins.ok_or_else(|| format!("{txid} spends coins that are not this wallet's"))?;
        let value_in: Amount = coins.iter().map(|coin| coin.output.value).sum();
        // Signatures of 71 and 72 bytes: the new one may be a vbyte larger for each input.
        let size = tx.vsize() + tx.input.len();
        let fee = Amount::from_sat((sat_per_vbyte * size as f64).ceil() as u64);
        let Some(change) = tx.output.iter().position(|output| *output.script_pubkey == *self.script()) else {
            return Err(format!("{txid} has no change to take a higher fee from"));
        };
        let others: Amount = tx.output.iter().map(|output| output.value).sum::<Amount>() - tx.output[change].value;
        let left = others.checked_add(fee).and_then(|needed| value_in.checked_sub(needed));
        let dust = self.script().minimal_non_dust();
        let left = left.filter(|left| *left >= dust).ok_or_else(|| {
            format!("a fee of {} sat leaves less than {} sat of {txid}'s change", fee.to_sat(), dust.to_sat())
        })?;
        tx.output[change].value = left;
        self.sign(&mut tx, &coins);
        Ok(tx)
    }
}
