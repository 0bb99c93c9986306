//! What the network does to a store: replies, requests and whole connections that are lost, and a client that freezes in the middle of
//! a commit. A real server, and a proxy that loses what the test says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod postgres;

use mayfly_core::error::Code;
use mayfly_core::store::bounded::BoundedStore;
use mayfly_core::store::postgres::PostgresStore;
use mayfly_core::store::{Claimant, Outcome, Position, Seq, Standing, Store};
use postgres::proxy::{Loses, Proxy};
use postgres::{admin, batch, claimant, fresh_wallet, nonce, server};
use std::time::Duration;
use tokio_postgres::types::Type;

const COMMIT: &str = "UPDATE mayfly.lease SET seq";
const CLAIM: &str = "SET epoch = l.epoch + 1";

/// A store behind a proxy, and a store of the same wallet that goes straight to the server.
macro_rules! stores {
    ($proxy:ident, $store:ident, $direct:ident) => {
        stores!($proxy, $store, $direct, wallet);
    };
    ($proxy:ident, $store:ident, $direct:ident, $wallet:ident) => {
        let Some(url) = server() else { return };
        let $proxy = Proxy::before(&url).await;
        let $wallet = fresh_wallet();
        let (mut $store, mut $direct) = (PostgresStore::open(&$proxy.url, $wallet), PostgresStore::open(&url, $wallet));
        // Makes the tables, if this is the first test on the server.
        $direct.read(&[""]).await.unwrap();
    };
}

#[tokio::test]
async fn claim_and_load_are_one_round_trip_and_so_is_a_commit() {
    stores!(proxy, store, direct);
    let at = direct.claim_and_load(&claimant()).await.unwrap().position;
    let large = vec![7; 250_000];
    assert_eq!(direct.commit(at, nonce(), &batch(&[("manager", &large)])).await, Outcome::Committed(Seq(1)));
    direct.release(at).await.unwrap();
    // 1. Logging in: start, and SCRAM's two answers.
    store.read(&[""]).await.unwrap();
    assert_eq!(proxy.turns(), 4, "three to log in, one to read");
    // 2. Everything else is one turn each on the connection that is there.
    let snapshot = store.claim_and_load(&claimant()).await.unwrap();
    assert_eq!((proxy.turns(), snapshot.rows["manager"].len()), (1, large.len()));
    let at = snapshot.position;
    assert_eq!(store.commit(at, nonce(), &batch(&[("a", &[1; 60_000])])).await, Outcome::Committed(Seq(2)));
    assert_eq!(proxy.turns(), 1);
    assert_eq!(store.check(at).await.unwrap(), Standing::Held(Seq(2)));
    assert_eq!(proxy.turns(), 1);
    store.release(at).await.unwrap();
    assert_eq!((proxy.turns(), proxy.connections()), (1, 1));
}

#[tokio::test]
async fn a_commit_whose_reply_is_lost_is_committed_once() {
    stores!(proxy, store, direct);
    let at = store.claim_and_load(&claimant()).await.unwrap().position;
    proxy.lose(COMMIT, Loses::Reply, 1);
    assert_eq!(store.commit(at, nonce(), &batch(&[("a", b"1")])).await, Outcome::Committed(Seq(1)));
    let at = Position { seq: Seq(1), ..at };
    assert_eq!(store.check(at).await.unwrap(), Standing::Held(Seq(1)));
    assert_eq!(store.commit(at, nonce(), &batch(&[("a", b"2")])).await, Outcome::Committed(Seq(2)));
    assert_eq!(direct.read(&[""]).await.unwrap(), *batch(&[("a", b"2")]).puts());
}

#[tokio::test]
async fn a_commit_that_stays_without_a_reply_is_unknown_until_the_same_bytes_are_sent_again() {
    stores!(proxy, store, direct);
    for (loses, round) in [(Loses::Reply, 1u8), (Loses::Request, 2)] {
        let at = store.claim_and_load(&claimant()).await.unwrap().position;
        let (name, change) = (nonce(), batch(&[("a", &[round])]));
        // Each call asks twice: on the connection that is there, and on a new one.
        proxy.lose(COMMIT, loses, 4);
        for _ in 0..2 {
            let Outcome::Unknown(error) = store.commit(at, name, &change).await else { panic!("{loses:?}") };
            assert_eq!(error.code, Code::StoreUnavailable, "{error}");
        }
        assert_eq!(direct.read(&[""]).await.unwrap() == *change.puts(), loses == Loses::Reply);
        let seq = Seq(at.seq.0 + 1);
        assert_eq!(store.commit(at, name, &change).await, Outcome::Committed(seq), "{loses:?}");
        assert_eq!(store.check(at).await.unwrap(), Standing::Held(seq));
        assert_eq!(direct.read(&[""]).await.unwrap(), *change.puts());
        store.release(at).await.unwrap();
    }
}

