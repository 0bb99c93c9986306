//! What Esplora answers: each endpoint's reader, with texts, hex, JSON and binary.

use super::{refused, Target};
use crate::chain::esplora::{BlockStatus, Broadcast, Esplora};
use crate::chain::fees::{Fees, FLOOR_SAT_PER_KW};
use crate::chain::http::Answer;
use crate::chain::tests::blocks::{other, outspend, proof, tx, Chain};
use crate::error::{Code, Result};
use crate::net::dns::Resolver;
use crate::timeouts::DEFAULTS;
use bitcoin::block::Header;
use bitcoin::consensus::encode::{deserialize, serialize, serialize_hex};
use bitcoin::hex::{DisplayHex, FromHex};
use bitcoin::{Amount, MerkleBlock, Network, OutPoint, Transaction, Witness};
use hyper::body::Bytes;
use hyper::StatusCode;
use lightning::chain::chaininterface::{ConfirmationTarget, FeeEstimator};
use std::rc::Rc;
use std::sync::OnceLock;

const PATH: &str = "/endpoint";

pub(super) fn targets() -> Vec<Target> {
    let client = Rc::new(Esplora::new("http://127.0.0.1:1", Network::Regtest, &DEFAULTS, Resolver::new()).unwrap());
    let (chain, spent) = chain();
    let block = chain.best.last().unwrap().clone();
    let (header, merkle) = (serialize(&block.header), proof(&block, spent));
    let target = |name, per_million, seeds: Vec<Vec<u8>>, check: fn(&Esplora, &[u8]) -> bool| {
        let client = Rc::clone(&client);
        Target::new(name, per_million, &seeds, move |input| check(&client, input))
    };
    let hash = block.block_hash().to_string();
    vec![
        target(
            "esplora-hash",
            20_000,
            vec![hash.into(), b"not found".to_vec(), b"Block not found\n".to_vec()],
            hash_at,
        ),
        target("esplora-status", 40_000, STATUSES.map(Vec::from).to_vec(), status),
        target(
            "esplora-outspend",
            40_000,
            vec![
                outspend(spent.compute_txid(), true).into(),
                outspend(spent.compute_txid(), false).into(),
                OUTSPEND.into(),
                br#"{"spent":false}"#.to_vec(),
            ],
            spend,
        ),
        target("esplora-utxo", 10_000, UTXOS.map(Vec::from).to_vec(), unspent),
        target("esplora-fees", 40_000, ESTIMATES.map(Vec::from).to_vec(), estimates),
        target(
            "esplora-header",
            20_000,
            vec![serialize_hex(&block.header).into(), b"Block not found".to_vec()],
            header_hex,
        ),
        target("esplora-header-bytes", 30_000, vec![header], header_bytes),
        target("esplora-proof", 10_000, vec![merkle.clone().into(), b"not found".to_vec()], proof_hex),
        target("esplora-proof-bytes", 40_000, vec![Vec::from_hex(&merkle).unwrap()], proof_bytes),
        target("esplora-transaction", 50_000, transactions(spent), transaction),
        target(
            "esplora-broadcast",
            10_000,
            vec![
                spent.compute_txid().to_string().into(),
                REFUSAL.into(),
                b"Transaction already in block chain".to_vec(),
            ],
            broadcast,
        ),
    ]
}

const STATUSES: [&[u8]; 4] = [
    br#"{"in_best_chain":true,"height":102,"next_best":null}"#,
    br#"{"in_best_chain":true,"height":0,"next_best":"0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"}"#,
    br#"{"in_best_chain":false}"#,
    br#"{"in_best_chain":false,"height":null,"next_best":null}"#,
];

const OUTSPEND: &str = r#"{"spent":true,"txid":"f4184fc596403b9d638783cf57adfe4c75c605f6356fbc91338530e9831e9e16","vin":0,"status":{"confirmed":true,"block_height":170,"block_hash":"00000000d1145790a8694403d4063f323d499e655c83426834d4ce2f8dd4a2ee","block_time":1231731025}}"#;

const ESTIMATES: [&[u8]; 3] = [
    br#"{"1":87.882,"2":87.882,"3":87.882,"4":86.5,"6":68.285,"12":1.0,"144":1.0,"504":1.0,"1008":1}"#,
    br#"{}"#,
    br#"{"6":1e3,"1008":0.5}"#,
];

