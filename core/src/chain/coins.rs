//! What Esplora is asked about the wallet's own bitcoin: what pays to an address, and where a transaction is.
//!
//! A coin is believed only when its transaction is proven to be in a block. That nothing pays to an address, or that nothing
//! spends a coin, can't be proven: a server that hides a coin hides it until an honest one is asked.

use super::esplora::{BlockStatus, Esplora};
use super::http::Answer;
use crate::error::Result;
use bitcoin::{Address, OutPoint, Transaction, Txid};
use serde::Deserialize;

/// The unspent outputs of one address: a thousand of them. Esplora refuses to list more than 500.
const UTXOS: usize = 256 * 1024;

/// A transaction in a block of the best chain, proven but for the height.
#[derive(Debug, Clone)]
pub struct Confirmed {
    /// The transaction.
    pub transaction: Transaction,
    /// Of its block.
    pub height: u32,
}

#[derive(Deserialize)]
struct UtxoJson {
    txid: Txid,
    vout: u32,
    status: StatusJson,
}

#[derive(Deserialize)]
struct StatusJson {
    confirmed: bool,
}

impl Esplora {
    /// The confirmed outputs that pay to an address and are not spent, as the server says. None of it is proven.
    pub async fn unspent(&self, address: &Address) -> Result<Vec<OutPoint>> {
        let path = format!("/address/{address}/utxo");
        self.read_unspent(&path, &self.http().get(&path, UTXOS).await?)
    }

    pub(crate) fn read_unspent(&self, path: &str, answer: &Answer) -> Result<Vec<OutPoint>> {
        let found: Vec<UtxoJson> = self.json(path, answer)?;
        let confirmed = found.into_iter().filter(|utxo| utxo.status.confirmed);
        Ok(confirmed.map(|UtxoJson { txid, vout, .. }| OutPoint { txid, vout }).collect())
    }

    /// The transaction with its height, if it is in a block of the best chain.
    pub async fn confirmed(&self, txid: Txid) -> Result<Option<Confirmed>> {
        let Some(inclusion) = self.inclusion(txid).await? else { return Ok(None) };
        let hash = inclusion.header.block_hash();
        let (transaction, status) = tokio::try_join!(self.transaction(txid), self.block_status(hash))?;
        Ok(match (transaction, status) {
            (Some(transaction), BlockStatus::Best(height)) => Some(Confirmed { transaction, height }),
            // Reorganised out of the chain between two answers.
            _ => None,
        })
    }
}
