use super::blocks::{other, outspend, proof, tx, Chain};
use super::server::{ok, run, Asked, Reply, Server};
use crate::chain::esplora::{BlockStatus, Broadcast, Esplora, Spend};
use crate::error::{Code, Error};
use crate::net::dns::Resolver;
use crate::timeouts::DEFAULTS;
use bitcoin::consensus::encode::{serialize, serialize_hex};
use bitcoin::hashes::Hash;
use bitcoin::{Amount, BlockHash, CompactTarget, Network, OutPoint};
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};

fn client(server: &Server) -> Esplora {
    Esplora::new(&server.url(), Network::Regtest, &DEFAULTS, Resolver::new()).unwrap()
}

/// A client of a server that answers so.
async fn at(handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Esplora {
    client(&Server::start(handler).await)
}

/// A client of a server that answers everything so.
async fn always(body: impl Into<Vec<u8>>) -> Esplora {
    let body = body.into();
    at(move |_| ok(body.clone())).await
}

fn unavailable<T: std::fmt::Debug>(result: crate::error::Result<T>) -> Error {
    let error = result.unwrap_err();
    assert_eq!(error.code, Code::ChainUnavailable, "{error}");
    error
}

fn chain_with_tx() -> (Chain, bitcoin::Transaction) {
    let mut chain = Chain::of(2);
    let spent = tx(&[OutPoint { txid: other(1).compute_txid(), vout: 0 }], 1, 9);
    chain.mine(&[other(1), other(2), spent.clone(), other(3)]);
    chain.mine(&[]);
    (chain, spent)
}

#[test]
fn the_tip_comes_with_its_height_and_header_in_two_rounds() {
    run(async {
        let chain = Chain::of(5);
        let tip = chain.tip();
        let server = Server::start(move |asked| chain.answer(asked)).await;
        assert_eq!(client(&server).tip().await.unwrap(), tip);
        let mut paths = server.paths();
        assert_eq!(paths.remove(0), "/blocks/tip/hash");
        paths.sort();
        assert_eq!(paths, [format!("/block/{}/header", tip.hash), format!("/block/{}/status", tip.hash)]);
    });
}

/// A server with that first block, and another chain on top of it.
async fn beginning_with(first: Option<String>) -> Esplora {
    let (chain, _) = chain_with_tx();
    at(move |asked| match (asked.path.as_str(), &first) {
        ("/block-height/0", Some(first)) => ok(first.clone()),
        ("/block-height/0", None) => Reply::Answer(404, b"Block not found".to_vec()),
        _ => chain.answer(asked),
    })
    .await
}

#[test]
fn a_server_of_another_network_is_refused_by_its_first_block() {
    use bitcoin::constants::genesis_block;
    let genesis = |network| Some(genesis_block(network).block_hash().to_string());
    run(async {
        beginning_with(genesis(Network::Regtest)).await.tip_of_our_network().await.unwrap();
        for (first, part) in [
            (genesis(Network::Bitcoin), "is a server of mainnet, but the wallet's network is regtest"),
            (genesis(Network::Testnet), "is a server of testnet"),
            (Some("11".repeat(32)), "begins with block 1111"),
            (None, "knows no first block"),
        ] {
            let error = unavailable(beginning_with(first).await.tip_of_our_network().await);
            assert!(error.message.contains(part), "{error}");
        }
    });
}

#[test]
fn a_tip_that_was_reorganised_out_between_the_rounds_is_asked_again() {
    run(async {
        let mut before = Chain::of(5);
        let old = before.tip();
        let asked_tip = AtomicUsize::new(0);
        before.drop_last(1);
        before.mine(&[]);
        before.mine(&[]);
        let new = before.tip();
        let esplora = at(move |asked| {
            if asked.path == "/blocks/tip/hash" && asked_tip.fetch_add(1, Ordering::SeqCst) == 0 {
                return ok(old.hash.to_string());
            }
            before.answer(asked)
        })
        .await;
        assert_eq!(esplora.tip().await.unwrap(), new);
    });
}

#[test]
fn a_tip_outside_of_the_best_chain_is_refused() {
    run(async {
        let mut chain = Chain::of(5);
        let old = chain.tip();
        chain.drop_last(1);
        chain.mine(&[]);
        let esplora = at(move |asked| match asked.path.as_str() {
            "/blocks/tip/hash" => ok(old.hash.to_string()),
            _ => chain.answer(asked),
        })
        .await;
        unavailable(esplora.tip().await);
    });
}

#[test]
fn blocks_are_found_by_height_and_by_hash() {
    run(async {
        let mut chain = Chain::of(3);
        let stale = chain.tip().hash;
        chain.drop_last(1);
        chain.mine(&[]);
        let (at_two, header) = (chain.hash_at(2), chain.best[2].header);
        let esplora = at(move |asked| chain.answer(asked)).await;
        assert_eq!(esplora.block_at(2).await.unwrap(), Some(at_two));
        assert_eq!(esplora.block_at(4).await.unwrap(), None);
        assert_eq!(esplora.block_status(at_two).await.unwrap(), BlockStatus::Best(2));
        assert_eq!(esplora.block_status(stale).await.unwrap(), BlockStatus::Stale);
        assert_eq!(esplora.header(at_two).await.unwrap(), header);
    });
}

#[test]
fn the_header_of_another_block_is_refused() {
    run(async {
        let chain = Chain::of(3);
        let esplora = always(serialize_hex(&chain.best[1].header)).await;
        let error = unavailable(esplora.header(chain.hash_at(2)).await);
        assert!(error.message.contains(&chain.hash_at(1).to_string()), "{error}");
    });
}

#[test]
fn a_header_without_its_work_is_refused() {
    run(async {
        let mut header = Chain::of(1).best[1].header;
        while header.validate_pow(header.target()).is_ok() {
            header.nonce += 1;
        }
        let error = unavailable(always(serialize_hex(&header)).await.header(header.block_hash()).await);
        assert!(error.message.contains("does not carry its work"), "{error}");
    });
}

#[test]
fn a_header_easier_than_the_network_allows_is_refused_whatever_its_bits_are() {
    run(async {
        let regtest = Chain::of(1).best[1].header;
        let server = Server::start(move |_| ok(serialize_hex(&regtest))).await;
        let mainnet = Esplora::new(&server.url(), Network::Bitcoin, &DEFAULTS, Resolver::new()).unwrap();
        let error = unavailable(mainnet.header(regtest.block_hash()).await);
        assert!(error.message.contains("another network"), "{error}");

        for bits in [0, 1, 0x0080_0000, 0x2100_ffff, 0x217f_ffff, 0xff7f_ffff, 0xffff_ffff, 0x04ff_ffff] {
            let header = bitcoin::block::Header { bits: CompactTarget::from_consensus(bits), ..regtest };
            unavailable(always(serialize_hex(&header)).await.header(header.block_hash()).await);
        }
    });
}

#[test]
fn a_transaction_is_proven_to_be_in_its_block() {
    run(async {
        let (chain, tx) = chain_with_tx();
        let header = chain.best[3].header;
        let esplora = at(move |asked| chain.answer(asked)).await;
        let found = esplora.inclusion(tx.compute_txid()).await.unwrap().unwrap();
        assert_eq!((found.header, found.position), (header, 3));
        assert_eq!(esplora.inclusion(other(99).compute_txid()).await.unwrap(), None);
        assert_eq!(esplora.transaction(tx.compute_txid()).await.unwrap(), Some(tx));
        assert_eq!(esplora.transaction(other(99).compute_txid()).await.unwrap(), None);
    });
}

#[test]
fn a_proof_of_something_else_is_refused() {
    run(async {
        let (chain, tx) = chain_with_tx();
        let good = chain.best[3].clone();
        // Another transaction's; of a block whose root it does not lead to; without work; cut off; with bytes too many.
        let mut forged = good.clone();
        forged.header.merkle_root = chain.best[1].header.merkle_root;
        while forged.header.validate_pow(forged.header.target()).is_err() {
            forged.header.nonce += 1;
        }
        let mut idle = good.clone();
        while idle.header.validate_pow(idle.header.target()).is_ok() {
            idle.header.nonce += 1;
        }
        let hex = proof(&good, &tx);
        let bad = [
            proof(&good, &other(2)),
            proof(&forged, &tx),
            proof(&idle, &tx),
            hex[..hex.len() - 2].to_owned(),
            hex[..hex.len() - 1].to_owned(),
            format!("{hex}00"),
            String::new(),
        ];
        for bad in bad {
            unavailable(always(bad).await.inclusion(tx.compute_txid()).await);
        }
    });
}

#[test]
fn a_proof_with_any_byte_changed_is_refused_or_proves_the_same() {
    run(async {
        let (chain, tx) = chain_with_tx();
        let good = proof(&chain.best[3], &tx).into_bytes();
        for place in 0..good.len() {
            let mut bad = good.clone();
            bad[place] = if bad[place] == b'0' { b'f' } else { b'0' };
            if let Some(found) = always(bad).await.inclusion(tx.compute_txid()).await.ok().flatten() {
                assert_eq!(found.header.merkle_root, chain.best[3].header.merkle_root, "byte {place}");
                assert_eq!(found.position, 3, "byte {place}");
            }
        }
    });
}

#[test]
fn another_transaction_than_the_one_asked_is_refused() {
    run(async {
        let wanted = other(1).compute_txid();
        let cut = {
            let mut raw = serialize(&other(1));
            raw.pop();
            raw
        };
        let long = {
            let mut raw = serialize(&other(1));
            raw.push(0);
            raw
        };
        for bad in [serialize(&other(2)), cut, long, Vec::new(), b"<!DOCTYPE html>".to_vec()] {
            unavailable(always(bad).await.transaction(wanted).await);
        }
    });
}

#[test]
fn a_transaction_worth_more_than_all_bitcoin_is_refused() {
    run(async {
        for values in [[Amount::MAX_MONEY, Amount::ONE_SAT], [Amount::MAX, Amount::MAX]] {
            let mut rich = other(1);
            rich.output[0].value = values[0];
            rich.output[1].value = values[1];
            let error = unavailable(always(serialize(&rich)).await.transaction(rich.compute_txid()).await);
            assert!(error.message.contains("21 million"), "{error}");
        }
    });
}

#[test]
fn spends_are_told_apart_by_whether_they_are_confirmed() {
    run(async {
        let (mut chain, tx) = chain_with_tx();
        let spent = tx.input[0].previous_output;
        chain.mempool.push(super::blocks::tx(&[OutPoint { txid: tx.compute_txid(), vout: 0 }], 1, 10));
        let waiting = chain.mempool[0].compute_txid();
        let esplora = at(move |asked| chain.answer(asked)).await;
        let txid = tx.compute_txid();
        assert_eq!(esplora.spend(spent).await.unwrap(), Some(Spend { txid, confirmed: true }));
        let found = esplora.spend(OutPoint { txid, vout: 0 }).await.unwrap();
        assert_eq!(found, Some(Spend { txid: waiting, confirmed: false }));
        assert_eq!(esplora.spend(OutPoint { txid: waiting, vout: 0 }).await.unwrap(), None);
    });
}

#[test]
fn an_output_that_the_server_does_not_know_is_unspent() {
    run(async {
        let esplora = at(|_| Reply::Answer(404, b"Transaction not found".to_vec())).await;
        assert_eq!(esplora.spend(OutPoint { txid: other(1).compute_txid(), vout: 0 }).await.unwrap(), None);
    });
}

#[test]
fn a_spend_by_nothing_is_refused() {
    run(async {
        let outpoint = OutPoint { txid: other(1).compute_txid(), vout: 0 };
        for bad in [r#"{"spent":true}"#, r#"{"spent":true,"txid":"xyz"}"#, r#"{"spent":"yes"}"#, "{}"] {
            unavailable(always(bad).await.spend(outpoint).await);
        }
        let unconfirmed = outspend(other(2).compute_txid(), false);
        assert!(!always(unconfirmed).await.spend(outpoint).await.unwrap().unwrap().confirmed);
    });
}

#[test]
fn fee_estimates_are_read_as_the_server_says_them() {
    run(async {
        let fees = always(r#"{"1":87.882,"144":1.0,"1008":0.5}"#).await.fee_estimates().await.unwrap();
        assert_eq!(fees.into_iter().collect::<Vec<_>>(), [(1, 87.882), (144, 1.0), (1_008, 0.5)]);
        assert!(always("{}").await.fee_estimates().await.unwrap().is_empty());
        for bad in ["[]", r#"{"one":1.0}"#, r#"{"1":"1.0"}"#, r#"{"1":1e999}"#, r#"{"70000":1.0}"#] {
            unavailable(always(bad).await.fee_estimates().await);
        }
    });
}

/// Runs every question against one server.
async fn every_question<F: Future<Output = Esplora>>(esplora: impl Fn() -> F, judge: impl Fn(&str, Error)) {
    let (hash, txid) = (BlockHash::all_zeros(), other(1).compute_txid());
    let outpoint = OutPoint { txid, vout: 0 };
    judge("tip", unavailable(esplora().await.tip().await));
    judge("tip_hash", unavailable(esplora().await.tip_hash().await));
    judge("header", unavailable(esplora().await.header(hash).await));
    judge("block_status", unavailable(esplora().await.block_status(hash).await));
    judge("block_at", unavailable(esplora().await.block_at(1).await));
    judge("inclusion", unavailable(esplora().await.inclusion(txid).await));
    judge("transaction", unavailable(esplora().await.transaction(txid).await));
    judge("spend", unavailable(esplora().await.spend(outpoint).await));
    judge("fee_estimates", unavailable(esplora().await.fee_estimates().await));
    judge("broadcast", unavailable(esplora().await.broadcast(&other(1)).await));
}

#[test]
fn nonsense_is_an_error_of_the_service_for_every_question() {
    run(async {
        let nonsense: [&'static [u8]; 9] = [
            b"<!DOCTYPE html><html><body>Welcome</body></html>",
            b"",
            b"null",
            b"{\"in_best_chain\":true,\"hei",
            b"{\"in_best_chain\":true}",
            b"{\"in_best_chain\":true,\"height\":4294967295}",
            b"\xff\xfe\x00",
            b"00",
            b"zz",
        ];
        for body in nonsense {
            every_question(|| always(body), |_, error| assert!(error.message.contains("/"), "{error}")).await;
        }
    });
}

#[test]
fn a_service_that_is_down_is_an_error_of_the_service_for_every_question() {
    run(async {
        for status in [301, 429, 500, 503] {
            every_question(
                || at(move |_| Reply::Answer(status, b"busy".to_vec())),
                |_, error| assert!(error.message.contains(&status.to_string()), "{error}"),
            )
            .await;
        }
        every_question(|| at(|_| Reply::Endless), |_, error| assert!(error.message.contains("more than"), "{error}"))
            .await;
        every_question(|| at(|_| Reply::HangUp), |_, _| ()).await;
        every_question(|| at(|_| Reply::Answer(404, b"<html>nginx</html>".to_vec())), |_, _| ()).await;
    });
}

async fn broadcast(status: u16, body: &str) -> crate::error::Result<Broadcast> {
    let body = body.replace("TXID", &other(1).compute_txid().to_string()).into_bytes();
    at(move |_| Reply::Answer(status, body.clone())).await.broadcast(&other(1)).await
}

#[test]
fn a_transaction_is_sent_as_hex_and_answered_by_its_id() {
    run(async {
        let server = Server::start(|_| ok(other(1).compute_txid().to_string())).await;
        assert_eq!(client(&server).broadcast(&other(1)).await.unwrap(), Broadcast::Accepted);
        let asked = server.asked.lock().unwrap()[0].clone();
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/tx"));
        assert_eq!(asked.body, serialize_hex(&other(1)));
        unavailable(broadcast(200, &other(2).compute_txid().to_string()).await);
    });
}

#[test]
fn a_transaction_that_the_network_has_counts_as_sent() {
    run(async {
        let known = [
            r#"sendrawtransaction RPC error: {"code":-27,"message":"Transaction already in block chain"}"#,
            r#"sendrawtransaction RPC error: {"code":-27,"message":"Transaction outputs already in utxo set"}"#,
            "txn-already-in-mempool",
            "txn-already-known",
            "txn-same-nonwitness-data-in-mempool",
            "Already Known",
        ];
        for words in known {
            assert_eq!(broadcast(400, words).await.unwrap(), Broadcast::Accepted, "{words}");
        }
    });
}

#[test]
fn a_refusal_is_told_apart_from_a_service_that_is_down() {
    run(async {
        let words = r#"sendrawtransaction RPC error: {"code":-25,"message":"bad-txns-inputs-missingorspent"}"#;
        let Broadcast::Rejected(said) = broadcast(400, words).await.unwrap() else { panic!("accepted") };
        assert!(said.contains("bad-txns-inputs-missingorspent"), "{said}");
        for status in [404, 429, 500] {
            unavailable(broadcast(status, "min relay fee not met").await);
        }
    });
}
