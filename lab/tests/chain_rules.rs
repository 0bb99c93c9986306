//! What the chain accepts and what it refuses, and with which words.

mod support;

use bitcoin::absolute::LockTime;
use bitcoin::opcodes::all::{OP_CSV, OP_DROP, OP_PUSHNUM_1};
use bitcoin::script::Builder;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxOut, Witness};
use mayfly_lab::chain::{ChainError, SharedChain};
use support::{confirmed_coin, spend, Key};

fn chain() -> SharedChain {
    SharedChain::open(None).unwrap()
}

#[track_caller]
fn refused(chain: &SharedChain, tx: &Transaction, reason: &str) {
    match chain.submit(tx.clone()) {
        Err(ChainError::Rejected(text)) if text.starts_with(reason) => {}
        other => panic!("expected {reason}, got {other:?}"),
    }
}

/// A confirmed coin of `key` and a signed transaction that spends it to itself.
fn signed_spend(chain: &SharedChain, key: &Key) -> (Transaction, TxOut) {
    let (outpoint, coin) = confirmed_coin(chain, &key.p2wpkh());
    let mut tx = spend(outpoint, &key.p2wpkh(), 999_000);
    key.sign_p2wpkh(&mut tx, &coin);
    (tx, coin)
}

#[test]
fn a_signed_spend_is_accepted_and_mined_with_its_fee() {
    let (chain, key) = (chain(), Key::new(1));
    let (tx, _) = signed_spend(&chain, &key);
    let txid = chain.submit(tx.clone()).unwrap();
    assert_eq!(chain.mempool(), [(tx.clone(), Amount::from_sat(1_000))]);
    chain.mine(1).unwrap();
    assert_eq!(chain.transaction(&txid), Some((tx, Some(chain.height()))));
    assert!(chain.mempool().is_empty());
    let block = chain.block_at(chain.height()).unwrap();
    assert_eq!(block.txdata[0].output[0].value, Amount::from_sat(50_0000_0000 + 1_000));
}

#[test]
fn unsigned_and_corrupted_signatures_are_refused() {
    let (chain, key) = (chain(), Key::new(1));
    let (mut tx, _) = signed_spend(&chain, &key);
    let good = tx.clone();
    tx.input[0].witness = Witness::new();
    refused(&chain, &tx, "mandatory-script-verify-flag-failed");
    let mut signature = good.input[0].witness[0].to_vec();
    signature[10] ^= 1;
    tx.input[0].witness = Witness::from_slice(&[&signature, &good.input[0].witness[1].to_vec()]);
    refused(&chain, &tx, "mandatory-script-verify-flag-failed");
    // A good signature of another amount.
    let mut other = good.clone();
    other.output[0].value = Amount::from_sat(998_000);
    refused(&chain, &other, "mandatory-script-verify-flag-failed");
    chain.submit(good).unwrap();
}

#[test]
fn a_taproot_key_spend_of_an_unconfirmed_parent_is_accepted_and_a_corrupted_one_is_not() {
    let (chain, key) = (chain(), Key::new(2));
    let (outpoint, coin) = confirmed_coin(&chain, &key.p2wpkh());
    let mut parent = spend(outpoint, &key.p2tr(), 999_000);
    key.sign_p2wpkh(&mut parent, &coin);
    let mut child = spend(OutPoint::new(parent.compute_txid(), 0), &key.p2wpkh(), 998_000);
    key.sign_p2tr(&mut child, &parent.output[0]);
    refused(&chain, &child, "bad-txns-inputs-missingorspent");
    chain.submit(parent.clone()).unwrap();
    let mut bad = child.clone();
    let mut signature = child.input[0].witness[0].to_vec();
    signature[5] ^= 1;
    bad.input[0].witness = Witness::from_slice(&[signature]);
    refused(&chain, &bad, "mandatory-script-verify-flag-failed");
    chain.submit(child.clone()).unwrap();
    let mut grandchild = spend(OutPoint::new(child.compute_txid(), 0), &key.p2tr(), 997_000);
    key.sign_p2wpkh(&mut grandchild, &child.output[0]);
    chain.submit(grandchild.clone()).unwrap();
    chain.mine(1).unwrap();
    let block = chain.block_at(chain.height()).unwrap();
    assert_eq!(block.txdata[1..], [parent, child, grandchild], "parents go first");
}