const UTXOS: [&[u8]; 2] = [
    br#"[{"txid":"f4184fc596403b9d638783cf57adfe4c75c605f6356fbc91338530e9831e9e16","vout":1,"status":{"confirmed":true,"block_height":170,"block_time":1231731025},"value":4000000000},{"txid":"0437cd7f8525ceed2324359c2d0ba26006d92d856a9c20fa0241106ee5a597c9","vout":0,"status":{"confirmed":false},"value":5}]"#,
    br#"[]"#,
];

const REFUSAL: &str = r#"sendrawtransaction RPC error: {"code":-26,"message":"min relay fee not met, 0 < 141"}"#;

/// A chain, and a transaction of its last block.
fn chain() -> &'static (Chain, Transaction) {
    static CHAIN: OnceLock<(Chain, Transaction)> = OnceLock::new();
    CHAIN.get_or_init(|| {
        let mut chain = Chain::of(1);
        let spent = tx(&[OutPoint { txid: other(1).compute_txid(), vout: 0 }], 1, 9);
        chain.mine(&[other(1), other(2), spent.clone(), other(3), other(4)]);
        (chain, spent)
    })
}

fn transactions(plain: &Transaction) -> Vec<Vec<u8>> {
    let mut with_witness = tx(&[OutPoint::null(), OutPoint::null()], 3, 1);
    with_witness.input[0].witness = Witness::from_slice(&[vec![1u8; 72], vec![2u8; 33]]);
    let mut rich = tx(&[OutPoint::null()], 2, 2);
    rich.output[0].value = Amount::MAX_MONEY;
    rich.output[1].value = Amount::ZERO;
    vec![serialize(plain), serialize(&with_witness), serialize(&rich), b"Transaction not found".to_vec()]
}

/// That body with each status that means something; the error of any is as it should be.
fn asked<T>(input: &[u8], read: impl Fn(&Answer) -> Result<T>) -> Option<T> {
    for status in [StatusCode::NOT_FOUND, StatusCode::BAD_REQUEST] {
        if let Err(error) = read(&Answer { status, body: Bytes::copy_from_slice(input) }) {
            refused(&error, &[Code::ChainUnavailable]);
        }
    }
    let read = read(&Answer { status: StatusCode::OK, body: Bytes::copy_from_slice(input) });
    read.map_err(|error| refused(&error, &[Code::ChainUnavailable])).ok()
}

fn hash_at(client: &Esplora, input: &[u8]) -> bool {
    let Some(Some(hash)) = asked(input, |answer| client.read_hash_at(PATH, answer)) else { return false };
    assert_eq!(std::str::from_utf8(input).unwrap().trim().to_ascii_lowercase(), hash.to_string());
    true
}

fn status(client: &Esplora, input: &[u8]) -> bool {
    let Some(status) = asked(input, |answer| client.read_status(PATH, answer)) else { return false };
    assert!(!matches!(status, BlockStatus::Best(500_000_000..)));
    true
}

fn spend(client: &Esplora, input: &[u8]) -> bool {
    let Some(Some(spend)) = asked(input, |answer| client.read_spend(PATH, answer)) else { return false };
    let text = String::from_utf8_lossy(input).to_ascii_lowercase();
    // Escapes in JSON may write it in another way.
    assert!(text.contains(&spend.txid.to_string()) || text.contains('\\'));
    true
}

/// Only what is said to be confirmed is listed.
fn unspent(client: &Esplora, input: &[u8]) -> bool {
    asked(input, |answer| client.read_unspent(PATH, answer)).is_some_and(|found| {
        let text = String::from_utf8_lossy(input);
        assert!(found.len() <= text.matches("true").count(), "{found:?} in {text}");
        !found.is_empty()
    })
}

