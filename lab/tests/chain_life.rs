//! Blocks, wallets, followers, reorgs, and coming back from disk.

mod support;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use bitcoin::{Amount, OutPoint, Transaction, Txid};
use mayfly_lab::chain::{script_hash, ChainError, Reorged, SharedChain, Wallet};
use support::{confirmed_coin, spend, Key};

fn open(dir: &Path) -> SharedChain {
    SharedChain::open(Some(dir.to_path_buf())).unwrap()
}

#[test]
fn blocks_carry_work_a_witness_commitment_and_a_subsidy_that_halves() {
    let chain = SharedChain::open(None).unwrap();
    let hashes = chain.mine(150).unwrap();
    assert_eq!((hashes.len(), chain.height()), (150, 150));
    for height in 1..=150 {
        let block = chain.block_at(height).unwrap();
        assert_eq!(block.block_hash(), hashes[height as usize - 1]);
        assert_eq!(block.header.prev_blockhash, chain.block_at(height - 1).unwrap().block_hash());
        block.header.validate_pow(block.header.target()).unwrap();
        assert!(block.check_merkle_root() && block.check_witness_commitment());
        if height > 16 {
            // Below, Core wants the one-byte opcodes, which this reader doesn't know.
            assert_eq!(block.bip34_block_height().unwrap(), u64::from(height));
        }
        let subsidy = if height < 150 { 50_0000_0000 } else { 25_0000_0000 };
        assert_eq!(block.txdata[0].output[0].value, Amount::from_sat(subsidy));
    }
}

#[test]
fn a_wallet_pays_from_confirmed_coins_and_from_its_own_unconfirmed_change() {
    let chain = SharedChain::open(None).unwrap();
    let (lsp, payer) = (Wallet::new("lsp"), Wallet::new("payer"));
    assert!(matches!(lsp.pay(&chain, payer.script(), 1), Err(ChainError::InsufficientFunds(_))));
    chain.fund(lsp.script(), 10_000_000).unwrap();
    for _ in 0..5 {
        let tx = lsp.pay(&chain, payer.script(), 1_000_000).unwrap();
        chain.submit(tx).unwrap();
    }
    assert_eq!(payer.balance_sats(&chain), 0, "what others pay is not spendable before it is confirmed");
    chain.mine(1).unwrap();
    assert_eq!(payer.balance_sats(&chain), 5_000_000);
    assert_eq!(Wallet::new("payer").balance_sats(&chain), 5_000_000, "the same name is the same wallet");
    // All five coins at once, and no change worth an output.
    let tx = payer.pay(&chain, lsp.script(), 4_999_000).unwrap();
    assert_eq!((tx.input.len(), tx.output.len()), (5, 1));
    chain.submit(tx).unwrap();
}

#[test]
fn coins_of_a_transaction_that_waits_for_its_broadcast_are_not_spent_twice() {
    let chain = SharedChain::open(None).unwrap();
    let wallet = Wallet::new("lsp");
    chain.fund(wallet.script(), 1_000_000).unwrap();
    let funding = wallet.pay(&chain, &Key::new(1).p2tr(), 600_000).unwrap();
    assert!(wallet.pay(&chain, &Key::new(1).p2tr(), 600_000).is_err());
    wallet.release(&funding);
    let again = wallet.pay(&chain, &Key::new(1).p2tr(), 600_000).unwrap();
    chain.submit(again).unwrap();
    assert!(wallet.balance_sats(&chain) > 390_000, "the change is there as soon as it is broadcast");
    chain.mine(1).unwrap();
    chain.reorg(1, Reorged::Dropped).unwrap();
    assert_eq!(wallet.balance_sats(&chain), 1_000_000, "a broadcast that a reorg undid reserves nothing");
}

