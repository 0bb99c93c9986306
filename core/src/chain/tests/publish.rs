use super::blocks::other;
use super::server::{ok, run, Reply, Server};
use crate::chain::publish::{attempt, publish, Next, REFUSED_PAUSE};
use crate::chain::Esplora;
use crate::net::dns::Resolver;
use crate::timeouts::DEFAULTS;
use bitcoin::Network;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

async fn at(reply: Reply) -> (Server, Esplora) {
    let server = Server::start(move |_| reply.clone()).await;
    let esplora = Esplora::new(&server.url(), Network::Regtest, &DEFAULTS, Resolver::new()).unwrap();
    (server, esplora)
}

#[test]
fn what_the_network_has_is_out_and_all_else_is_tried_again() {
    run(async {
        for (reply, next) in [
            (ok(other(1).compute_txid().to_string()), Next::Nothing),
            (Reply::Answer(400, b"txn-already-in-mempool".to_vec()), Next::Nothing),
            (Reply::Answer(400, b"min relay fee not met".to_vec()), Next::Later),
            (Reply::Answer(400, b"bad-txns-inputs-missingorspent".to_vec()), Next::Later),
            (Reply::Answer(500, b"down".to_vec()), Next::Again),
            (Reply::Answer(429, Vec::new()), Next::Again),
            (Reply::HangUp, Next::Again),
        ] {
            let (server, esplora) = at(reply).await;
            assert_eq!(attempt(&esplora, &other(1)).await, next);
            assert_eq!(server.paths(), ["/tx"], "a broadcast is never repeated by itself");
        }
    });
}

/// A flag, and what sets it.
fn flag() -> (Arc<AtomicBool>, impl FnOnce() + Send + 'static) {
    let flag = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&flag);
    (flag, move || set.store(true, Ordering::Relaxed))
}

#[test]
fn a_transaction_is_forgotten_only_if_it_is_not_out() {
    run(async {
        for (reply, expected) in [(Reply::HangUp, true), (ok(other(1).compute_txid().to_string()), false)] {
            let (_server, esplora) = at(reply).await;
            let (forgotten, forget) = flag();
            publish(&esplora, &other(1), forget).await;
            assert_eq!(forgotten.load(Ordering::Relaxed), expected);
        }
    });
}

#[test]
fn a_refused_transaction_is_forgotten_after_a_pause() {
    run(async {
        let (_server, esplora) = at(Reply::Answer(400, b"min relay fee not met".to_vec())).await;
        let (forgotten, forget) = flag();
        publish(&esplora, &other(1), forget).await;
        assert!(!forgotten.load(Ordering::Relaxed));
        // Held, the clock leaps to the end of the pause, the only thing left to wait for.
        tokio::time::pause();
        tokio::time::sleep(REFUSED_PAUSE * 2).await;
        assert!(forgotten.load(Ordering::Relaxed));
    });
}