/// Whatever the estimates, LDK sees sane feerates, and the same again after a restart.
fn estimates(client: &Esplora, input: &[u8]) -> bool {
    let fees = Fees::default();
    let estimates = asked(input, |answer| client.read_estimates(PATH, answer));
    if let Some(estimates) = &estimates {
        fees.update(estimates);
    }
    let saved = fees.save();
    assert_eq!(Fees::load(&saved).save(), saved);
    for fees in [fees, Fees::load(input)] {
        use ConfirmationTarget::*;
        for target in [
            MaximumFeeEstimate,
            UrgentOnChainSweep,
            MinAllowedAnchorChannelRemoteFee,
            MinAllowedNonAnchorChannelRemoteFee,
            AnchorChannelFee,
            NonAnchorChannelFee,
            ChannelCloseMinimum,
            OutputSpendingFee,
        ] {
            let rate = fees.get_est_sat_per_1000_weight(target);
            assert!((FLOOR_SAT_PER_KW..=250_000).contains(&rate), "{rate}");
        }
    }
    estimates.is_some()
}

fn header_hex(client: &Esplora, input: &[u8]) -> bool {
    let asked_for = chain().0.best.last().unwrap().header;
    let got = asked(input, |answer| client.read_header(PATH, asked_for.block_hash(), answer));
    got.map(|got| assert_eq!(got, asked_for)).is_some()
}

/// Of a header that is the one that was asked for: it must carry its work.
fn header_bytes(client: &Esplora, input: &[u8]) -> bool {
    let hex = input.to_lower_hex_string();
    let Ok(header) = deserialize::<Header>(input) else { return header_hex(client, hex.as_bytes()) };
    let got = asked(hex.as_bytes(), |answer| client.read_header(PATH, header.block_hash(), answer));
    let carries_work = |got: Header| {
        assert_eq!(got, header);
        assert!(got.validate_pow(got.target()).is_ok() && got.target() <= bitcoin::Target::MAX_ATTAINABLE_REGTEST);
    };
    got.map(carries_work).is_some()
}

fn proof_hex(client: &Esplora, input: &[u8]) -> bool {
    let (chain, spent) = chain();
    let txid = spent.compute_txid();
    let Some(Some(inclusion)) = asked(input, |answer| client.read_inclusion(PATH, txid, answer)) else { return false };
    // Whether that header is one of the best chain is asked next.
    let root = chain.best.last().unwrap().header.merkle_root;
    assert_eq!((inclusion.header.merkle_root, inclusion.position), (root, 3));
    true
}

/// Of a proof whose transaction is the one that was asked for: it leads to the root of a block with work.
fn proof_bytes(client: &Esplora, input: &[u8]) -> bool {
    let hex = input.to_lower_hex_string();
    let mut taken = proof_hex(client, hex.as_bytes());
    let Ok(proof) = deserialize::<MerkleBlock>(input) else { return taken };
    let (mut txids, mut positions) = (Vec::new(), Vec::new());
    let _ = proof.extract_matches(&mut txids, &mut positions);
    for txid in txids.into_iter().take(3) {
        if let Some(Some(inclusion)) = asked(hex.as_bytes(), |answer| client.read_inclusion(PATH, txid, answer)) {
            assert_eq!(inclusion.header, proof.header);
            assert!(inclusion.header.validate_pow(inclusion.header.target()).is_ok());
            taken = true;
        }
    }
    taken
}

fn transaction(client: &Esplora, input: &[u8]) -> bool {
    let txid = deserialize::<Transaction>(input).map_or_else(|_| other(1).compute_txid(), |tx| tx.compute_txid());
    let Some(Some(tx)) = asked(input, |answer| client.read_transaction(PATH, txid, answer)) else { return false };
    assert_eq!(tx.compute_txid(), txid);
    assert_eq!(serialize(&tx), input);
    let total = tx.output.iter().map(|out| u128::from(out.value.to_sat())).sum::<u128>();
    assert!(total <= u128::from(Amount::MAX_MONEY.to_sat()));
    true
}

fn broadcast(client: &Esplora, input: &[u8]) -> bool {
    let (_, sent) = chain();
    let answer = Answer { status: StatusCode::BAD_REQUEST, body: Bytes::copy_from_slice(input) };
    if let Ok(Broadcast::Rejected(words)) = client.read_broadcast(PATH, sent, &answer) {
        assert!(words.len() < super::LONGEST_MESSAGE);
    }
    let Some(broadcast) = asked(input, |answer| client.read_broadcast(PATH, sent, answer)) else { return false };
    assert_eq!(broadcast, Broadcast::Accepted, "a success is no refusal");
    assert!(String::from_utf8_lossy(input).to_lowercase().contains(&sent.compute_txid().to_string()));
    true
}
