//! What a store makes of its server: tables that are missing, foreign or of another version, roles that may little, settings that would
//! lose money, and what a holder leaves in the lease's row. Each test that needs it has a database of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod postgres;

use futures_util::future::join_all;
use mayfly_core::config::{PostgresHost, PostgresUrl, TakeOver};
use mayfly_core::entropy;
use mayfly_core::error::{Code, Error};
use mayfly_core::store::postgres::{PostgresStore, GRANTS, SCHEMA};
use mayfly_core::store::{Batch, Claimant, Outcome, Rows, Seq, Server, Standing, Store};
use postgres::{admin, batch, claimant, fresh_wallet, nonce, server};
use std::time::Duration;
use tokio_postgres::Client;

/// A database that nobody has used, and a superuser's connection to it.
async fn fresh_database(url: &PostgresUrl) -> (PostgresUrl, Client) {
    let database = format!("d{:016x}", u64::from_be_bytes(entropy::random()));
    admin(url).await.batch_execute(&format!("CREATE DATABASE {database}")).await.unwrap();
    let url = PostgresUrl { database, ..url.clone() };
    let admin = admin(&url).await;
    (url, admin)
}

/// A role that may log in.
async fn fresh_role(url: &PostgresUrl, admin: &Client) -> PostgresUrl {
    let role = format!("r{:016x}", u64::from_be_bytes(entropy::random()));
    admin.batch_execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'hunter2'")).await.unwrap();
    PostgresUrl { user: role, password: Some("hunter2".to_owned()), ..url.clone() }
}

async fn refusal(url: &PostgresUrl) -> Error {
    let error = PostgresStore::open(url, fresh_wallet()).claim_and_load(&claimant()).await.unwrap_err();
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    error
}

/// Everything that a holder does.
async fn works(url: &PostgresUrl) -> Option<Server> {
    let mut store = PostgresStore::open(url, fresh_wallet());
    let held = store.claim_and_load(&claimant()).await.unwrap();
    let mut change = batch(&[("a", b"1"), ("ledger/1", b"2")]);
    assert_eq!(store.commit(held.position, nonce(), &change).await, Outcome::Committed(Seq(1)));
    assert_eq!(store.check(held.position).await.unwrap(), Standing::Held(Seq(1)));
    assert_eq!(store.read(&["a"]).await.unwrap(), *batch(&[("a", b"1")]).puts());
    assert_eq!(store.read_last("ledger", None, 1).await.unwrap(), *batch(&[("ledger/1", b"2")]).puts());
    change = Batch::default();
    change.delete("a");
    let at = mayfly_core::store::Position { seq: Seq(1), ..held.position };
    assert_eq!(store.commit(at, nonce(), &change).await, Outcome::Committed(Seq(2)));
    store.release(at).await.unwrap();
    held.server
}

#[tokio::test]
async fn many_that_find_no_tables_at_once_make_them_once() {
    let Some(url) = server() else { return };
    let (url, admin) = fresh_database(&url).await;
    assert_eq!(PostgresStore::open(&url, fresh_wallet()).read(&[""]).await.unwrap(), Rows::new());
    join_all((0..32).map(|_| works(&url))).await;
    let leases: i64 = admin.query_one("SELECT count(*) FROM mayfly.lease", &[]).await.unwrap().get(0);
    assert_eq!(leases, 32);
}

#[tokio::test]
async fn a_role_that_may_not_create_is_told_of_migrate_and_works_with_exactly_what_that_prints() {
    let Some(url) = server() else { return };
    let (url, admin) = fresh_database(&url).await;
    let app = fresh_role(&url, &admin).await;
    let error = refusal(&app).await;
    assert_eq!((error.code, error.option.as_deref()), (Code::InvalidOption, Some("store")));
    assert!(error.message.contains("npx --no mayfly migrate"), "{error}");
    // The tables alone are not enough either.
    admin.batch_execute(SCHEMA).await.unwrap();
    assert!(refusal(&app).await.message.contains("npx --no mayfly migrate --print"));
    admin.batch_execute(&GRANTS.replace("app;", &format!("{};", app.user))).await.unwrap();
    works(&app).await;
    // Making them again is no error and changes nothing.
    admin.batch_execute(SCHEMA).await.unwrap();
    works(&app).await;
}