#[tokio::test]
async fn a_commit_without_a_reply_is_fenced_once_another_has_the_wallet() {
    stores!(proxy, store, direct);
    let at = store.claim_and_load(&claimant()).await.unwrap().position;
    let (name, change) = (nonce(), batch(&[("a", b"1")]));
    proxy.lose(COMMIT, Loses::Reply, 2);
    assert!(matches!(store.commit(at, name, &change).await, Outcome::Unknown(_)));
    // The successor loads what was applied, and moves on.
    take(&mut direct).await;
    assert_eq!(store.commit(at, name, &change).await, Outcome::Fenced);
    assert_eq!(store.check(at).await.unwrap(), Standing::Fenced);
}

/// Takes a wallet over once its lease is over, and commits.
async fn take(store: &mut PostgresStore) -> Position {
    let soon = Claimant { ttl: Duration::from_secs(1), ..claimant() };
    loop {
        match store.claim_and_load(&soon).await {
            Ok(snapshot) => {
                let at = snapshot.position;
                let seq = Seq(at.seq.0 + 1);
                assert_eq!(store.commit(at, nonce(), &batch(&[("b", b"taken")])).await, Outcome::Committed(seq));
                return Position { seq, ..at };
            }
            Err(error) => {
                assert_eq!(error.code, Code::WalletLocked, "{error}");
                tokio::time::sleep(error.retry_after.unwrap()).await;
            }
        }
    }
}

#[tokio::test]
async fn a_claim_whose_reply_is_lost_is_not_locked_out_by_itself() {
    stores!(proxy, store, direct);
    let first = direct.claim_and_load(&claimant()).await.unwrap().position;
    direct.release(first).await.unwrap();
    store.read(&[""]).await.unwrap();
    // 1. Lost on the connection that is there: asked again on a new one.
    proxy.lose(CLAIM, Loses::Reply, 1);
    let at = store.claim_and_load(&claimant()).await.unwrap().position;
    assert!(at.epoch > first.epoch);
    store.release(at).await.unwrap();
    // 2. Lost on both: the next call takes what the server may have granted.
    proxy.lose(CLAIM, Loses::Reply, 2);
    assert_eq!(store.claim_and_load(&claimant()).await.unwrap_err().code, Code::StoreUnavailable);
    assert_eq!(direct.claim_and_load(&claimant()).await.unwrap_err().code, Code::WalletLocked);
    let at = store.claim_and_load(&claimant()).await.unwrap().position;
    assert_eq!(store.commit(at, nonce(), &batch(&[("a", b"1")])).await, Outcome::Committed(Seq(1)));
}

#[tokio::test]
async fn a_connection_that_was_lost_while_idle_is_replaced_without_an_error() {
    stores!(proxy, store, direct);
    let url = server().unwrap();
    let at = store.claim_and_load(&claimant()).await.unwrap().position;
    let admin = admin(&url).await;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1";
    let named = |name: &str| mayfly_core::config::PostgresUrl { application_name: name.to_owned(), ..url.clone() };
    let mut store_named = PostgresStore::open(&named("idle-and-lost"), fresh_wallet());
    let at_named = store_named.claim_and_load(&claimant()).await.unwrap().position;
    for round in 1..=3 {
        let ended = admin.query_typed(end, &[(&"idle-and-lost", Type::TEXT)]).await.unwrap();
        assert_eq!(ended.len(), 1);
        let at = Position { seq: Seq(round - 1), ..at_named };
        assert_eq!(store_named.commit(at, nonce(), &batch(&[("a", b"1")])).await, Outcome::Committed(Seq(round)));
    }
    // What is cut off in the middle of an answer, too.
    proxy.lose("SET renewed_at", Loses::Reply, 1);
    assert_eq!(store.check(at).await.unwrap(), Standing::Held(Seq(0)));
    proxy.lose("FROM unnest", Loses::Request, 1);
    assert!(store.read(&[""]).await.unwrap().is_empty());
    proxy.lose("SET holder = NULL", Loses::Reply, 1);
    store.release(at).await.unwrap();
    direct.claim_and_load(&claimant()).await.unwrap();
}

