use super::blocks::other;
use super::server::{ok, run, Reply, Server};
use crate::chain::publish::{attempt, publish, Next};
use crate::chain::Esplora;
use crate::net::dns::Resolver;
use crate::timeouts::DEFAULTS;
use bitcoin::Network;
use std::cell::Cell;

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

#[test]
fn a_transaction_is_forgotten_only_if_it_is_not_out() {
    run(async {
        for (reply, expected) in [(Reply::HangUp, true), (ok(other(1).compute_txid().to_string()), false)] {
            let (_server, esplora) = at(reply).await;
            let forgotten = Cell::new(false);
            publish(&esplora, &other(1), || forgotten.set(true)).await;
            assert_eq!(forgotten.get(), expected);
        }
    });
}

#[test]
fn a_refused_transaction_is_forgotten_after_a_pause() {
    run(async {
        let (server, esplora) = at(Reply::Answer(400, b"min relay fee not met".to_vec())).await;
        let forgotten = Cell::new(false);
        let transaction = other(1);
        let mut publishing = std::pin::pin!(publish(&esplora, &transaction, || forgotten.set(true)));
        // The refusal is read while the real clock runs; held, it leaps to the end of the pause, the only thing left to wait for.
        let answered = async {
            while server.paths().is_empty() {
                tokio::task::yield_now().await;
            }
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        };
        tokio::select! {
            () = &mut publishing => {}
            () = answered => assert!(!forgotten.get()),
        }
        tokio::time::pause();
        publishing.await;
        assert!(forgotten.get());
    });
}