#[test]
fn a_follower_is_told_of_each_new_tip_after_it_is_one() {
    let chain = SharedChain::open(None).unwrap();
    let mut tips = chain.subscribe();
    assert!(!tips.has_changed().unwrap());
    chain.mine(3).unwrap();
    assert!(tips.has_changed().unwrap());
    assert_eq!(*tips.borrow_and_update(), chain.tip());
    assert_eq!(chain.tip().height, 3);
    chain.mine(0).unwrap();
    assert!(!tips.has_changed().unwrap());
}

#[test]
fn a_chain_comes_back_from_its_folder_with_its_tip_coins_and_mempool() {
    let dir = tempfile::tempdir().unwrap();
    let wallet = Wallet::new("lsp");
    let chain = open(dir.path());
    chain.fund(wallet.script(), 10_000_000).unwrap();
    let parent = wallet.pay(&chain, &Key::new(1).p2tr(), 500_000).unwrap();
    chain.submit(parent).unwrap();
    let child = wallet.pay(&chain, &Key::new(2).p2tr(), 500_000).unwrap();
    chain.submit(child).unwrap();
    let (tip, mempool, balance) = (chain.tip(), chain.mempool(), wallet.balance_sats(&chain));
    assert_eq!(mempool.len(), 2);
    drop(chain);

    let chain = open(dir.path());
    assert_eq!((chain.tip(), chain.mempool()), (tip, mempool.clone()));
    assert_eq!(Wallet::new("lsp").balance_sats(&chain), balance);
    // A crash between the two writes of a block: it is appended, and the mempool still holds what it confirms.
    let before = fs::read(dir.path().join("mempool.dat")).unwrap();
    chain.mine(1).unwrap();
    fs::write(dir.path().join("mempool.dat"), before).unwrap();
    drop(chain);
    let chain = open(dir.path());
    assert_eq!(chain.height(), tip.height + 1);
    assert!(chain.mempool().is_empty());
    assert!(mempool.iter().all(|(tx, _)| chain.transaction(&tx.compute_txid()).unwrap().1 == Some(chain.height())));
}

#[test]
fn a_torn_last_block_is_cut_off_and_a_damaged_one_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("blocks.dat");
    let chain = open(dir.path());
    chain.mine(5).unwrap();
    let tip = chain.tip();
    drop(chain);
    let whole = fs::read(&path).unwrap();
    OpenOptions::new().append(true).open(&path).unwrap().write_all(&[0xf0, 0, 0, 0, 1, 2, 3]).unwrap();
    let chain = open(dir.path());
    assert_eq!(chain.tip(), tip);
    assert_eq!(fs::read(&path).unwrap(), whole);
    chain.mine(1).unwrap();
    let longer = chain.tip();
    drop(chain);
    assert_eq!(open(dir.path()).tip(), longer);

    let mut damaged = fs::read(&path).unwrap();
    let last = damaged.len() - 10;
    damaged[last] ^= 1;
    fs::write(&path, damaged).unwrap();
    assert!(matches!(SharedChain::open(Some(dir.path().into())), Err(ChainError::Storage(_))));
}

/// A chain with one confirmed payment of `key` in its last block.
fn with_payment(dir: &Path, key: &Key) -> (SharedChain, Transaction, OutPoint) {
    let chain = open(dir);
    let (outpoint, coin) = confirmed_coin(&chain, &key.p2wpkh());
    let mut tx = spend(outpoint, &key.p2tr(), 999_000);
    key.sign_p2wpkh(&mut tx, &coin);
    chain.submit(tx.clone()).unwrap();
    chain.mine(1).unwrap();
    (chain, tx, outpoint)
}