#[tokio::test]
async fn an_operation_that_is_cut_short_or_a_store_that_is_dropped_leaves_no_socket() {
    stores!(proxy, store, direct);
    let at = store.claim_and_load(&claimant()).await.unwrap().position;
    proxy.lose(COMMIT, Loses::Voice, 1);
    let mut bounded = BoundedStore::new(Box::new(store), Duration::from_millis(300));
    let (name, change) = (nonce(), batch(&[("a", b"1")]));
    assert!(matches!(bounded.commit(at, name, &change).await, Outcome::Unknown(_)));
    proxy.all_closed().await;
    // It was applied: the same bytes again say so, over a connection of their own.
    assert_eq!(bounded.commit(at, name, &change).await, Outcome::Committed(Seq(1)));
    drop(bounded);
    proxy.all_closed().await;
    assert_eq!(direct.read(&[""]).await.unwrap(), *change.puts());
}

#[tokio::test]
async fn a_commit_that_froze_before_its_last_bytes_does_not_keep_others_out() {
    stores!(proxy, store, direct);
    let at = store.claim_and_load(&claimant()).await.unwrap().position;
    proxy.lose(COMMIT, Loses::Sync, 1);
    let (name, change) = (nonce(), batch(&[("a", b"frozen")]));
    let mut frozen = Box::pin(store.commit(at, name, &change));
    // 1. It has the row's lock, and will not let go.
    let url = server().unwrap();
    let admin = admin(&url).await;
    tokio::select! {
        outcome = &mut frozen => panic!("{outcome:?}"),
        () = until_locked(&admin) => {}
    }
    // 2. While the lease lives, another is refused without a wait; then it frees the row and takes the wallet as it was before.
    let error = direct.claim_and_load(&claimant()).await.unwrap_err();
    assert_eq!(error.code, Code::WalletLocked, "{error}");
    let taken = take(&mut direct).await;
    assert_eq!(taken.seq, Seq(1));
    // 3. What thaws is fenced, by whichever connection it comes.
    assert_eq!(frozen.await, Outcome::Fenced);
    assert_eq!(direct.read(&["a"]).await.unwrap(), batch(&[]).puts().clone());
}

#[tokio::test]
async fn a_holder_frees_its_own_row_when_its_commit_was_cut_short_before_its_last_bytes() {
    stores!(proxy, store, direct);
    let at = store.claim_and_load(&claimant()).await.unwrap().position;
    proxy.lose(COMMIT, Loses::Sync, 1);
    let mut bounded = BoundedStore::new(Box::new(store), Duration::from_secs(1));
    let (name, change) = (nonce(), batch(&[("a", b"1")]));
    assert!(matches!(bounded.commit(at, name, &change).await, Outcome::Unknown(_)));
    let mut outcome = bounded.commit(at, name, &change).await;
    // The server's side of the proxy closes with ours, so the lock may be gone before it is looked for; either way it ends so.
    while matches!(outcome, Outcome::Unknown(_)) {
        outcome = bounded.commit(at, name, &change).await;
    }
    assert_eq!(outcome, Outcome::Committed(Seq(1)));
    assert_eq!(direct.read(&[""]).await.unwrap(), *change.puts());
}

/// Waits until a session has a chain without its end.
async fn until_locked(admin: &tokio_postgres::Client) {
    let waiting = "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND wait_event = 'ClientRead' AND query LIKE '%last_commit%'
        AND query_start < clock_timestamp() - interval '600 milliseconds'";
    while admin.query_typed(waiting, &[]).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_person_who_has_the_row_in_an_open_transaction_is_named_and_left_alone() {
    stores!(_proxy, store, direct, wallet);
    let at = store.claim_and_load(&claimant()).await.unwrap().position;
    store.release(at).await.unwrap();
    let mut person = admin(&server().unwrap()).await;
    let open = person.transaction().await.unwrap();
    let hers = "UPDATE mayfly.lease SET label = 'x' WHERE wallet = $1";
    open.execute(hers, &[&wallet.0.as_slice()]).await.unwrap();
    let pid: i32 = open.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    let error = direct.claim_and_load(&claimant()).await.unwrap_err();
    assert_eq!(error.code, Code::StoreUnavailable);
    assert!(error.message.contains(&format!("pid {pid}")), "{error}");
    open.rollback().await.unwrap();
    assert!(direct.claim_and_load(&claimant()).await.unwrap().position.epoch > at.epoch);
}