#[tokio::test]
async fn a_newer_version_of_the_tables_is_refused_and_nothing_is_claimed() {
    let Some(url) = server() else { return };
    let (url, admin) = fresh_database(&url).await;
    let wallet = fresh_wallet();
    let mut store = PostgresStore::open(&url, wallet);
    let at = store.claim_and_load(&claimant()).await.unwrap().position;
    store.release(at).await.unwrap();
    admin.batch_execute("UPDATE mayfly.meta SET version = 2").await.unwrap();
    let refused = [
        store.claim_and_load(&claimant()).await.unwrap_err(),
        PostgresStore::open(&url, fresh_wallet()).claim_and_load(&claimant()).await.unwrap_err(),
        store.read(&[""]).await.unwrap_err(),
        store.read_last("", None, 1).await.unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.code, Code::InvalidOption);
        assert!(error.message.contains("version 2") && error.message.contains("update this one"), "{error}");
    }
    let row =
        admin.query_one("SELECT epoch, holder FROM mayfly.lease WHERE wallet = $1", &[&wallet.0.as_slice()]).await;
    let row = row.unwrap();
    let found: (i64, Option<Vec<u8>>) = (row.get(0), row.get(1));
    assert_eq!(found, (i64::try_from(at.epoch.0).unwrap(), None));
}

#[tokio::test]
async fn a_role_whose_commits_may_be_forgotten_or_are_refused_is_not_claimed_with() {
    let Some(url) = server() else { return };
    let (url, admin) = fresh_database(&url).await;
    works(&url).await;
    for (setting, code, says) in [
        ("synchronous_commit = off", Code::InvalidOption, "synchronous_commit = on"),
        ("default_transaction_read_only = on", Code::StoreUnavailable, "takes no writes"),
    ] {
        let app = fresh_role(&url, &admin).await;
        admin.batch_execute(&GRANTS.replace("app;", &format!("{};", app.user))).await.unwrap();
        let wallet = fresh_wallet();
        let at = PostgresStore::open(&app, wallet).claim_and_load(&claimant()).await.unwrap().position;
        admin.batch_execute(&format!("ALTER ROLE {} SET {setting}", app.user)).await.unwrap();
        admin.execute("UPDATE mayfly.lease SET holder = NULL", &[]).await.unwrap();
        let error = PostgresStore::open(&app, wallet).claim_and_load(&claimant()).await.unwrap_err();
        assert_eq!(error.code, code, "{error}");
        assert!(error.message.contains(says), "{error}");
        let row = admin.query_one("SELECT epoch FROM mayfly.lease WHERE wallet = $1", &[&wallet.0.as_slice()]).await;
        assert_eq!(row.unwrap().get::<_, i64>(0), i64::try_from(at.epoch.0).unwrap(), "claimed all the same");
    }
}

#[tokio::test]
async fn a_wrong_login_says_where_and_shows_no_password() {
    let Some(url) = server() else { return };
    for wrong in [
        PostgresUrl { password: Some("hunter2".to_owned()), ..url.clone() },
        PostgresUrl { password: None, ..url.clone() },
        PostgresUrl { user: "nobody".to_owned(), password: Some("hunter2".to_owned()), ..url.clone() },
        PostgresUrl { database: "nowhere".to_owned(), ..url.clone() },
        PostgresUrl { port: 1, ..url.clone() },
        PostgresUrl { host: PostgresHost::Socket("/nowhere".into()), ..url.clone() },
    ] {
        let error = refusal(&wrong).await;
        assert_eq!(error.code, Code::StoreUnavailable);
        let PostgresHost::Tcp(host) = &wrong.host else {
            assert!(error.message.contains("/nowhere/.s.PGSQL."), "{error}");
            continue;
        };
        assert!(error.message.contains(&format!("{host} port {}", wrong.port)), "{error}");
    }
}