#[test]
fn a_reorg_remines_returns_or_drops_transactions_and_the_folder_remembers_it() {
    for mode in [Reorged::Remined, Reorged::Unconfirmed, Reorged::Dropped] {
        let dir = tempfile::tempdir().unwrap();
        let key = Key::new(9);
        let (chain, tx, outpoint) = with_payment(dir.path(), &key);
        let (txid, old) = (tx.compute_txid(), chain.tip());
        let mut tips = chain.subscribe();
        chain.reorg(1, mode).unwrap();
        assert_eq!(chain.height(), old.height + 1);
        assert_eq!(*tips.borrow_and_update(), chain.tip());
        let (stale, height) = chain.block(&old.hash).unwrap();
        assert_eq!((stale.block_hash(), height), (old.hash, None));
        let check = |chain: &SharedChain| {
            let height = chain.transaction(&txid).map(|(_, height)| height);
            let in_history = chain.read(|c| c.history(&script_hash(&key.p2tr())).len());
            let spender = chain.read(|c| c.spender(&outpoint));
            let expected = match mode {
                Reorged::Remined => (Some(Some(old.height)), 1, Some((txid, 0))),
                Reorged::Unconfirmed => (Some(None), 0, Some((txid, 0))),
                Reorged::Dropped => (None, 0, None),
            };
            assert_eq!((height, in_history, spender), expected, "{mode:?}");
        };
        check(&chain);
        let tip = chain.tip();
        drop(chain);
        let chain = open(dir.path());
        assert_eq!(chain.tip(), tip);
        check(&chain);
        assert_eq!(chain.block(&old.hash).unwrap().1, None);
        // What was dropped can be broadcast again, what is there stays a success.
        assert_eq!(chain.submit(tx), Ok(txid));
    }
}

#[test]
fn an_undone_reorg_makes_the_old_branch_best_again_with_a_block_more_and_the_folder_remembers_it() {
    for mode in [Reorged::Remined, Reorged::Unconfirmed, Reorged::Dropped] {
        let dir = tempfile::tempdir().unwrap();
        let key = Key::new(9);
        let (chain, tx, _) = with_payment(dir.path(), &key);
        assert!(matches!(chain.undo_reorg(mode), Err(ChainError::Rejected(_))));
        let (txid, old) = (tx.compute_txid(), chain.tip());
        chain.mine(2).unwrap();
        let branch: Vec<_> = (old.height..=old.height + 2).map(|h| chain.block_at(h).unwrap().block_hash()).collect();
        chain.reorg(3, Reorged::Dropped).unwrap();
        // Only on the new branch.
        let (outpoint, coin) = confirmed_coin(&chain, &key.p2wpkh());
        let mut later = spend(outpoint, &key.p2tr(), 998_000);
        key.sign_p2wpkh(&mut later, &coin);
        chain.submit(later.clone()).unwrap();
        chain.mine(1).unwrap();
        let new = chain.tip();

        chain.undo_reorg(mode).unwrap();
        assert_eq!(chain.height(), new.height + 1);
        for (hash, height) in branch.iter().zip(old.height..) {
            assert_eq!(chain.block(hash).unwrap().1, Some(height));
        }
        assert_eq!(chain.block(&new.hash).unwrap().1, None);
        assert_eq!(chain.transaction(&txid).unwrap().1, Some(old.height), "confirmed where it was at first");
        let later_in = chain.transaction(&later.compute_txid()).map(|(_, height)| height.is_some());
        let expected = match mode {
            Reorged::Remined => Some(true),
            Reorged::Unconfirmed => Some(false),
            Reorged::Dropped => None,
        };
        assert_eq!(later_in, expected, "{mode:?}");
        let tip = chain.tip();
        drop(chain);
        let chain = open(dir.path());
        assert_eq!(chain.tip(), tip);
    }
}

