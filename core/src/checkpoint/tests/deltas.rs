//! Monitors in the store: whatever was committed loads as what was in memory, and deltas that do not fit are refused.

use super::pair::Side;
use super::{engine, keys, load, Pair};
use crate::checkpoint::monitors::{MonitorRows, MANY_DELTAS, MOST_DELTAS};
use crate::checkpoint::persist::{Change, Delta};
use crate::checkpoint::rows::{self, DELTA_PREFIX, MANAGER, MONITOR_PREFIX};
use crate::checkpoint::Loaded;
use crate::error::Code;
use crate::store::{Batch, Rows};
use bitcoin::block::{Header, Version};
use bitcoin::hashes::Hash;
use bitcoin::{CompactTarget, Network, TxMerkleNode};
use lightning::chain::{BestBlock, Confirm};
use lightning::ln::types::ChannelId;
use lightning::util::ser::Writeable;
use std::collections::BTreeMap;

fn with_prefix(rows: &Rows, prefix: &str) -> Vec<String> {
    rows.keys().filter(|key| key.starts_with(prefix)).cloned().collect()
}

/// Per monitor: its last update, and its bytes sorted, since LDK's maps have no order.
fn monitors(loaded: &Loaded) -> BTreeMap<ChannelId, (u64, Vec<u8>)> {
    let monitors = loaded.monitors();
    let of = |id| {
        let monitor = monitors.get_monitor(id).unwrap();
        let mut bytes = monitor.encode();
        bytes.sort_unstable();
        (id, (monitor.get_latest_update_id(), bytes))
    };
    monitors.list_monitors().into_iter().map(of).collect()
}

/// One more block for one side, without a transaction of ours.
fn mine(side: &Side) {
    let best = side.loaded.manager().current_best_block();
    let header = Header {
        version: Version::TWO,
        prev_blockhash: best.block_hash,
        merkle_root: TxMerkleNode::all_zeros(),
        time: best.height,
        bits: CompactTarget::from_consensus(0x207f_ffff),
        nonce: 0,
    };
    side.loaded.monitors().best_block_updated(&header, best.height + 1);
    side.loaded.manager().best_block_updated(&header, best.height + 1);
}

/// So many payments, several at once now and then, some of them not claimed at once.
async fn payments(pair: &mut Pair, count: u64) {
    for number in 0..count {
        let together = 1 + number % 3;
        for part in 0..together {
            let amount = 1_000_000 + 1_000 * number + part;
            let invoice = pair.mint(Some(amount));
            pair.pay(&invoice, amount, 144);
        }
        pair.settle().await;
    }
}

#[tokio::test]
async fn every_commit_of_a_long_life_loads_as_what_was_in_memory_with_at_most_fifty_deltas() {
    let mut pair = Pair::with_channel().await;
    payments(&mut pair, 15).await;
    let (history, memory) = (&pair.wallet.history, &pair.wallet.memory);
    let mut counts = Vec::new();
    let mut wholes = 0;
    for (at, (committed, memory)) in history.iter().zip(memory).enumerate() {
        let loaded = load(&pair.wallet.keys, committed).unwrap_or_else(|error| panic!("commit {at}: {error}"));
        let expected = load(&pair.wallet.keys, memory).unwrap();
        assert!(monitors(&loaded) == monitors(&expected), "commit {at} of {}", history.len());
        assert_eq!(loaded.fault().reason(), None);
        counts.push(with_prefix(committed, DELTA_PREFIX).len() as u64);
        let monitor = &with_prefix(committed, MONITOR_PREFIX)[0];
        wholes += usize::from(at == 0 || history[at - 1].get(monitor) != committed.get(monitor));
    }
    assert!(counts.iter().all(|count| *count <= MOST_DELTAS), "{counts:?}");
    assert!(
        wholes >= 3 && wholes * 8 < history.len(),
        "{wholes} of {} commits wrote it whole: {counts:?}",
        history.len()
    );
}

