//! The races that decide whether money can be lost, on a real server. The two designs that look right and are wrong stand beside ours in
//! the same race, and lose it: so the race is a real one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests"
)]

mod postgres;

use futures_util::future::join_all;
use mayfly_core::config::{PostgresUrl, TakeOver};
use mayfly_core::entropy;
use mayfly_core::error::Code;
use mayfly_core::store::postgres::PostgresStore;
use mayfly_core::store::{Batch, Claimant, Outcome, Position, Rows, Seq, Snapshot, Store, WalletId};
use postgres::{admin, batch, claimant, fresh_wallet, nonce, server};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio_postgres::Client;

/// A wallet whose holder has committed once, and whose lease is over as soon as it is renewed.
async fn held_and_expired(url: &PostgresUrl) -> (WalletId, PostgresStore, Position) {
    let wallet = fresh_wallet();
    let mut holder = PostgresStore::open(url, wallet);
    let brief = Claimant { ttl: Duration::ZERO, ..claimant() };
    let at = holder.claim_and_load(&brief).await.unwrap().position;
    assert_eq!(holder.commit(at, nonce(), &batch(&[("state", b"1")])).await, Outcome::Committed(Seq(1)));
    (wallet, holder, Position { seq: Seq(1), ..at })
}

/// Waits until somebody waits for what this session has locked.
async fn until_awaited(admin: &Client, by: &Client) {
    let pid: i32 = by.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    let waiting = "SELECT 1 FROM pg_stat_activity WHERE $1 = ANY(pg_blocking_pids(pid))";
    while admin.query(waiting, &[&pid]).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What a holder's second commit does, in a transaction of another session that is still open.
const COMMIT_UNDER_WAY: [&str; 2] = [
    "UPDATE mayfly.lease SET seq = 2, renewed_at = clock_timestamp(), expires_at = clock_timestamp() WHERE wallet = $1",
    "UPDATE mayfly.item SET seq = 2, data = '2' WHERE wallet = $1",
];

#[tokio::test]
async fn a_claim_that_meets_a_commit_under_way_loads_what_was_committed() {
    let Some(url) = server() else { return };
    let admin = admin(&url).await;
    // A claim that waits for longer than a second gives up, so on a machine that stands still a round may say nothing.
    for _ in 0..50 {
        let (wallet, _holder, at) = held_and_expired(&url).await;
        let mut session = postgres::admin(&url).await;
        let commit = session.transaction().await.unwrap();
        for statement in COMMIT_UNDER_WAY {
            commit.execute(statement, &[&wallet.0.as_slice()]).await.unwrap();
        }
        let mut claimant_store = PostgresStore::open(&url, wallet);
        let who = claimant();
        // 1. The claim waits for the commit. 2. The commit is done. 3. The claim gets the lease, and the rows.
        let committed = async {
            until_awaited(&admin, commit.client()).await;
            commit.commit().await.unwrap();
        };
        match tokio::join!(claimant_store.claim_and_load(&who), committed).0 {
            Ok(snapshot) => {
                assert_eq!((snapshot.position.seq, snapshot.position.epoch > at.epoch), (Seq(2), true));
                assert_eq!(snapshot.rows, *batch(&[("state", b"2")]).puts(), "a stale load");
                return;
            }
            Err(error) => assert_eq!(error.code, Code::StoreUnavailable, "{error}"),
        }
    }
    panic!("no claim in 50 waited for less than a second");
}

#[tokio::test]
async fn claim_and_load_in_one_statement_would_load_what_was_there_before() {
    let Some(url) = server() else { return };
    let admin = admin(&url).await;
    let (wallet, _holder, _) = held_and_expired(&url).await;
    let (mut session, wrong) = (postgres::admin(&url).await, postgres::admin(&url).await);
    let commit = session.transaction().await.unwrap();
    let wallet = wallet.0.as_slice();
    for statement in COMMIT_UNDER_WAY {
        commit.execute(statement, &[&wallet]).await.unwrap();
    }
    let one_statement = "WITH a AS (UPDATE mayfly.lease SET epoch = epoch + 1 WHERE wallet = $1 RETURNING wallet, seq)
        SELECT a.seq, i.seq, i.data FROM a JOIN mayfly.item i USING (wallet)";
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&wallet];
    let committed = async {
        until_awaited(&admin, commit.client()).await;
        commit.commit().await.unwrap();
    };
    let row = tokio::join!(wrong.query_one(one_statement, &parameters), committed).0.unwrap();
    let loaded: (i64, i64, Vec<u8>) = (row.get(0), row.get(1), row.get(2));
    assert_eq!(loaded, (2, 1, b"1".to_vec()), "the lease of the second commit, with the rows of the first");
}

