use super::blocks::{other, tx};
use super::server::{ok, run, Reply, Server};
use crate::chain::publish::{attempt, families, publish, Next, REFUSED_PAUSE};
use crate::chain::Esplora;
use crate::net::dns::Resolver;
use crate::timeouts::DEFAULTS;
use bitcoin::{Network, OutPoint, Transaction};
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
            assert_eq!(publish(&esplora, &other(1), forget).await, !expected);
            assert_eq!(forgotten.load(Ordering::Relaxed), expected);
        }
    });
}

#[test]
fn a_refused_transaction_is_forgotten_after_a_pause() {
    run(async {
        let (_server, esplora) = at(Reply::Answer(400, b"min relay fee not met".to_vec())).await;
        let (forgotten, forget) = flag();
        assert!(!publish(&esplora, &other(1), forget).await);
        assert!(!forgotten.load(Ordering::Relaxed));
        // Held, the clock leaps to the end of the pause, the only thing left to wait for.
        tokio::time::pause();
        tokio::time::sleep(REFUSED_PAUSE * 2).await;
        assert!(forgotten.load(Ordering::Relaxed));
    });
}

#[test]
fn what_spends_each_other_goes_together_parents_first_and_all_else_by_itself() {
    let out = |of: &Transaction, vout| OutPoint { txid: of.compute_txid(), vout };
    let commitment = other(1);
    let (claim, other_claim) = (tx(&[out(&commitment, 0)], 1, 2), tx(&[out(&commitment, 1)], 1, 3));
    let sweep = tx(&[out(&claim, 0), out(&other_claim, 0)], 1, 4);
    let alone = other(5);
    let family = [&commitment, &claim, &other_claim, &sweep];
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]] {
        let mut all: Vec<Transaction> = order.iter().map(|index| family[*index].clone()).collect();
        all.insert(2, alone.clone());
        let mut found = families(all);
        found.sort_by_key(Vec::len);
        assert_eq!(found.len(), 2, "{order:?}");
        assert_eq!(found[0], std::slice::from_ref(&alone));
        assert_eq!(found[1].len(), 4);
        let place = |tx: &Transaction| found[1].iter().position(|other| other == tx).unwrap();
        assert!(place(&commitment) < place(&claim).min(place(&other_claim)), "{order:?}");
        assert_eq!(place(&sweep), 3, "{order:?}");
    }
    assert!(families(Vec::new()).is_empty());
}
