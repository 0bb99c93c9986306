//! The PostgreSQL server that tests use: `MAYFLY_TEST_POSTGRES` is the URL of a superuser of a scratch server, which `npm test` sets.
//! Without it the tests that need one say so and pass.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    missing_docs,
    dead_code,
    reason = "support of tests, each of which uses a part"
)]

pub mod proxy;

use mayfly_core::config::{PostgresHost, PostgresUrl, StoreUrl};
use mayfly_core::entropy;
use mayfly_core::store::postgres::PostgresStore;
use mayfly_core::store::{self, Batch, Claimant, Nonce, Store, StoreKey, WalletId};

/// The scratch server, if there is one.
pub fn server() -> Option<PostgresUrl> {
    #[allow(clippy::disallowed_methods, reason = "the scripts that start a server for the tests say where it is")]
    let url = std::env::var("MAYFLY_TEST_POSTGRES").ok();
    if url.is_none() {
        println!("skipped: MAYFLY_TEST_POSTGRES is not set; `npm test` starts a server and sets it");
    }
    url.map(|url| parse(&url))
}

pub fn parse(url: &str) -> PostgresUrl {
    match StoreUrl::parse(url).expect("a store's URL") {
        StoreUrl::Postgres(url) => *url,
        other => panic!("{other:?} is no PostgreSQL"),
    }
}

/// A wallet that nobody has used.
pub fn fresh_wallet() -> WalletId {
    WalletId(entropy::random())
}

/// A place of a fresh wallet on that server, whose rows are as they are.
pub fn place_on(url: PostgresUrl) -> impl Fn() -> Box<dyn Store> + Sync {
    let wallet = fresh_wallet();
    move || Box::new(PostgresStore::open(&url, wallet))
}

/// The same as a node has it: sealed, and never older than what this process has seen.
pub fn sealed_place_on(url: PostgresUrl) -> impl Fn() -> Box<dyn Store> + Sync {
    let (url, wallet) = (StoreUrl::Postgres(Box::new(url)), fresh_wallet());
    move || store::open(&url, wallet, &StoreKey::new([1; 32]))
}

/// A connection beside the store's, to look and to meddle.
pub async fn admin(url: &PostgresUrl) -> tokio_postgres::Client {
    let PostgresHost::Tcp(host) = &url.host else { panic!("a server with an address") };
    let stream = tokio::net::TcpStream::connect((host.as_str(), url.port)).await.expect("the server");
    let mut login = tokio_postgres::Config::new();
    login.user(&url.user).dbname(&url.database).password(url.password.clone().unwrap_or_default());
    let (client, connection) = login.connect_raw(stream, tokio_postgres::NoTls).await.expect("a login");
    tokio::spawn(connection);
    client
}

pub fn batch(puts: &[(&str, &[u8])]) -> Batch {
    let mut batch = Batch::default();
    for (key, value) in puts {
        batch.put(*key, value.to_vec());
    }
    batch
}

pub fn nonce() -> Nonce {
    Nonce(entropy::random())
}

pub fn claimant() -> Claimant {
    Claimant { host: Some("test".to_owned()), ..Claimant::of_process(1) }
}