#[tokio::test]
async fn a_unix_socket_is_as_good() {
    let Some(url) = server() else { return };
    let directories: String = admin(&url).await.query_one("SHOW unix_socket_directories", &[]).await.unwrap().get(0);
    let Some(directory) = directories.split(',').map(str::trim).find(|d| d.starts_with('/')) else { return };
    works(&PostgresUrl { host: PostgresHost::Socket(directory.into()), ..url.clone() }).await;
}

#[tokio::test]
async fn the_server_tells_who_it_is_or_that_is_done_without() {
    let Some(url) = server() else { return };
    let (url, admin) = fresh_database(&url).await;
    let identity = "SELECT system_identifier, timeline_id FROM pg_control_system(), pg_control_checkpoint()";
    let row = admin.query_one(identity, &[]).await.unwrap();
    let (system, timeline): (i64, i32) = (row.get(0), row.get(1));
    let expected = Server { system: system as u64, timeline: u32::try_from(timeline).unwrap() };
    assert_eq!(works(&url).await, Some(expected));
    let app = fresh_role(&url, &admin).await;
    admin.batch_execute(&GRANTS.replace("app;", &format!("{};", app.user))).await.unwrap();
    assert_eq!(works(&app).await, Some(expected));
    admin.batch_execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC").await.unwrap();
    assert_eq!(works(&app).await, None);
}

#[tokio::test]
async fn a_row_that_is_newer_than_the_lease_is_no_state_to_start_from() {
    let Some(url) = server() else { return };
    let (url, admin) = fresh_database(&url).await;
    let wallet = fresh_wallet();
    let mut store = PostgresStore::open(&url, wallet);
    let at = store.claim_and_load(&claimant()).await.unwrap().position;
    assert_eq!(store.commit(at, nonce(), &batch(&[("a", b"1")])).await, Outcome::Committed(Seq(1)));
    store.release(at).await.unwrap();
    // The lease alone comes from a backup.
    admin.batch_execute("UPDATE mayfly.lease SET seq = 0").await.unwrap();
    let error = store.claim_and_load(&claimant()).await.unwrap_err();
    assert_eq!(error.code, Code::StateCorrupt);
    assert!(error.message.contains("restore all of it"), "{error}");
    let held = admin.query_one("SELECT count(*) FROM mayfly.lease WHERE holder IS NOT NULL", &[]).await.unwrap();
    assert_eq!(held.get::<_, i64>(0), 0, "who was refused holds nothing");
}

#[tokio::test]
async fn a_live_holder_is_named_to_the_claimant_who_is_also_told_how_long_it_may_last() {
    let Some(url) = server() else { return };
    let wallet = fresh_wallet();
    let admin = admin(&url).await;
    let who =
        Claimant { pid: 4_000_000_000, label: Some("checkout".to_owned()), ttl: Duration::from_secs(60), ..claimant() };
    let mut holder = PostgresStore::open(&url, wallet);
    let at = holder.claim_and_load(&who).await.unwrap().position;
    for (take_over, at_most) in [(TakeOver::Expired, 60), (TakeOver::Unrenewed, 3)] {
        let mut other = PostgresStore::open(&url, wallet);
        let error = other.claim_and_load(&Claimant { take_over, ..claimant() }).await.unwrap_err();
        assert_eq!(error.code, Code::WalletLocked);
        assert!(error.retry_after.unwrap() <= Duration::from_secs(at_most), "{error:?}");
        let named = error.holder.unwrap();
        assert_eq!((named.pid, named.host.as_deref(), named.epoch), (Some(4_000_000_000), Some("test"), at.epoch.0));
    }
    let row =
        admin.query_one("SELECT label FROM mayfly.lease WHERE wallet = $1", &[&wallet.0.as_slice()]).await.unwrap();
    assert_eq!(row.get::<_, Option<&str>>(0), Some("checkout"));
}

