use crate::checkpoint::BroadcastGate;
use bitcoin::{absolute, transaction, Transaction};
use lightning::chain::chaininterface::BroadcasterInterface;
use std::sync::Arc;
use tokio::sync::Notify;

pub(super) fn transaction(number: u32) -> Transaction {
    let lock_time = absolute::LockTime::from_consensus(number);
    Transaction { version: transaction::Version::TWO, lock_time, input: Vec::new(), output: Vec::new() }
}

#[test]
fn a_transaction_is_handed_out_once_until_it_is_said_that_it_did_not_get_out() {
    let gate = BroadcastGate::new(Arc::new(Notify::new()));
    let (one, two) = (transaction(1), transaction(2));
    assert!(gate.is_empty());
    gate.broadcast_transactions(&[&one, &two, &one]);
    assert!(!gate.is_empty());
    assert_eq!(gate.take(), [one.clone(), two.clone()]);
    gate.broadcast_transactions(&[&two, &one]);
    assert!(gate.is_empty() && gate.take().is_empty());
    gate.forget(&one.compute_txid());
    gate.broadcast_transactions(&[&two, &one]);
    gate.broadcast_transactions(&[&one]);
    assert_eq!(gate.take(), [one]);
}
