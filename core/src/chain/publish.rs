//! Sends a transaction out, and sees to it that one which did not get out is tried again.
//!
//! Whoever hands transactions out (LDK's timers) repeats them, and a gate lets each pass once. What must hold: after a
//! failure the gate forgets the transaction, so that the next repetition is a new attempt. A refusal counts, too: its parent
//! may arrive, the fees of the mempool may fall, and a claim that is never tried again is lost money.

use super::esplora::{Broadcast, Esplora};
use bitcoin::{Transaction, Txid};
use std::collections::HashSet;
use std::time::Duration;

/// A refused transaction is as wrong a second later: less than the timer of LDK's repetitions, so that each of those counts.
pub(super) const REFUSED_PAUSE: Duration = Duration::from_secs(20);

/// What becomes of a transaction after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It is out.
    Nothing,
    /// It did not arrive: the next repetition counts.
    Again,
    /// It was refused: a repetition counts after a pause.
    Later,
}

/// Broadcasts, and calls `forget` when the same transaction should be sent once more. Whether the network has it now. Ends with the
/// attempt: whoever leaves may wait for it.
pub async fn publish(esplora: &Esplora, transaction: &Transaction, forget: impl FnOnce() + Send + 'static) -> bool {
    match attempt(esplora, transaction).await {
        Next::Nothing => return true,
        Next::Again => forget(),
        Next::Later => drop(tokio::spawn(async move {
            tokio::time::sleep(REFUSED_PAUSE).await;
            forget();
        })),
    }
    false
}

/// Those that spend each other's outputs together, parents first: a mempool refuses a child whose parent it has not seen.
pub fn families(transactions: Vec<Transaction>) -> Vec<Vec<Transaction>> {
    let mut families: Vec<Vec<Transaction>> = Vec::new();
    let mut rest = transactions;
    while !rest.is_empty() {
        let ids: HashSet<Txid> = rest.iter().map(Transaction::compute_txid).collect();
        let (children, parents): (Vec<_>, Vec<_>) = rest.into_iter().partition(|tx| spends_one_of(tx, &ids));
        if parents.is_empty() {
            // A circle: no such transactions exist.
            return families;
        }
        for transaction in parents {
            let ids = |family: &Vec<Transaction>| family.iter().map(Transaction::compute_txid).collect();
            let (related, others): (Vec<_>, Vec<_>) =
                families.into_iter().partition(|family| spends_one_of(&transaction, &ids(family)));
            families = others;
            families.push(related.into_iter().flatten().chain([transaction]).collect());
        }
        rest = children;
    }
    families
}

fn spends_one_of(transaction: &Transaction, ids: &HashSet<Txid>) -> bool {
    transaction.input.iter().any(|input| ids.contains(&input.previous_output.txid))
}

pub(super) async fn attempt(esplora: &Esplora, transaction: &Transaction) -> Next {
    let txid = transaction.compute_txid();
    match esplora.broadcast(transaction).await {
        Ok(Broadcast::Accepted) => {
            tracing::info!(%txid, "broadcast");
            Next::Nothing
        }
        Ok(Broadcast::Rejected(reason)) => {
            tracing::warn!(%txid, %reason, "a broadcast was rejected; it is tried again later");
            Next::Later
        }
        Err(error) => {
            tracing::warn!(%txid, reason = %error.message, "a broadcast did not reach the network; it is tried again");
            Next::Again
        }
    }
}
