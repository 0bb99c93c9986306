//! Somebody who can do anything to a database of sealed rows: whatever they change, swap, delete or put back, whoever reads it finds
//! what was committed or refuses the wallet, and changes nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use mayfly_core::entropy;
use mayfly_core::error::{Code, Error, Result};
use mayfly_core::store::memory::{Lost, MemoryStore, MemoryWallet};
use mayfly_core::store::sealed::SealedStore;
use mayfly_core::store::{
    Batch, Claimant, Nonce, Outcome, Position, Rows, Seq, Server, Snapshot, Standing, Store, StoreFuture, StoreKey,
    WalletId,
};
use std::sync::{Arc, Mutex};

const WALLET: WalletId = WalletId([7; 32]);
const KEY: [u8; 32] = [1; 32];
/// The classes of [`lived`]'s hot rows, as a read asks for them.
const HOT: [&str; 4] = ["manager", "node", "monitor/", "outbox/"];

/// The database between this process and its rows: says who it is, and remembers what it was sent.
struct Database {
    rows: MemoryStore,
    server: Option<Server>,
    sent: Arc<Mutex<Vec<Batch>>>,
}

impl Store for Database {
    fn claim_and_load<'a>(&'a mut self, claimant: &'a Claimant) -> StoreFuture<'a, Result<Snapshot>> {
        Box::pin(async move { Ok(Snapshot { server: self.server, ..self.rows.claim_and_load(claimant).await? }) })
    }
    fn commit<'a>(&'a mut self, at: Position, nonce: Nonce, batch: &'a Batch) -> StoreFuture<'a, Outcome> {
        self.sent.lock().unwrap().push(batch.clone());
        self.rows.commit(at, nonce, batch)
    }
    fn check<'a>(&'a mut self, at: Position) -> StoreFuture<'a, Result<Standing>> {
        self.rows.check(at)
    }
    fn release<'a>(&'a mut self, at: Position) -> StoreFuture<'a, Result<()>> {
        self.rows.release(at)
    }
    fn read<'a>(&'a mut self, prefixes: &'a [&'a str]) -> StoreFuture<'a, Result<Rows>> {
        self.rows.read(prefixes)
    }
    fn read_last<'a>(
        &'a mut self,
        prefix: &'a str,
        before: Option<&'a str>,
        limit: usize,
    ) -> StoreFuture<'a, Result<Rows>> {
        self.rows.read_last(prefix, before, limit)
    }
}

fn sealed(rows: &MemoryWallet) -> SealedStore<MemoryStore> {
    SealedStore::new(rows.store(), WALLET, &StoreKey::new(KEY))
}

fn claimant() -> Claimant {
    Claimant::of_process(1)
}

fn batch(puts: &[(&str, &[u8])], deletes: &[&str]) -> Batch {
    let mut batch = Batch::default();
    puts.iter().for_each(|(key, value)| batch.put(*key, value.to_vec()));
    deletes.iter().for_each(|key| batch.delete(*key));
    batch
}

async fn commit(store: &mut dyn Store, at: Position, batch: &Batch) -> Position {
    let seq = Seq(at.seq.0 + 1);
    assert_eq!(store.commit(at, Nonce(entropy::random()), batch).await, Outcome::Committed(seq));
    Position { seq, ..at }
}

async fn claim(rows: &MemoryWallet) -> Result<Snapshot> {
    sealed(rows).claim_and_load(&claimant()).await
}

/// What a claim loads, or why it does not.
async fn load(rows: &MemoryWallet) -> Result<Rows> {
    Ok(claim(rows).await?.rows)
}

async fn read(rows: &MemoryWallet, prefix: &str) -> Result<Rows> {
    sealed(rows).read(&[prefix]).await
}