#[tokio::test]
async fn a_lease_is_taken_when_it_is_over_or_was_not_renewed_for_three_seconds_and_each_renewal_counts() {
    let Some(url) = server() else { return };
    let admin = admin(&url).await;
    let moved = "UPDATE mayfly.lease SET renewed_at = renewed_at + make_interval(hours => $2),
        expires_at = expires_at + make_interval(hours => $3) WHERE wallet = $1";
    // Time is what the row says: it is set back two hours, and after the renewal one hour on. So what was renewed is fresh for an
    // hour, and what was not is an hour old, whatever time the test takes.
    for (renewed_at, expires_at, take_over, taken) in [
        (1, 0, TakeOver::Unrenewed, true),
        (1, 0, TakeOver::Expired, false),
        (1, 1, TakeOver::Expired, true),
        (1, 1, TakeOver::Unrenewed, true),
    ] {
        for renewal in ["none", "commit", "check"] {
            let wallet = fresh_wallet();
            let mut holder = PostgresStore::open(&url, wallet);
            let long = Claimant { ttl: Duration::from_secs(600), ..claimant() };
            let at = holder.claim_and_load(&long).await.unwrap().position;
            admin.execute(moved, &[&wallet.0.as_slice(), &(-2 * renewed_at), &(-2 * expires_at)]).await.unwrap();
            match renewal {
                "commit" => {
                    let committed = holder.commit(at, nonce(), &Batch::default()).await;
                    assert_eq!(committed, Outcome::Committed(Seq(1)));
                }
                "check" => assert_eq!(holder.check(at).await.unwrap(), Standing::Held(Seq(0))),
                _ => {}
            }
            admin.execute(moved, &[&wallet.0.as_slice(), &renewed_at, &expires_at]).await.unwrap();
            let mut other = PostgresStore::open(&url, wallet);
            let claimed = other.claim_and_load(&Claimant { take_over, ..claimant() }).await;
            let case = (renewed_at, expires_at, take_over, renewal);
            if taken && renewal == "none" {
                assert_eq!(claimed.unwrap().position.epoch.0, at.epoch.0 + 1, "{case:?}");
                assert_eq!(holder.check(at).await.unwrap(), Standing::Fenced, "{case:?}");
            } else {
                assert_eq!(claimed.unwrap_err().code, Code::WalletLocked, "{case:?}");
            }
        }
    }
}

#[tokio::test]
async fn what_grows_with_each_payment_is_not_even_looked_at_by_a_claim_or_by_readings_of_other_rows() {
    const COLD: i32 = 20_000;
    let Some(url) = server() else { return };
    let (url, admin) = fresh_database(&url).await;
    let wallet = fresh_wallet();
    let mut store = PostgresStore::open(&url, wallet);
    let at = store.claim_and_load(&claimant()).await.unwrap().position;
    let hot = batch(&[("a/1", b"1"), ("manager", b"2"), ("z", b"3")]);
    assert_eq!(store.commit(at, nonce(), &hot).await, Outcome::Committed(Seq(1)));
    store.release(at).await.unwrap();
    let cold =
        "INSERT INTO mayfly.item SELECT $1, convert_to('ledger/' || n, 'UTF8'), 1, '' FROM generate_series(1, $2) n";
    admin.execute(cold, &[&wallet.0.as_slice(), &COLD]).await.unwrap();
    let read =
        "SELECT idx_tup_read + coalesce((SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'item'), 0)
        FROM pg_stat_user_indexes WHERE indexrelname = 'item_pkey'";
    // A session's counts are there once it is gone.
    let gone = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    drop(store);
    let mut counts = Vec::new();
    for _ in 0..2 {
        while !admin.query(gone, &[]).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        counts.push(admin.query_one(read, &[]).await.unwrap().get::<_, i64>(0));
        let mut store = PostgresStore::open(&url, wallet);
        let held = store.claim_and_load(&claimant()).await.unwrap();
        assert_eq!(held.rows, *hot.puts());
        assert_eq!(store.read(&["a/", "z"]).await.unwrap().len(), 2);
        assert_eq!(store.read_last("ledger", Some("ledger/9"), 5).await.unwrap().len(), 5);
        store.release(held.position).await.unwrap();
    }
    assert!(counts[1] - counts[0] < 100, "{counts:?} of {COLD} rows");
}