/// A take-over that is not committed yet.
const TAKE_OVER: &str = "UPDATE mayfly.lease SET epoch = epoch + 1, holder = 'successor' WHERE wallet = $1";

#[tokio::test]
async fn a_commit_that_meets_a_take_over_under_way_is_fenced_and_writes_nothing() {
    let Some(url) = server() else { return };
    let admin = admin(&url).await;
    let (wallet, mut zombie, at) = held_and_expired(&url).await;
    let mut session = postgres::admin(&url).await;
    let take_over = session.transaction().await.unwrap();
    take_over.execute(TAKE_OVER, &[&wallet.0.as_slice()]).await.unwrap();
    let change = batch(&[("state", b"zombie"), ("more", b"zombie")]);
    let taken = async {
        until_awaited(&admin, take_over.client()).await;
        take_over.commit().await.unwrap();
    };
    assert_eq!(tokio::join!(zombie.commit(at, nonce(), &change), taken).0, Outcome::Fenced);
    assert_eq!(zombie.read(&[""]).await.unwrap(), *batch(&[("state", b"1")]).puts());
}

#[tokio::test]
async fn a_commit_that_only_reads_the_epoch_would_write_over_what_the_successor_loaded() {
    let Some(url) = server() else { return };
    let admin = admin(&url).await;
    let (wallet, mut zombie, at) = held_and_expired(&url).await;
    let (session, wrong) = (postgres::admin(&url).await, postgres::admin(&url).await);
    let (id, epoch) = (wallet.0.as_slice(), i64::try_from(at.epoch.0).unwrap());
    let key = i64::from_be_bytes(entropy::random());
    // The guard passes, and then something takes a while: here, a lock that we hold.
    session.execute("SELECT pg_advisory_lock($1)", &[&key]).await.unwrap();
    let guard_reads = "WITH g AS MATERIALIZED (SELECT wallet FROM mayfly.lease WHERE wallet = $1 AND epoch = $2),
        h AS MATERIALIZED (SELECT g.wallet, pg_advisory_xact_lock($3) FROM g)
        UPDATE mayfly.item i SET data = 'zombie' FROM h WHERE i.wallet = h.wallet";
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 3] = [&id, &epoch, &key];
    let taken = async {
        until_awaited(&admin, &session).await;
        admin.execute(TAKE_OVER, &[&id]).await.unwrap();
        session.execute("SELECT pg_advisory_unlock($1)", &[&key]).await.unwrap();
    };
    assert_eq!(tokio::join!(wrong.execute(guard_reads, &parameters), taken).0.unwrap(), 1);
    assert_eq!(zombie.read(&[""]).await.unwrap(), *batch(&[("state", b"zombie")]).puts());
}

/// Claims until it is granted. The pauses are of random length, so that nobody always comes second.
async fn its_turn(store: &mut PostgresStore) -> Snapshot {
    loop {
        match store.claim_and_load(&claimant()).await {
            Ok(held) => return held,
            Err(error) => assert_eq!(error.code, Code::WalletLocked, "{error}"),
        }
        let [pause] = entropy::random();
        tokio::time::sleep(Duration::from_millis(5 + u64::from(pause % 32))).await;
    }
}