/// A wallet that lived for four commits: its database, what a claim loads, and the stored rows after each commit.
async fn lived() -> (MemoryWallet, Rows, Vec<Rows>) {
    let rows = MemoryWallet::default();
    let mut store = sealed(&rows);
    let mut at = store.claim_and_load(&claimant()).await.unwrap().position;
    let mut past = Vec::new();
    for change in [
        batch(&[("manager", b"m1"), ("node", b"n1"), ("monitor/a", &[1; 300]), ("ledger/aa", b"paid, 1")], &[]),
        batch(&[("monitor/b", b"b2"), ("outbox/1", b"e1"), ("outbox/2", b"e2"), ("node", b"n2")], &[]),
        batch(
            &[("manager", b"m3"), ("monitor/a", &[3; 300]), ("ledger/bb", b"paid"), ("outbox/3", b"")],
            &["outbox/1"],
        ),
        batch(&[("node", b"n4"), ("ledger/aa", b"paid, 4"), ("ledger-times/00000000000000ff/aa", b"")], &["outbox/2"]),
    ] {
        at = commit(&mut store, at, &change).await;
        past.push(rows.rows());
    }
    drop(store);
    let loads = load(&rows).await.unwrap();
    let expected: &[(&str, &[u8])] =
        &[("manager", b"m3"), ("monitor/a", &[3; 300]), ("monitor/b", b"b2"), ("node", b"n4"), ("outbox/3", b"")];
    assert_eq!(loads, *batch(expected, &[]).puts());
    (rows, loads, past)
}

fn is_hot(name: &str) -> bool {
    !name.starts_with("ledger/")
}

/// Nobody loads it, each time they try; it says what it found, tells no key, and changes nothing.
async fn refused(rows: &MemoryWallet, change: &str) -> Error {
    let before = rows.rows();
    let error = load(rows).await.expect_err(change);
    assert_eq!(error.code, Code::StateCorrupt, "{change}: {error}");
    assert!(!HOT.iter().any(|class| error.message.contains(class)), "{change}: {error}");
    assert_eq!(load(rows).await.unwrap_err(), error, "{change}: the lease was given back");
    assert!(rows.rows() == before, "{change}: a refusal changes nothing");
    error
}

/// Some read of a whole class, or of everything, notices.
async fn noticed_by_reads(rows: &MemoryWallet, change: &str) {
    assert_eq!(read(rows, "").await.expect_err(change).code, Code::StateCorrupt, "{change}");
    let mut noticed = false;
    for class in HOT {
        noticed |= read(rows, class).await.is_err_and(|error| error.code == Code::StateCorrupt);
    }
    assert!(noticed, "{change}: no read of a class notices");
}

#[tokio::test]
async fn whichever_byte_of_whichever_row_is_changed_it_is_noticed_when_it_is_read() {
    let (rows, loads, past) = lived().await;
    for (name, stored) in past.last().unwrap() {
        for at in 0..stored.len() {
            let change = format!("byte {at} of {name}");
            rows.tamper(|rows| rows.get_mut(name).unwrap()[at] ^= 1 << (at % 8));
            if is_hot(name) {
                let error = refused(&rows, &change).await;
                assert!(error.message.contains(name), "{change}: {error}");
            } else {
                assert_eq!(load(&rows).await.unwrap(), loads, "{change}: a claim does not look at it");
            }
            let error = read(&rows, "").await.expect_err(&change);
            assert!(error.code == Code::StateCorrupt && error.message.contains(name), "{change}: {error}");
            rows.tamper(|rows| rows.get_mut(name).unwrap()[at] ^= 1 << (at % 8));
        }
        for length in [0, 1, 8, stored.len() - 1] {
            rows.tamper(|rows| rows.get_mut(name).unwrap().truncate(length));
            assert_eq!(read(&rows, "").await.unwrap_err().code, Code::StateCorrupt, "{length} bytes of {name}");
            rows.tamper(|rows| *rows = past.last().unwrap().clone());
        }
    }
    assert_eq!(load(&rows).await.unwrap(), loads);
}

#[tokio::test]
async fn rows_that_change_places_are_noticed() {
    let (rows, loads, past) = lived().await;
    let whole = past.last().unwrap();
    let names: Vec<&String> = whole.keys().collect();
    for (index, one) in names.iter().enumerate() {
        for other in &names[index + 1..] {
            let change = format!("{one} and {other}");
            rows.tamper(|rows| {
                rows.insert((*one).clone(), whole[*other].clone());
                rows.insert((*other).clone(), whole[*one].clone());
            });
            match is_hot(one) || is_hot(other) {
                true => drop(refused(&rows, &change).await),
                false => assert_eq!(load(&rows).await.unwrap(), loads, "{change}"),
            }
            assert_eq!(read(&rows, "").await.unwrap_err().code, Code::StateCorrupt, "{change}");
            rows.tamper(|rows| *rows = whole.clone());
        }
    }
}