#[test]
fn a_reorg_deeper_than_the_chain_is_refused_and_one_of_all_of_it_is_not() {
    let chain = SharedChain::open(None).unwrap();
    chain.mine(20).unwrap();
    let tip = chain.tip();
    let error = chain.reorg(21, Reorged::Remined).unwrap_err().to_string();
    assert_eq!((error.as_str(), chain.tip()), ("depth is 21: at most 20, all blocks of the chain", tip));
    chain.reorg(20, Reorged::Remined).unwrap();
    assert_eq!((chain.height(), chain.block(&tip.hash).unwrap().1), (21, None));
    chain.undo_reorg(Reorged::Remined).unwrap();
    assert_eq!((chain.height(), chain.block(&tip.hash).unwrap().1), (22, Some(20)));
    chain.undo_reorg(Reorged::Remined).unwrap();
    assert_eq!((chain.height(), chain.block(&tip.hash).unwrap().1), (23, None), "undoing can be undone");
}

/// xorshift64*: enough to choose what happens next.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % sides
    }
}

#[test]
fn whatever_happens_the_money_adds_up_and_a_replay_says_the_same() {
    #[allow(clippy::disallowed_methods, reason = "a rerun of a test is configured from outside")]
    let seed = match std::env::var("MAYFLY_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => mayfly_core::clock::now().as_nanos() as u64 | 1,
    };
    println!("rerun: MAYFLY_SEED={seed} cargo test -p mayfly-lab --test chain_life whatever_happens");
    let mut dice = Dice(seed);
    let dir = tempfile::tempdir().unwrap();
    let chain = open(dir.path());
    let wallets = ["a", "b", "c"].map(Wallet::new);
    let miner = Wallet::new("miner");
    for wallet in &wallets {
        chain.fund(wallet.script(), 5_000_000).unwrap();
    }
    for _ in 0..60 {
        let (from, to) = (dice.roll(3) as usize, dice.roll(3) as usize);
        match dice.roll(12) {
            0..=5 => {
                if let Ok(tx) = wallets[from].pay(&chain, wallets[to].script(), 1_000 + dice.roll(400_000)) {
                    chain.submit(tx).unwrap();
                }
            }
            6 | 7 => drop(chain.mine(1 + dice.roll(3) as u32).unwrap()),
            8 => drop(chain.mine_empty(1).unwrap()),
            9 => {
                if let Some((tx, _)) = chain.mempool().first() {
                    chain.evict(tx.compute_txid()).unwrap();
                }
            }
            10 => {
                // Nothing to undo yet, at first.
                let _ = chain.undo_reorg([Reorged::Remined, Reorged::Unconfirmed][dice.roll(2) as usize]);
            }
            _ => {
                let mode = [Reorged::Remined, Reorged::Unconfirmed, Reorged::Dropped][dice.roll(3) as usize];
                // Not so deep that the funding is undone.
                chain.reorg(dice.roll(4) as u32, mode).unwrap();
            }
        }
        let scripts = wallets.iter().chain([&miner]).map(Wallet::script);
        let coins: u64 =
            scripts.flat_map(|s| chain.read(|c| c.coins_of(s))).map(|(_, coin)| coin.output.value.to_sat()).sum();
        let waiting: u64 = chain.mempool().iter().map(|(_, fee)| fee.to_sat()).sum();
        let mined: u64 = (1..=chain.height()).map(|h| if h < 150 { 50_0000_0000 } else { 25_0000_0000 }).sum();
        assert_eq!(coins + waiting, mined, "every satoshi is a coin of somebody, or a fee that waits for its block");
    }
    let view = |chain: &SharedChain| {
        wallets.each_ref().map(|wallet| {
            let mut coins = chain.read(|c| c.coins_of(wallet.script()));
            coins.sort_by_key(|(outpoint, _)| *outpoint);
            let hash = script_hash(wallet.script());
            let ids = |(tx, height): (&Transaction, u32)| (tx.compute_txid(), height);
            let history: Vec<(Txid, u32)> = chain.read(|c| c.history(&hash).into_iter().map(ids).collect());
            (coins, history)
        })
    };
    let before = (chain.tip(), chain.mempool(), view(&chain));
    drop(chain);
    let chain = open(dir.path());
    assert_eq!((chain.tip(), chain.mempool(), view(&chain)), before);
}