#[tokio::test]
async fn a_wallet_goes_on_from_any_of_its_commits_also_when_blocks_came_that_no_delta_knows() {
    let mut pair = Pair::with_channel().await;
    for number in 0..12 {
        payments(&mut pair, 1).await;
        if number % 2 == 1 {
            mine(&pair.wallet);
            pair.settle().await;
        }
        let (lsp, wallet) = (pair.lsp.rows_now(), pair.wallet.store.rows());
        let mut again = Pair::of(&lsp, &wallet).await;
        again.connect();
        again.settle().await;
        payments(&mut again, 2).await;
        assert!(again.wallet.usable() && again.wallet.has_event("PaymentClaimed"), "{number}");
        assert!(!again.lsp.has_event("ChannelClosed") && !again.wallet.has_event("ChannelClosed"), "{number}");
    }
}

#[tokio::test]
async fn after_a_block_the_next_commit_that_nothing_waits_for_brings_the_whole_row_to_it_once() {
    let mut pair = Pair::with_channel().await;
    payments(&mut pair, 2).await;
    let monitor = with_prefix(&pair.wallet.store.rows(), MONITOR_PREFIX)[0].clone();
    let height = |rows: &Rows| {
        let loaded = load(&keys(false), rows).unwrap();
        let id = loaded.monitors().list_monitors()[0];
        let height = loaded.monitors().get_monitor(id).unwrap().current_best_block().height;
        height
    };
    for _ in 0..5 {
        mine(&pair.wallet);
        let before = pair.wallet.history.len();
        payments(&mut pair, 1).await;
        let rows = &pair.wallet.history[before - 1..];
        let wholes = rows.windows(2).filter(|pair| pair[0].get(&monitor) != pair[1].get(&monitor)).count();
        assert_eq!(height(rows.last().unwrap()), pair.wallet.loaded.manager().current_best_block().height);
        assert!((1..=2).contains(&wholes), "{wholes}: once, and once more if LDK asks for it");
    }
}

#[tokio::test]
async fn without_a_quiet_commit_the_update_after_the_fiftieth_writes_the_whole_and_takes_the_deltas_away() {
    let pair = Pair::with_channel().await;
    let monitors = pair.wallet.loaded.monitors();
    let channel = monitors.list_monitors()[0];
    let name = monitors.get_monitor(channel).unwrap().persistence_key().to_string();
    let first = monitors.get_monitor(channel).unwrap().get_latest_update_id() + 1;
    let stored = MonitorRows::default();
    let stage = |change: Change, quiet: bool| {
        let mut batch = Batch::default();
        stored.stage(&mut batch, BTreeMap::from([(name.clone(), change)]), quiet, monitors).unwrap();
        batch
    };
    let update = |id: u64| Change::Updates(channel, vec![Delta { id, bytes: vec![7] }]);
    let whole = format!("{MONITOR_PREFIX}{name}");
    let delta = |id: u64| format!("{DELTA_PREFIX}{name}/{id:020}");

    assert!(stage(update(first), false).puts().contains_key(&whole), "what has no whole row yet gets one");
    for id in first..first + MOST_DELTAS {
        let batch = stage(update(id), false);
        assert_eq!(batch.puts().keys().collect::<Vec<_>>(), [&delta(id)]);
        assert!(batch.deletes().is_empty());
    }
    let batch = stage(update(first + MOST_DELTAS), false);
    assert_eq!(batch.puts().keys().collect::<Vec<_>>(), [&whole]);
    assert_eq!(batch.deletes().len() as u64, MOST_DELTAS);
    assert!((first..first + MOST_DELTAS).all(|id| batch.deletes().contains(&delta(id))));

    // Fewer do when nothing waits for the commit.
    for id in first..first + MANY_DELTAS {
        assert_eq!(stage(update(id), true).puts().keys().collect::<Vec<_>>(), [&delta(id)]);
    }
    let batch = stage(update(first + MANY_DELTAS), true);
    assert_eq!(batch.puts().keys().collect::<Vec<_>>(), [&whole]);
    assert_eq!(batch.deletes().len() as u64, MANY_DELTAS + 1, "its own goes, too");

    // An update that is not the next one says nothing: the whole does.
    stage(update(first), false);
    assert!(stage(update(first + 2), false).puts().contains_key(&whole));
    // An archived monitor leaves nothing.
    stage(update(first), false);
    let batch = stage(Change::Archived, false);
    assert!(batch.puts().is_empty());
    assert_eq!(batch.deletes().iter().collect::<Vec<_>>(), [&delta(first), &whole]);
}

