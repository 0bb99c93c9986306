//! Looks at the chain on the wallet's behalf: what the wallet wants to know goes in, what was found comes out. Nothing of the
//! wallet is touched meanwhile, so that it can go on with its work.

use super::account::{Account, Place, Serving};
use super::outgoing::Confirmation;
use super::spend::Coin;
use crate::chain::sync::all_at_once;
use crate::chain::Esplora;
use crate::error::Result;
use bitcoin::{OutPoint, Transaction, Txid};
use std::collections::HashSet;
use std::sync::Arc;

/// What a wallet wants to know.
pub struct Questions {
    /// Transactions that are not final: the key of each and what it spends.
    pub outgoing: Vec<(String, Vec<OutPoint>)>,
    /// Addresses that somebody may have paid to.
    pub addresses: Vec<Place>,
    /// Coins that are known.
    pub coins: Vec<Coin>,
    /// Transactions whose outputs somebody else accounts for: LDK, while it does not take them for final, and sweeps.
    pub accounted: HashSet<Txid>,
    /// Whose addresses.
    pub account: Arc<Account>,
    /// Which of them.
    pub serving: Serving,
}

/// What the chain says.
#[derive(Debug, Default)]
pub struct Findings {
    /// What became of each outgoing transaction's inputs: in a block, or not.
    pub outgoing: Vec<(String, Option<Found>)>,
    /// Coins that nobody knew of.
    pub coins: Vec<Coin>,
    /// Coins that are spent by others, or whose block is gone.
    pub lost: Vec<OutPoint>,
}

/// A confirmed transaction that spends what an outgoing one spends: mostly one of its versions.
#[derive(Debug)]
pub struct Found {
    /// Where.
    pub at: Confirmation,
    /// Itself.
    pub transaction: Transaction,
}

/// Asks. `CHAIN_UNAVAILABLE` when one answer is missing: then nothing was found.
pub async fn look(esplora: &Esplora, questions: Questions) -> Result<Findings> {
    esplora.within_sync(look_at_all(esplora, &questions)).await
}

async fn look_at_all(esplora: &Esplora, questions: &Questions) -> Result<Findings> {
    let outgoing = all_at_once(
        questions
            .outgoing
            .iter()
            .map(|(key, inputs)| async move { Ok((key.clone(), spender(esplora, inputs).await?)) }),
    );
    let unspent = all_at_once(questions.addresses.iter().map(|place| async move {
        let found = esplora.unspent(&questions.account.address(*place)?).await?;
        Ok(found.into_iter().map(|outpoint| (outpoint, *place)).collect::<Vec<_>>())
    }));
    let (outgoing, unspent) = tokio::try_join!(outgoing, unspent)?;
    let unspent: Vec<(OutPoint, Place)> = unspent.into_iter().flatten().collect();
    let known: HashSet<OutPoint> = questions.coins.iter().map(Coin::outpoint).collect();
    let listed: HashSet<OutPoint> = unspent.iter().map(|(outpoint, _)| *outpoint).collect();
    let new = unspent
        .into_iter()
        .filter(|(outpoint, _)| !known.contains(outpoint) && !questions.accounted.contains(&outpoint.txid));
    let missing = known.iter().filter(|outpoint| !listed.contains(outpoint));
    let coins = all_at_once(new.map(|(outpoint, place)| prove(esplora, &questions.account, outpoint, place)));
    let lost =
        all_at_once(missing.map(|outpoint| async move { Ok(is_lost(esplora, *outpoint).await?.then_some(*outpoint)) }));
    let (coins, lost) = tokio::try_join!(coins, lost)?;
    Ok(Findings { outgoing, coins: coins.into_iter().flatten().collect(), lost: lost.into_iter().flatten().collect() })
}

/// The confirmed transaction that spends one of these.
async fn spender(esplora: &Esplora, inputs: &[OutPoint]) -> Result<Option<Found>> {
    for input in inputs {
        let Some(spend) = esplora.spend(*input).await?.filter(|spend| spend.confirmed) else { continue };
        let Some(found) = esplora.confirmed(spend.txid).await? else { continue };
        if found.transaction.input.iter().any(|of| of.previous_output == *input) {
            let at = Confirmation { txid: spend.txid, height: found.height };
            return Ok(Some(Found { at, transaction: found.transaction }));
        }
    }
    Ok(None)
}

/// A coin that the server names, if it is proven to pay to that place.
async fn prove(esplora: &Esplora, account: &Account, outpoint: OutPoint, place: Place) -> Result<Option<Coin>> {
    let script = account.script(place)?;
    let found = esplora.confirmed(outpoint.txid).await?;
    let output = found.as_ref().and_then(|found| found.transaction.output.get(outpoint.vout as usize));
    Ok(output.filter(|output| output.script_pubkey == script).map(|output| Coin {
        txid: outpoint.txid,
        vout: outpoint.vout,
        sats: output.value.to_sat(),
        place,
    }))
}

/// A coin that the server did not list: it is lost only if the server says how.
async fn is_lost(esplora: &Esplora, outpoint: OutPoint) -> Result<bool> {
    let spent = esplora.spend(outpoint).await?.is_some_and(|spend| spend.confirmed);
    Ok(spent || esplora.inclusion(outpoint.txid).await?.is_none())
}
