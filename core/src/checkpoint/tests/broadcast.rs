use crate::checkpoint::BroadcastGate;
use bitcoin::hashes::Hash;
use bitcoin::{absolute, transaction, Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness};
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

fn spending(from: OutPoint, sequence: u32, lock_time: u32) -> Transaction {
    let sequence = Sequence(sequence);
    Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::from_consensus(lock_time),
        input: vec![TxIn { previous_output: from, script_sig: ScriptBuf::new(), sequence, witness: Witness::new() }],
        output: vec![TxOut { value: Amount::from_sat(1_000), script_pubkey: ScriptBuf::new() }],
    }
}

fn first_output(of: &Transaction) -> OutPoint {
    OutPoint::new(of.compute_txid(), 0)
}

/// The funding output of a channel, a commitment of it, the claim of an HTLC in that, and what spends that claim.
fn closing(tag: u8) -> (OutPoint, [Transaction; 3]) {
    let funding = OutPoint::new(Txid::from_byte_array([tag; 32]), 0);
    let commitment = spending(funding, 0x8012_3456, 0x2065_4321);
    let claim = spending(first_output(&commitment), 0, 0);
    let sweep = spending(first_output(&claim), 144, 0);
    (funding, [commitment, claim, sweep])
}

fn gate_in_doubt_of(funding: OutPoint) -> BroadcastGate {
    let gate = BroadcastGate::new(Arc::new(Notify::new()));
    gate.doubt(funding);
    gate
}

#[test]
fn a_commitment_in_doubt_waits_with_all_that_spends_it_in_whatever_order_it_comes_and_then_waits_for_a_cut() {
    let (funding, [commitment, claim, sweep]) = closing(9);
    let together = [&sweep, &claim, &commitment];
    for parts in [vec![&together[..]], vec![&together[..2], &together[2..]], vec![&together[2..], &together[..2]]] {
        let gate = gate_in_doubt_of(funding);
        // All parts of one turn.
        parts.iter().for_each(|part| gate.broadcast_transactions(part));
        assert!(gate.is_empty() && gate.is_in_doubt());
        assert!(gate.take().is_empty(), "no cut takes it");
        // LDK's timer.
        gate.broadcast_transactions(&together);
        assert!(gate.is_empty());

        gate.trust(&funding);
        assert!(!gate.is_empty() && !gate.is_in_doubt());
        let mut went: Vec<_> = gate.take().iter().map(Transaction::compute_txid).collect();
        let mut all = together.map(Transaction::compute_txid);
        went.sort();
        all.sort();
        assert_eq!(went, all, "each once");
    }
}

#[test]
fn what_needs_no_word_of_the_peer_goes_at_once() {
    let (funding, [commitment, ..]) = closing(9);
    let (other_funding, [other_commitment, other_claim, _]) = closing(8);
    let gate = gate_in_doubt_of(funding);
    let cooperative = [spending(funding, u32::MAX, 0), spending(funding, 0xffff_fffd, 700_000)];
    let sweep = spending(OutPoint::new(Txid::from_byte_array([7; 32]), 1), 144, 0);
    let free = [&cooperative[0], &cooperative[1], &sweep, &other_commitment, &other_claim];
    gate.broadcast_transactions(&[&commitment]);
    gate.broadcast_transactions(&free);
    assert_eq!(gate.take(), free.map(Clone::clone), "a channel of this session is not in doubt");
    assert_eq!(gate.commitment_in_doubt(&funding), Some(commitment.clone()));
    assert_eq!(gate.commitment_in_doubt(&other_funding), None);
    gate.trust(&other_funding);
    assert!(gate.is_empty());
    gate.trust_all();
    assert_eq!(gate.take(), [commitment]);
}

#[test]
fn what_may_never_be_spent_takes_all_that_spends_it_along() {
    let (funding, [commitment, claim, sweep]) = closing(9);
    let gate = gate_in_doubt_of(funding);
    gate.broadcast_transactions(&[&sweep, &claim, &commitment, &transaction(1)]);
    gate.never_spend(funding);
    assert!(!gate.is_in_doubt());
    gate.trust_all();
    assert_eq!(gate.take(), [transaction(1)]);
}

#[test]
fn a_node_that_never_doubts_closes_at_once_also_what_it_loads_later() {
    let (funding, all) = closing(9);
    let gate = gate_in_doubt_of(funding);
    gate.never_doubt();
    gate.doubt(funding);
    gate.broadcast_transactions(&[&all[0], &all[1], &all[2]]);
    assert_eq!(gate.take(), all);
}
