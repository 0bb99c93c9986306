//! Who may replace whom in the mempool, what falls out of it, and what a wallet does about its own.

mod support;

use bitcoin::{Amount, OutPoint, Transaction, TxOut, Txid};
use mayfly_lab::chain::{ChainError, Reorged, SharedChain, Wallet};
use support::{confirmed_coin, spend, Key};

fn chain() -> SharedChain {
    SharedChain::open(None).unwrap()
}

#[track_caller]
fn refused(chain: &SharedChain, tx: &Transaction, reason: &str) {
    let before = chain.mempool();
    match chain.submit(tx.clone()) {
        Err(ChainError::Rejected(text)) if text.contains(reason) => {}
        other => panic!("expected {reason}, got {other:?}"),
    }
    assert_eq!(chain.mempool(), before, "a refusal changes nothing");
}

/// A signed spend of `coin` to the same key with that fee.
fn paying(key: &Key, (outpoint, coin): &(OutPoint, TxOut), fee: u64) -> Transaction {
    let mut tx = spend(*outpoint, &key.p2wpkh(), coin.value.to_sat() - fee);
    key.sign_p2wpkh(&mut tx, coin);
    tx
}

/// The first output of a transaction, to be spent.
fn output(tx: &Transaction) -> (OutPoint, TxOut) {
    (OutPoint::new(tx.compute_txid(), 0), tx.output[0].clone())
}

fn waiting(chain: &SharedChain) -> Vec<Txid> {
    chain.mempool().iter().map(|(tx, _)| tx.compute_txid()).collect()
}

#[test]
fn a_conflict_replaces_what_pays_less_with_all_that_descends_from_it() {
    let (chain, key) = (chain(), Key::new(1));
    let coin = confirmed_coin(&chain, &key.p2wpkh());
    let other = confirmed_coin(&chain, &key.p2wpkh());
    let (first, bystander) = (paying(&key, &coin, 1_000), paying(&key, &other, 1_000));
    let child = paying(&key, &output(&first), 500);
    for tx in [&first, &child, &bystander] {
        chain.submit(tx.clone()).unwrap();
    }
    let second = paying(&key, &coin, 2_000);
    chain.submit(second.clone()).unwrap();
    assert_eq!(waiting(&chain), [bystander.compute_txid(), second.compute_txid()]);
    let spender = chain.read(|c| c.spender(&coin.0));
    assert_eq!(spender, Some((second.compute_txid(), 0)));
    assert_eq!(chain.transaction(&child.compute_txid()), None);
    chain.mine(1).unwrap();
    assert_eq!(chain.transaction(&second.compute_txid()).unwrap().1, Some(chain.height()));
    refused(&chain, &first, "bad-txns-inputs-missingorspent");
}

#[test]
fn a_replacement_must_pay_a_higher_rate_and_for_all_that_goes_and_for_itself() {
    let (chain, key) = (chain(), Key::new(2));
    let coin = confirmed_coin(&chain, &key.p2wpkh());
    let first = paying(&key, &coin, 1_000);
    let child = paying(&key, &output(&first), 5_000);
    chain.submit(first.clone()).unwrap();
    chain.submit(child).unwrap();
    // The same spend with another output is as large: the same fee is the same rate.
    let mut equal = paying(&key, &coin, 1_000);
    equal.output[0].script_pubkey = Key::new(3).p2wpkh();
    key.sign_p2wpkh(&mut equal, &coin.1);
    refused(&chain, &equal, "; new feerate");
    refused(&chain, &paying(&key, &coin, 900), "<= old feerate");
    refused(&chain, &paying(&key, &coin, 5_999), "less fees than conflicting txs; 0.00005999 < 0.00006000");
    refused(&chain, &paying(&key, &coin, 6_001), "not enough additional fees to relay; 0.00000001 < 0.00000110");
    chain.submit(paying(&key, &coin, 6_110)).unwrap();
    assert_eq!(chain.mempool().len(), 1);
}

#[test]
fn a_replacement_may_not_rest_on_what_it_replaces_nor_on_new_unconfirmed_coins() {
    let (chain, key) = (chain(), Key::new(4));
    let coin = confirmed_coin(&chain, &key.p2wpkh());
    let other = confirmed_coin(&chain, &key.p2wpkh());
    let (first, unconfirmed) = (paying(&key, &coin, 1_000), paying(&key, &other, 1_000));
    chain.submit(first.clone()).unwrap();
    chain.submit(unconfirmed.clone()).unwrap();
    // A second input, and a fee beyond doubt.
    let with_second = |second: (OutPoint, TxOut)| {
        let mut tx = paying(&key, &coin, 20_000);
        let mut input = paying(&key, &second, 1_000).input[0].clone();
        input.witness.clear();
        tx.input.push(input);
        key.sign_all_p2wpkh(&mut tx, &[coin.1.clone(), second.1]);
        tx
    };
    refused(&chain, &with_second(output(&first)), "bad-txns-spends-conflicting-tx");
    refused(&chain, &with_second(output(&unconfirmed)), "replacement-adds-unconfirmed");
}