/// A wallet that was paid twice, the row of its monitor and at least four deltas of it.
async fn two_payments() -> (Rows, String, Vec<String>) {
    let mut pair = Pair::with_channel().await;
    payments(&mut pair, 2).await;
    let rows = pair.wallet.store.rows();
    let monitor = with_prefix(&rows, MONITOR_PREFIX)[0].clone();
    let deltas = with_prefix(&rows, DELTA_PREFIX);
    assert!(deltas.len() >= 4, "{deltas:?}");
    (rows, monitor, deltas)
}

#[tokio::test]
async fn deltas_that_are_missing_twice_broken_or_of_something_else_are_state_corrupt_and_can_be_given_up() {
    let (good, monitor, deltas) = two_payments().await;
    load(&keys(false), &good).unwrap();
    let name = monitor.strip_prefix(MONITOR_PREFIX).unwrap();
    let id = |key: &str| key.rsplit_once('/').unwrap().1.parse::<u64>().unwrap();
    let key = |id: u64| format!("{DELTA_PREFIX}{name}/{id:020}");
    let (first, second, last) = (&deltas[0], &deltas[1], deltas.last().unwrap());
    let with = |change: &dyn Fn(&mut Rows)| {
        let mut rows = good.clone();
        change(&mut rows);
        rows
    };
    let cases: Vec<(&str, Rows)> = vec![
        ("the first is missing", with(&|rows| drop(rows.remove(first)))),
        ("one between is missing", with(&|rows| drop(rows.remove(second)))),
        ("the last is missing", with(&|rows| drop(rows.remove(last)))),
        ("all are missing", with(&|rows| rows.retain(|key, _| !key.starts_with(DELTA_PREFIX)))),
        ("the last is there twice", with(&|rows| drop(rows.insert(key(id(last) + 1), good[last].clone())))),
        ("one before the first", with(&|rows| drop(rows.insert(key(id(first) - 1), good[first].clone())))),
        ("one in another's place", with(&|rows| drop(rows.insert(first.clone(), good[second].clone())))),
        ("one is cut short", with(&|rows| rows.get_mut(second).unwrap().truncate(30))),
        ("one is empty", with(&|rows| rows.get_mut(second).unwrap().clear())),
        ("one has a byte more", with(&|rows| rows.get_mut(last).unwrap().push(0))),
        ("one is something else", with(&|rows| drop(rows.insert(second.clone(), b"not what LDK writes".to_vec())))),
        ("one has a number like no other", with(&|rows| drop(rows.insert(format!("{last}x"), good[last].clone())))),
        ("their monitor is missing", with(&|rows| drop(rows.remove(&monitor)))),
        ("one of an unknown monitor", with(&|rows| drop(rows.insert(key(1).replace('_', "x"), good[last].clone())))),
        ("one of no monitor", with(&|rows| drop(rows.insert(DELTA_PREFIX.to_owned(), good[last].clone())))),
        (
            "the monitor has another's name",
            with(&|rows| {
                let bytes = rows.remove(&monitor).unwrap();
                rows.insert(format!("{monitor}0"), bytes);
            }),
        ),
    ];
    let best = BestBlock::from_network(Network::Regtest);
    for (what, rows) in cases {
        let refused = load(&keys(false), &rows).err().unwrap_or_else(|| panic!("{what}: it loads"));
        assert_eq!(refused.code, Code::StateCorrupt, "{what}: {refused}");
        assert!(refused.message.contains("recover"), "{what}: {refused}");

        let engine = engine(&keys(false));
        engine.messages().recovery().allow();
        let loaded = engine.load(&rows, best).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(!loaded.set_aside().is_empty(), "{what}");
        // What is left loads without the word.
        let mut left = rows.clone();
        loaded.set_aside().iter().for_each(|key| assert!(left.remove(key).is_some(), "{what}: {key}"));
        let cut = loaded.cut(Batch::default());
        left.extend(cut.batch.puts().clone());
        load(&keys(false), &left).unwrap_or_else(|error| panic!("{what}: {error}"));
    }
}