#[tokio::test]
async fn a_row_that_is_gone_is_missed() {
    let (rows, loads, past) = lived().await;
    let whole = past.last().unwrap();
    for name in whole.keys().filter(|name| is_hot(name)) {
        rows.tamper(|rows| drop(rows.remove(name)));
        let error = refused(&rows, name).await;
        let expected = if name == "manifest" { "`manifest` of commit 4 is gone" } else { "are there" };
        assert!(error.message.contains(expected), "{error}");
        noticed_by_reads(&rows, name).await;
        rows.tamper(|rows| *rows = whole.clone());
    }
    rows.tamper(Rows::clear);
    refused(&rows, "all of them").await;
    rows.tamper(|rows| *rows = whole.clone());
    assert_eq!(load(&rows).await.unwrap(), loads);
}

#[tokio::test]
async fn a_row_of_an_earlier_commit_in_place_of_the_last_is_noticed() {
    let (rows, loads, past) = lived().await;
    let whole = past.last().unwrap();
    let mut replayed = 0;
    for (commit, then) in past.iter().enumerate() {
        for (name, old) in then.iter().filter(|(name, old)| is_hot(name) && whole.get(*name) != Some(old)) {
            let change = format!("{name} of commit {}", commit + 1);
            rows.tamper(|rows| drop(rows.insert(name.clone(), old.clone())));
            refused(&rows, &change).await;
            noticed_by_reads(&rows, &change).await;
            rows.tamper(|rows| *rows = whole.clone());
            replayed += 1;
        }
    }
    // Three manifests, one manager, two nodes, one monitor and the outbox's two deleted events.
    assert!(replayed >= 9, "{replayed}");
    assert_eq!(load(&rows).await.unwrap(), loads);
}

/// 1. A holder freezes before its commit gets to the database. 2. Another takes the wallet, and makes the commit of that number.
/// 3. The first one's is refused, but whoever has the database has seen its rows.
#[tokio::test]
async fn rows_of_a_commit_that_was_refused_are_no_rows_of_the_one_that_was_taken() {
    let (rows, _, past) = lived().await;
    let change = |value: &[u8]| batch(&[("manager", value), ("monitor/a", value), ("outbox/9", value)], &[]);
    let (mut zombie, sent) = database(&rows, None);
    let at = zombie.claim_and_load(&claimant()).await.unwrap().position;
    rows.fence();
    let mut holder = sealed(&rows);
    let now = holder.claim_and_load(&claimant()).await.unwrap().position;
    commit(&mut holder, now, &change(b"holder")).await;
    drop(holder);
    assert_eq!(zombie.commit(at, Nonce(entropy::random()), &change(b"zombie")).await, Outcome::Fenced);
    let (whole, refused_rows) = (rows.rows(), sent.lock().unwrap()[0].puts().clone());
    assert_eq!((refused_rows.len(), past.len()), (4, 4));
    for (name, stored) in refused_rows {
        rows.tamper(|rows| drop(rows.insert(name.clone(), stored)));
        refused(&rows, &name).await;
        noticed_by_reads(&rows, &name).await;
        rows.tamper(|rows| *rows = whole.clone());
    }
    assert_eq!(load(&rows).await.unwrap()["manager"], b"holder");
}

#[tokio::test]
async fn all_rows_of_an_earlier_commit_beside_the_newest_lease_are_noticed() {
    let (rows, loads, past) = lived().await;
    for (seq, then) in (1..).zip(&past[..3]) {
        rows.tamper(|rows| *rows = then.clone());
        let error = refused(&rows, "an older copy").await;
        assert!(
            error.message.contains(&format!("the rows are of commit {seq}, and the wallet is at commit 4")),
            "{error}"
        );
    }
    rows.tamper(|rows| *rows = past[3].clone());
    assert_eq!(load(&rows).await.unwrap(), loads);
}