fn count_in(rows: &Rows) -> u64 {
    assert_eq!(rows.get("count"), rows.get("copy"), "a torn load");
    rows.get("count").map_or(0, |bytes| u64::from_be_bytes(bytes[..].try_into().unwrap()))
}

fn counted(count: u64) -> Batch {
    batch(&[("count", &count.to_be_bytes()), ("copy", &count.to_be_bytes())])
}

#[tokio::test]
async fn of_64_polite_claimants_one_holds_at_a_time_and_each_gets_its_turns() {
    const ROUNDS: u64 = 3;
    let Some(url) = server() else { return };
    let wallet = fresh_wallet();
    let (holding, epochs) = (Cell::new(0), RefCell::new(BTreeSet::new()));
    let all = (0..64).map(|_| async {
        let mut store = PostgresStore::open(&url, wallet);
        for _ in 0..ROUNDS {
            let held = its_turn(&mut store).await;
            holding.set(holding.get() + 1);
            assert_eq!(holding.get(), 1, "two holders");
            let count = count_in(&held.rows);
            assert_eq!(held.position.seq, Seq(count), "a stale load");
            let committed = store.commit(held.position, nonce(), &counted(count + 1)).await;
            assert_eq!(committed, Outcome::Committed(Seq(count + 1)));
            assert!(epochs.borrow_mut().insert(held.position.epoch), "an epoch was given twice");
            holding.set(0);
            store.release(held.position).await.unwrap();
        }
    });
    join_all(all).await;
    assert_eq!(epochs.borrow().len(), 64 * ROUNDS as usize);
    let last = PostgresStore::open(&url, wallet).claim_and_load(&claimant()).await.unwrap();
    assert_eq!((last.position.seq, count_in(&last.rows)), (Seq(64 * ROUNDS), 64 * ROUNDS));
}

#[tokio::test]
async fn among_hostile_claimants_no_update_is_lost_or_torn_and_every_stale_writer_is_refused() {
    const WANTED: u64 = 40;
    let Some(url) = server() else { return };
    let wallet = fresh_wallet();
    let (committed, fenced) = (Cell::new(0), Cell::new(0));
    // A lease that is over before most have done their work: they are taken over, and work on with what they loaded.
    let hostile = Claimant { ttl: Duration::from_millis(100), take_over: TakeOver::Expired, ..claimant() };
    let all = (0..24).map(|_| async {
        let mut store = PostgresStore::open(&url, wallet);
        while committed.get() < WANTED {
            let held = match store.claim_and_load(&hostile).await {
                Ok(held) => held,
                Err(error) => {
                    assert_eq!(error.code, Code::WalletLocked, "{error}");
                    tokio::time::sleep(error.retry_after.unwrap()).await;
                    continue;
                }
            };
            let count = count_in(&held.rows);
            assert_eq!(held.position.seq, Seq(count), "a stale load");
            // Frozen for a while, or not.
            let [pause] = entropy::random();
            tokio::time::sleep(Duration::from_millis(u64::from(pause))).await;
            match store.commit(held.position, nonce(), &counted(count + 1)).await {
                Outcome::Committed(seq) => {
                    assert_eq!(seq, Seq(count + 1));
                    committed.set(committed.get() + 1);
                }
                Outcome::Fenced => fenced.set(fenced.get() + 1),
                Outcome::Unknown(error) => panic!("{error}"),
            }
        }
    });
    join_all(all).await;
    println!("{} commits, {} stale writers refused", committed.get(), fenced.get());
    let mut last = PostgresStore::open(&url, wallet);
    let last = its_turn(&mut last).await;
    assert_eq!((last.position.seq, count_in(&last.rows)), (Seq(committed.get()), committed.get()));
    assert!(fenced.get() > 0, "nobody was hostile");
}