#[test]
fn a_coinbase_is_spendable_at_its_hundredth_successor_and_not_before() {
    let (chain, key) = (chain(), Key::new(3));
    chain.mine_to(1, &key.p2wpkh()).unwrap();
    let coinbase = chain.block_at(1).unwrap().txdata[0].clone();
    let mut tx = spend(OutPoint::new(coinbase.compute_txid(), 0), &key.p2wpkh(), 1_000_000);
    key.sign_p2wpkh(&mut tx, &coinbase.output[0]);
    chain.mine(98).unwrap();
    refused(&chain, &tx, "bad-txns-premature-spend-of-coinbase");
    chain.mine(1).unwrap();
    chain.submit(tx).unwrap();
}

#[test]
fn a_lock_time_in_blocks_holds_until_its_block_has_passed() {
    let (chain, key) = (chain(), Key::new(4));
    let (outpoint, coin) = confirmed_coin(&chain, &key.p2wpkh());
    let mut tx = spend(outpoint, &key.p2wpkh(), 999_000);
    tx.lock_time = LockTime::from_height(chain.height() + 1).unwrap();
    tx.input[0].sequence = Sequence::ENABLE_LOCKTIME_NO_RBF;
    key.sign_p2wpkh(&mut tx, &coin);
    refused(&chain, &tx, "non-final");
    chain.mine(1).unwrap();
    chain.submit(tx).unwrap();
}

#[test]
fn a_lock_time_in_seconds_is_measured_by_the_median_of_eleven_blocks() {
    let (chain, key) = (chain(), Key::new(4));
    // In the past, so that the deadline is no later than now: no node takes a block of the future.
    chain.set_clock(Some(1_700_000_000));
    let (outpoint, coin) = confirmed_coin(&chain, &key.p2wpkh());
    let deadline = chain.read(|c| c.median_time_past(c.height())) + 100_000;
    let mut tx = spend(outpoint, &key.p2wpkh(), 999_000);
    tx.lock_time = LockTime::from_time(deadline).unwrap();
    tx.input[0].sequence = Sequence::ENABLE_LOCKTIME_NO_RBF;
    key.sign_p2wpkh(&mut tx, &coin);
    chain.set_clock(Some(deadline + 1));
    // Six of eleven make the median: five are not enough, though the tip's own time is past the deadline.
    chain.mine(5).unwrap();
    assert!(chain.tip().header.time > deadline);
    refused(&chain, &tx, "non-final");
    chain.mine(1).unwrap();
    chain.submit(tx).unwrap();
}

/// `<sequence> OP_CSV OP_DROP 1`: anyone's, after a delay; what a channel's `to_self_delay` rests on.
fn delayed(sequence: Sequence) -> (ScriptBuf, ScriptBuf) {
    let lock = i64::from(sequence.to_consensus_u32());
    let script =
        Builder::new().push_int(lock).push_opcode(OP_CSV).push_opcode(OP_DROP).push_opcode(OP_PUSHNUM_1).into_script();
    (script.to_p2wsh(), script)
}

fn spend_delayed(outpoint: OutPoint, script: &ScriptBuf, sequence: Sequence) -> Transaction {
    let mut tx = spend(outpoint, &Key::new(5).p2wpkh(), 999_000);
    tx.input[0].sequence = sequence;
    tx.input[0].witness = Witness::from_slice(&[script.as_bytes()]);
    tx
}

#[test]
fn a_relative_lock_in_blocks_holds_until_the_coin_is_that_deep() {
    let chain = chain();
    let lock = Sequence::from_height(10);
    let (output, script) = delayed(lock);
    let (outpoint, _) = confirmed_coin(&chain, &output);
    let tx = spend_delayed(outpoint, &script, lock);
    refused(&chain, &tx, "non-BIP68-final");
    // OP_CSV sees to it that nobody writes a smaller number, or one that disables the lock, or an old version.
    refused(&chain, &spend_delayed(outpoint, &script, Sequence::from_height(0)), "mandatory-script");
    refused(&chain, &spend_delayed(outpoint, &script, Sequence::MAX), "mandatory-script");
    let mut old = tx.clone();
    old.version = Version::ONE;
    refused(&chain, &old, "mandatory-script");
    chain.mine(8).unwrap();
    refused(&chain, &tx, "non-BIP68-final");
    chain.mine(1).unwrap();
    chain.submit(tx).unwrap();
}