#[tokio::test]
async fn an_older_lease_beside_the_newest_rows_is_noticed() {
    let (_, _, past) = lived().await;
    let older = MemoryWallet::default();
    let mut store = older.store();
    let at = store.claim_and_load(&claimant()).await.unwrap().position;
    commit(&mut store, at, &Batch::default()).await;
    drop(store);
    older.tamper(|rows| *rows = past[3].clone());
    let error = refused(&older, "an older lease").await;
    assert!(error.message.contains("the rows are of commit 4, and the wallet is at commit 1"), "{error}");
    let empty = MemoryWallet::default();
    empty.tamper(|rows| *rows = past[3].clone());
    refused(&empty, "a lease without a commit").await;
    empty.tamper(|rows| drop(rows.remove("manifest")));
    refused(&empty, "rows that no commit wrote").await;
}

#[tokio::test]
async fn rows_of_another_wallet_and_rows_of_nobody_are_noticed() {
    let (rows, _, past) = lived().await;
    let whole = &past[3];
    for (key, wallet) in [([2; 32], WALLET), (KEY, WalletId([8; 32]))] {
        let other = MemoryWallet::default();
        let mut store = SealedStore::new(other.store(), wallet, &StoreKey::new(key));
        let mut at = store.claim_and_load(&claimant()).await.unwrap().position;
        for _ in 0..4 {
            at = commit(&mut store, at, &batch(&[("manager", b"theirs"), ("node", b"theirs")], &[])).await;
        }
        drop(store);
        for (name, stored) in other.rows() {
            rows.tamper(|rows| drop(rows.insert(name.clone(), stored)));
            refused(&rows, &format!("{name} of another wallet")).await;
            rows.tamper(|rows| *rows = whole.clone());
        }
        rows.tamper(|rows| *rows = other.rows());
        refused(&rows, "another wallet as a whole").await;
        rows.tamper(|rows| *rows = whole.clone());
    }
    for (name, stored) in [("stray", b"m1".to_vec()), ("hot/00/11", vec![1; 200]), ("", vec![])] {
        rows.tamper(|rows| drop(rows.insert(name.to_owned(), stored)));
        refused(&rows, &format!("a row {name:?} that nobody sealed")).await;
        rows.tamper(|rows| *rows = whole.clone());
    }
}