#[tokio::test]
async fn a_monitor_whose_delta_is_broken_is_set_aside_with_all_of_its_rows() {
    let (mut rows, monitor, deltas) = two_payments().await;
    rows.get_mut(&deltas[1]).unwrap().truncate(30);
    let engine = engine(&keys(false));
    engine.messages().recovery().allow();
    let loaded = engine.load(&rows, BestBlock::from_network(Network::Regtest)).unwrap();
    let mut expected = vec![monitor];
    expected.extend(deltas);
    expected.push(MANAGER.to_owned());
    assert_eq!(loaded.set_aside(), expected);
    assert!(loaded.monitors().list_monitors().is_empty() && loaded.manager().list_channels().is_empty());
}

#[tokio::test]
async fn monitors_of_an_older_commit_beside_the_newest_manager_are_state_corrupt() {
    let mut pair = Pair::with_channel().await;
    payments(&mut pair, 3).await;
    let (newest, history) = (pair.wallet.store.rows(), &pair.wallet.history);
    let of_monitors = |rows: &Rows| {
        let is_monitor = |key: &str| key.starts_with(MONITOR_PREFIX) || key.starts_with(DELTA_PREFIX);
        rows.iter().filter(|(key, _)| is_monitor(key)).map(|(key, row)| (key.clone(), row.clone())).collect::<Rows>()
    };
    let mut older = 0;
    for old in history.iter().filter(|old| of_monitors(old) != of_monitors(&newest)) {
        let mut mixed = of_monitors(old);
        mixed.insert(MANAGER.to_owned(), newest[MANAGER].clone());
        let refused = load(&keys(false), &mixed).err().unwrap();
        assert_eq!(refused.code, Code::StateCorrupt, "{refused}");
        older += 1;
    }
    assert!(older >= 6, "{older}");
}

#[tokio::test]
async fn a_commitment_that_a_replayed_update_publishes_waits_for_the_peers_word_and_a_commit() {
    let mut pair = Pair::with_channel().await;
    payments(&mut pair, 1).await;
    let channel = pair.wallet.loaded.manager().list_channels()[0].channel_id;
    let lsp = pair.lsp.id();
    let manager = pair.wallet.loaded.manager();
    manager.force_close_broadcasting_latest_txn(&channel, &lsp, "the test asks for it".to_owned()).unwrap();
    // The process dies between the commit and the broadcast.
    let cut = pair.wallet.loaded.cut(Batch::default());
    pair.wallet.committer.commit(&cut.batch).await.unwrap();
    let rows = pair.wallet.store.rows();
    let deltas = with_prefix(&rows, rows::DELTA_PREFIX);
    assert!(!deltas.is_empty(), "the close is in a delta");
    assert!(!cut.batch.puts().keys().any(|key| key.starts_with(MONITOR_PREFIX)), "{:?}", cut.batch.puts().keys());

    let again = load(&keys(false), &rows).unwrap();
    assert!(again.broadcasts().is_in_doubt());
    let cut = again.cut(Batch::default());
    assert!(again.open_gate(cut).is_empty());
    again.broadcasts().trust_all();
    assert!(again.wants_commit());
    let cut = again.cut(Batch::default());
    assert_eq!(again.open_gate(cut).len(), 1);
}