#[test]
fn a_hundred_may_be_replaced_and_not_one_more() {
    let (chain, key) = (chain(), Key::new(5));
    let coin = confirmed_coin(&chain, &key.p2wpkh());
    let mut last = paying(&key, &coin, 200);
    chain.submit(last.clone()).unwrap();
    for _ in 0..99 {
        last = paying(&key, &output(&last), 200);
        chain.submit(last.clone()).unwrap();
    }
    let hundred = waiting(&chain);
    chain.submit(paying(&key, &output(&last), 200)).unwrap();
    let richer = paying(&key, &coin, 100_000);
    refused(&chain, &richer, "too many potential replacements (101 > 100)");
    chain.evict(chain.mempool()[100].0.compute_txid()).unwrap();
    assert_eq!(waiting(&chain), hundred);
    chain.submit(richer.clone()).unwrap();
    assert_eq!(waiting(&chain), [richer.compute_txid()]);
}

#[test]
fn what_is_evicted_goes_with_its_descendants_and_may_come_again() {
    let dir = tempfile::tempdir().unwrap();
    let chain = SharedChain::open(Some(dir.path().into())).unwrap();
    let key = Key::new(6);
    let coin = confirmed_coin(&chain, &key.p2wpkh());
    let other = confirmed_coin(&chain, &key.p2wpkh());
    let first = paying(&key, &coin, 1_000);
    let (child, bystander) = (paying(&key, &output(&first), 1_000), paying(&key, &other, 1_000));
    for tx in [&first, &bystander, &child] {
        chain.submit(tx.clone()).unwrap();
    }
    let changes = *chain.subscribe_mempool().borrow();
    assert_eq!(chain.evict(first.compute_txid()).unwrap(), [first.compute_txid(), child.compute_txid()]);
    assert_eq!(*chain.subscribe_mempool().borrow(), changes + 1);
    assert_eq!(waiting(&chain), [bystander.compute_txid()]);
    assert!(matches!(chain.evict(first.compute_txid()), Err(ChainError::Rejected(_))));
    assert_eq!(chain.read(|c| c.spender(&coin.0)), None);
    drop(chain);
    let chain = SharedChain::open(Some(dir.path().into())).unwrap();
    assert_eq!(waiting(&chain), [bystander.compute_txid()], "the folder forgot it, too");
    refused(&chain, &child, "bad-txns-inputs-missingorspent");
    chain.submit(first).unwrap();
    chain.submit(child).unwrap();
    assert_eq!(chain.mempool().len(), 3);
}

#[test]
fn a_wallet_bumps_its_own_out_of_the_change_and_nobody_else_s() {
    let chain = chain();
    let wallet = Wallet::new("lsp");
    chain.fund(wallet.script(), 1_000_000).unwrap();
    let tx = wallet.pay(&chain, &Key::new(7).p2tr(), 600_000).unwrap();
    let txid = chain.submit(tx.clone()).unwrap();
    assert!(wallet.signed(&chain, &tx));
    let other = Wallet::new("payer");
    for (who, rate, reason) in [
        (&other, 10.0, "not this wallet's"),
        (&wallet, 1.0, "<= old feerate"),
        (&wallet, 100_000.0, "leaves less than"),
    ] {
        let error = who.bump(&chain, txid, rate).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    let bumped = wallet.bump(&chain, txid, 10.0).unwrap();
    assert_eq!(bumped.output[0], tx.output[0], "the payment is the same");
    assert_eq!(bumped.input[0].previous_output, tx.input[0].previous_output);
    let [(mined, fee)] = &chain.mempool()[..] else { panic!("one is left") };
    assert_eq!(mined, &bumped);
    assert!(*fee >= Amount::from_sat(10 * bumped.vsize() as u64), "{fee}");
    chain.mine(1).unwrap();
    let error = wallet.bump(&chain, bumped.compute_txid(), 20.0).unwrap_err().to_string();
    assert!(error.contains("not in the mempool"), "{error}");
}

#[test]
fn a_wallet_that_paid_all_it_had_has_nothing_to_bump_with() {
    let chain = chain();
    let wallet = Wallet::new("lsp");
    chain.fund(wallet.script(), 1_000_000).unwrap();
    let tx = wallet.pay(&chain, &Key::new(8).p2tr(), 999_600).unwrap();
    assert_eq!(tx.output.len(), 1);
    let txid = chain.submit(tx).unwrap();
    let error = wallet.bump(&chain, txid, 10.0).unwrap_err().to_string();
    assert!(error.contains("no change"), "{error}");
}

#[test]
fn of_two_branches_transactions_the_richer_conflict_waits_when_a_reorg_brings_both_back() {
    let (chain, key) = (chain(), Key::new(9));
    let coin = confirmed_coin(&chain, &key.p2wpkh());
    let (cheap, dear) = (paying(&key, &coin, 1_000), paying(&key, &coin, 3_000));
    chain.submit(cheap.clone()).unwrap();
    chain.mine(1).unwrap();
    chain.reorg(1, Reorged::Dropped).unwrap();
    chain.submit(dear.clone()).unwrap();
    chain.undo_reorg(Reorged::Unconfirmed).unwrap();
    assert!(chain.transaction(&cheap.compute_txid()).unwrap().1.is_some());
    assert!(chain.mempool().is_empty(), "its input is spent in the chain");
    chain.reorg(3, Reorged::Unconfirmed).unwrap();
    chain.submit(dear.clone()).unwrap();
    assert_eq!(waiting(&chain), [dear.compute_txid()]);
}