/// What the module's head says is not noticed: an older version of a ledger's row, and one that is gone.
#[tokio::test]
async fn a_row_of_the_ledger_is_held_to_nothing_but_its_seal() {
    let (rows, loads, past) = lived().await;
    let (name, old) = past[0].iter().find(|(name, _)| !is_hot(name)).unwrap();
    rows.tamper(|rows| drop(rows.insert(name.clone(), old.clone())));
    assert_eq!(read(&rows, "ledger/aa").await.unwrap()["ledger/aa"], b"paid, 1");
    assert_eq!(load(&rows).await.unwrap(), loads);
    rows.tamper(|rows| drop(rows.remove(name)));
    assert!(read(&rows, "ledger/aa").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_claim_that_is_refused_ends_with_the_rows_that_were_put_right() {
    let (rows, loads, past) = lived().await;
    rows.tamper(|rows| *rows = past[2].clone());
    let mut store = sealed(&rows);
    assert!(store.claim_and_load(&claimant()).await.is_err());
    rows.tamper(|rows| *rows = past[3].clone());
    let snapshot = store.claim_and_load(&claimant()).await.unwrap();
    assert_eq!(snapshot.rows, loads);
    commit(&mut store, snapshot.position, &batch(&[("node", b"n5")], &["outbox/3"])).await;
    drop(store);
    assert_eq!(load(&rows).await.unwrap()["node"], b"n5");
}

fn database(rows: &MemoryWallet, server: Option<Server>) -> (SealedStore<Database>, Arc<Mutex<Vec<Batch>>>) {
    let sent: Arc<Mutex<Vec<Batch>>> = Arc::default();
    let database = Database { rows: rows.store(), server, sent: Arc::clone(&sent) };
    (SealedStore::new(database, WALLET, &StoreKey::new(KEY)), sent)
}

#[tokio::test]
async fn a_commit_that_is_sent_again_is_sent_as_the_same_bytes() {
    for lost in [Lost::Request, Lost::Reply] {
        let rows = MemoryWallet::default();
        let (mut store, sent) = database(&rows, None);
        let at = store.claim_and_load(&claimant()).await.unwrap().position;
        let (nonce, change) = (Nonce([1; 16]), batch(&[("manager", b"m1"), ("ledger/1", b"l")], &["node"]));
        rows.lose_commit(lost);
        assert!(matches!(store.commit(at, nonce, &change).await, Outcome::Unknown(_)));
        for _ in 0..2 {
            assert_eq!(store.commit(at, nonce, &change).await, Outcome::Committed(Seq(1)));
        }
        // Somebody else's wish in between is refused, and changes nothing of that.
        assert_eq!(store.commit(at, Nonce([2; 16]), &change).await, Outcome::Fenced);
        assert_eq!(store.commit(at, nonce, &change).await, Outcome::Committed(Seq(1)));
        let sent = sent.lock().unwrap().clone();
        assert_eq!(sent.len(), 4);
        assert!(sent.iter().all(|batch| *batch == sent[0]), "{lost:?}");
        commit(&mut store, Position { seq: Seq(1), ..at }, &batch(&[("node", b"n2")], &[])).await;
        drop(store);
        assert_eq!(load(&rows).await.unwrap(), *batch(&[("manager", b"m1"), ("node", b"n2")], &[]).puts());
    }
}

#[tokio::test]
async fn a_wallet_that_wakes_on_another_server_says_so_until_that_server_took_a_commit() {
    let first = Server { system: 7_000_000_000_000_000_001, timeline: 1 };
    let promoted = Server { timeline: 2, ..first };
    let restored = Server { system: 5, ..first };
    let rows = MemoryWallet::default();
    for (server, moved, commits) in [
        (None, false, true),
        (Some(first), false, false),
        (Some(first), false, true),
        (Some(first), false, true),
        (Some(promoted), true, false),
        (Some(promoted), true, true),
        (Some(promoted), false, true),
        // One that does not tell is not known to be another, and does not stand in for the one that was known.
        (None, false, true),
        (Some(restored), true, true),
        (Some(first), true, true),
    ] {
        let (mut store, _) = database(&rows, server);
        let snapshot = store.claim_and_load(&claimant()).await.unwrap();
        assert_eq!((snapshot.moved, snapshot.server), (moved, server), "{server:?}");
        if commits {
            commit(&mut store, snapshot.position, &Batch::default()).await;
        }
    }
}

#[tokio::test]
async fn what_a_commit_costs_does_not_grow_with_the_rows_that_it_leaves_alone() {
    let mut sizes = Vec::new();
    for events in [1, 1_000] {
        let rows = MemoryWallet::default();
        let (mut store, sent) = database(&rows, None);
        let at = store.claim_and_load(&claimant()).await.unwrap().position;
        let mut change = batch(&[("manager", &[1; 1_000])], &[]);
        (0..events).for_each(|event| change.put(format!("outbox/{event:016}"), vec![2; 300]));
        let at = commit(&mut store, at, &change).await;
        commit(&mut store, at, &batch(&[("manager", &[1; 1_000])], &[])).await;
        sizes.push(sent.lock().unwrap()[1].bytes());
    }
    assert!(sizes[1] <= sizes[0] + 10, "{sizes:?}");
}

/// As many of one instant as make the store be asked again, and hidden names whose order is not the keys'.
#[tokio::test]
async fn the_newest_payments_come_in_their_order_however_many_are_of_one_instant() {
    let rows = MemoryWallet::default();
    let mut store = sealed(&rows);
    let at = store.claim_and_load(&claimant()).await.unwrap().position;
    let of = |instant: u64| (0..40).map(move |number| format!("ledger-times/{instant:016x}/{number:02}"));
    let mut change = batch(&[("ledger-times/0000000000000001/x", b""), ("ledger-times/0000000000000009/x", b"")], &[]);
    [5, 6].into_iter().flat_map(of).for_each(|key| change.put(key, Vec::new()));
    commit(&mut store, at, &change).await;
    let all: Vec<&String> = change.puts().keys().collect();
    for limit in [0, 1, 3, 10, 39, 40, 41, 81, 82, 83, usize::MAX] {
        for end in [all.len(), 81, 70, 50, 41, 11, 1, 0] {
            let before = all.get(end).map(|key| key.as_str());
            let found = store.read_last("ledger-times/", before, limit).await.unwrap();
            let expected = &all[end.saturating_sub(limit)..end];
            assert!(found.keys().eq(expected.iter().copied()), "{limit} before {before:?}: {found:?}");
        }
    }
}
