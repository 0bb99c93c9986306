//! TLS to a real server: one test, because the server has one certificate at a time. The server is switched to TLS and back through
//! SQL: what writes its key file is its own `COPY … TO PROGRAM`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod postgres;

use mayfly_core::config::{ChannelBinding, PostgresHost, PostgresTls, PostgresUrl};
use mayfly_core::error::Error;
use mayfly_core::store::postgres::PostgresStore;
use mayfly_core::store::{Outcome, Seq, Store};
use postgres::proxy::Proxy;
use postgres::{admin, batch, claimant, fresh_wallet, nonce, server};
use std::time::Duration;

async fn reads(url: &PostgresUrl) -> Result<(), Error> {
    PostgresStore::open(url, fresh_wallet()).read(&[""]).await.map(drop)
}

async fn refused(url: &PostgresUrl, why: &str) {
    let error = reads(url).await.expect_err(why);
    assert!(error.message.contains(why), "{error}");
    assert!(error.message.contains(&url.to_string()) && error.message.contains("sslrootcert"), "{error}");
}

#[tokio::test]
async fn a_connection_is_secured_and_the_server_verified_and_the_login_bound_to_its_certificate() {
    let Some(url) = server() else { return };
    let admin = admin(&url).await;
    let scratch = tempfile::tempdir().unwrap();
    let root_cert = scratch.path().join("root.pem");
    let secured = PostgresUrl {
        tls: PostgresTls::Asked,
        root_cert: Some(root_cert.clone()),
        channel_binding: ChannelBinding::Require,
        ..url.clone()
    };

    // 1. A server without TLS gets no login.
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    std::fs::write(&root_cert, made.cert.pem()).unwrap();
    let on: bool = admin.query_one("SELECT current_setting('ssl')::bool", &[]).await.unwrap().get(0);
    if !on {
        refused(&secured, "server does not support TLS").await;
    }

    // 2. With it, the certificate is verified and the login bound to it.
    for (file, pem) in [("server.crt", made.cert.pem()), ("server.key", made.key_pair.serialize_pem())] {
        let lines = pem.lines().map(|line| format!("('{line}')")).collect::<Vec<_>>().join(",");
        let write = format!("COPY (SELECT * FROM (VALUES {lines}) AS l) TO PROGRAM 'umask 077; cat > {file}'");
        admin.batch_execute(&write).await.unwrap();
    }
    admin.batch_execute("ALTER SYSTEM SET ssl = on").await.unwrap();
    admin.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    // The server reads its settings when it gets to it: new sessions have them from then on.
    while reads(&secured).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut store = PostgresStore::open(&secured, fresh_wallet());
    let at = store.claim_and_load(&claimant()).await.unwrap().position;
    let large = vec![7; 250_000];
    assert_eq!(store.commit(at, nonce(), &batch(&[("a", &large)])).await, Outcome::Committed(Seq(1)));
    assert_eq!(store.read(&[""]).await.unwrap(), *batch(&[("a", &large)]).puts());

    // 3. In as few turns as there can be: the question for TLS, its two flights, and SCRAM's two answers; then one for the read.
    for (tls, turns) in [(PostgresTls::Asked, 6), (PostgresTls::Direct, 5)] {
        let proxy = Proxy::before(&secured).await;
        reads(&PostgresUrl { tls, ..proxy.url.clone() }).await.unwrap();
        assert_eq!(proxy.turns(), turns, "{tls:?}");
    }

    // 4. A stranger's certificate, and one for another name, get no login.
    refused(&PostgresUrl { root_cert: None, ..secured.clone() }, "UnknownIssuer").await;
    #[allow(clippy::disallowed_methods, reason = "one test in this process: nobody else reads the environment")]
    std::env::set_var("PGSSLROOTCERT", &root_cert);
    reads(&PostgresUrl { root_cert: None, ..secured.clone() })
        .await
        .expect("libpq's variable names the authorities, too");
    std::env::remove_var("PGSSLROOTCERT");
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&root_cert, other.cert.pem()).unwrap();
    refused(&secured, "invalid peer certificate").await;
    std::fs::write(&root_cert, made.cert.pem()).unwrap();
    let misnamed = PostgresUrl { host: PostgresHost::Tcp("other.localhost".to_owned()), ..secured.clone() };
    refused(&misnamed, "not valid for name").await;

    // 5. A file of authorities that holds none is named.
    std::fs::write(&root_cert, "nothing").unwrap();
    let error = reads(&secured).await.unwrap_err();
    assert_eq!(error.option.as_deref(), Some("store"));
    assert!(error.message.contains(root_cert.to_str().unwrap()), "{error}");

    admin.batch_execute("ALTER SYSTEM RESET ssl").await.unwrap();
    admin.batch_execute("SELECT pg_reload_conf()").await.unwrap();
}