#[test]
fn a_relative_lock_in_time_counts_from_the_median_before_the_coin() {
    let chain = chain();
    let lock = Sequence::from_512_second_intervals(3);
    let (output, script) = delayed(lock);
    let (outpoint, _) = confirmed_coin(&chain, &output);
    let since = chain.read(|c| c.median_time_past(c.height() - 1));
    let tx = spend_delayed(outpoint, &script, lock);
    chain.set_clock(Some(since + 3 * 512 - 1));
    chain.mine(6).unwrap();
    assert_eq!(chain.read(|c| c.median_time_past(c.height())), since + 3 * 512 - 1);
    refused(&chain, &tx, "non-BIP68-final");
    chain.set_clock(Some(since + 3 * 512));
    chain.mine(6).unwrap();
    chain.submit(tx).unwrap();
}

#[test]
fn a_relative_lock_of_one_block_needs_a_confirmed_parent() {
    let (chain, key) = (chain(), Key::new(6));
    let (parent, _) = signed_spend(&chain, &key);
    chain.submit(parent.clone()).unwrap();
    let mut child = spend(OutPoint::new(parent.compute_txid(), 0), &key.p2wpkh(), 998_000);
    child.input[0].sequence = Sequence::from_height(1);
    key.sign_p2wpkh(&mut child, &parent.output[0]);
    refused(&chain, &child, "non-BIP68-final");
    chain.mine(1).unwrap();
    chain.submit(child).unwrap();
}

#[test]
fn broadcasting_what_is_known_is_a_success_before_and_after_its_block() {
    let (chain, key) = (chain(), Key::new(7));
    let (tx, _) = signed_spend(&chain, &key);
    let changes = chain.subscribe_mempool();
    let txid = chain.submit(tx.clone()).unwrap();
    assert_eq!(chain.submit(tx.clone()), Ok(txid));
    assert_eq!(*changes.borrow(), 1 + 1, "funding and one submission changed the mempool, the repeat didn't");
    chain.mine(1).unwrap();
    assert_eq!(chain.submit(tx), Ok(txid));
    assert!(chain.mempool().is_empty());
}

#[test]
fn amounts_and_shapes_are_checked() {
    let (chain, key) = (chain(), Key::new(8));
    let (good, coin) = signed_spend(&chain, &key);
    let altered = |f: &dyn Fn(&mut Transaction)| {
        let mut tx = good.clone();
        f(&mut tx);
        if tx.input.len() == 1 {
            key.sign_p2wpkh(&mut tx, &coin);
        }
        tx
    };
    refused(&chain, &altered(&|tx| tx.output[0].value = Amount::from_sat(1_000_001)), "bad-txns-in-belowout");
    refused(&chain, &altered(&|tx| tx.output[0].value = Amount::MAX), "bad-txns-txouttotal-toolarge");
    refused(&chain, &altered(&|tx| tx.output[0].value = Amount::from_sat(999_999)), "min relay fee not met");
    refused(&chain, &altered(&|tx| tx.output.clear()), "bad-txns-vout-empty");
    refused(&chain, &altered(&|tx| tx.input.clear()), "bad-txns-vin-empty");
    refused(&chain, &altered(&|tx| tx.input.push(tx.input[0].clone())), "bad-txns-inputs-duplicate");
    let coinbase = chain.block_at(1).unwrap().txdata[0].clone();
    let known = chain.submit(coinbase.clone());
    assert_eq!(known, Ok(coinbase.compute_txid()), "known is known");
    let mut fresh = coinbase;
    fresh.output[0].value = Amount::from_sat(1);
    refused(&chain, &fresh, "coinbase");
    chain.set_min_relay_fee(0);
    chain.submit(altered(&|tx| tx.output[0].value = Amount::from_sat(1_000_000))).unwrap();
}
