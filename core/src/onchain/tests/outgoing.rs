use super::*;
use crate::onchain::Chain;
use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;
use bitcoin::{Amount, ScriptBuf, Sequence, TxIn, TxOut, Witness};

fn sweep(sat_per_kw: u32, made_at: u32) -> Outgoing {
    let input = |vout| TxIn {
        previous_output: OutPoint { txid: Txid::all_zeros(), vout },
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ZERO,
        witness: Witness::new(),
    };
    let transaction = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![input(3), input(4)],
        output: vec![TxOut { value: Amount::from_sat(5_000), script_pubkey: ScriptBuf::new() }],
    };
    let purpose = Purpose::Sweep(Place { chain: Chain::Internal, index: 1 });
    Outgoing { purpose, transaction, sat_per_kw, made_at, confirmed: None }
}

#[test]
fn a_row_holds_all_of_it_under_a_key_that_all_versions_share() {
    let mut first = sweep(253, 100);
    first.confirmed = Some(Confirmation { txid: first.transaction.compute_txid(), height: 101 });
    let mut batch = Batch::default();
    first.stage(&mut batch).unwrap();
    let (key, bytes) = batch.puts().iter().next().unwrap();
    assert_eq!(*key, format!("outgoing/{}:3", Txid::all_zeros()));
    assert_eq!(serde_json::from_slice::<Outgoing>(bytes).unwrap(), first);
    assert_eq!(Outgoing { made_at: 200, sat_per_kw: 900, ..first }.key(), *key);
}

#[test]
fn it_is_final_in_its_sixth_block() {
    let mut sent = sweep(253, 100);
    assert!(!sent.is_final(1_000_000));
    sent.confirmed = Some(Confirmation { txid: Txid::all_zeros(), height: 101 });
    assert!(!sent.is_final(105));
    assert!(sent.is_final(106));
}

#[test]
fn a_dearer_market_replaces_it_with_a_rate_that_the_network_takes() {
    assert_eq!(sweep(1_000, 100).replacement_rate(1_000, 101), None);
    assert_eq!(sweep(1_000, 100).replacement_rate(1_252, 101), None);
    assert_eq!(sweep(1_000, 100).replacement_rate(1_253, 101), Some(1_253));
    assert_eq!(sweep(1_000, 100).replacement_rate(9_000, 101), Some(9_000));
    assert_eq!(sweep(4_000, 100).replacement_rate(5_000, 101), Some(5_000));
}

#[test]
fn one_that_waits_for_twelve_blocks_pays_a_quarter_more_whatever_the_market_says() {
    assert_eq!(sweep(4_000, 100).replacement_rate(253, 111), None);
    assert_eq!(sweep(4_000, 100).replacement_rate(253, 112), Some(5_000));
    assert_eq!(sweep(253, 100).replacement_rate(253, 112), Some(506));
}

#[test]
fn one_that_is_in_a_block_is_not_replaced() {
    let mut sent = sweep(253, 100);
    sent.confirmed = Some(Confirmation { txid: Txid::all_zeros(), height: 101 });
    assert_eq!(sent.replacement_rate(9_000, 200), None);
}
