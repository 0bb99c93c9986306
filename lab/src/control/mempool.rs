//! What waits for a block: replaced, evicted, and what Esplora says that it should pay.

use super::{answer, read, Answer, Entry, Failure, Shared};
use crate::chain::Wallet;
use crate::lab::Lab;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::{get, post};
use axum::Router;
use bitcoin::Txid;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// More would be an amount of money, not a fee rate; and sums of such fees stay far below overflow.
const MAX_RATE: f64 = 1_000_000.0;
/// Esplora's furthest confirmation target.
const MAX_TARGET: u16 = 1_008;
/// Whose transactions can be signed anew.
const WALLETS: [&str; 3] = ["lsp", "payer", "miner"];

pub(super) const INDEX: &[Entry] = &[
    (
        "POST",
        "/mempool/replace",
        "{ txid, feeRate } → { txid }: one of the lab's own wallets pays more for it (BIP 125)",
    ),
    ("POST", "/mempool/evict", "{ txid } → { evicted: [txid] }: it and its descendants, parents first"),
    ("GET", "/fees", "→ { <target in blocks>: <sat/vbyte> }, as Esplora's /fee-estimates"),
    ("POST", "/fees", "{ <target>: <rate>, … } → the whole new table; {}: Esplora knows nothing"),
];

pub(super) fn routes() -> Router<Arc<Lab>> {
    Router::new()
        .route("/mempool/replace", post(replace))
        .route("/mempool/evict", post(evict))
        .route("/fees", get(fees).post(set_fees))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReplaceRequest {
    txid: String,
    fee_rate: f64,
}

async fn replace(State(lab): Shared, body: Bytes) -> Answer {
    let request: ReplaceRequest = read(&body)?;
    let txid = txid(&request.txid)?;
    rate("feeRate", request.fee_rate)?;
    let Some((tx, None)) = lab.chain.transaction(&txid) else {
        return Err(Failure::bad(format!("{txid} is not in the mempool")));
    };
    let Some(owner) = WALLETS.map(Wallet::new).into_iter().find(|wallet| wallet.signed(&lab.chain, &tx)) else {
        return Err(Failure::bad(format!("{txid} spends coins of others than the lab's wallets (lsp, payer, miner)")));
    };
    let replacement = owner.bump(&lab.chain, txid, request.fee_rate)?;
    answer(json!({ "txid": replacement.compute_txid().to_string() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EvictRequest {
    txid: String,
}

async fn evict(State(lab): Shared, body: Bytes) -> Answer {
    let request: EvictRequest = read(&body)?;
    let evicted = lab.chain.evict(txid(&request.txid)?)?;
    answer(json!({ "evicted": evicted.iter().map(Txid::to_string).collect::<Vec<_>>() }))
}

async fn fees(State(lab): Shared) -> Answer {
    answer(lab.fees.get())
}

async fn set_fees(State(lab): Shared, body: Bytes) -> Answer {
    let request: BTreeMap<String, f64> = read(&body)?;
    let mut rates = Vec::new();
    for (name, value) in request {
        let target = name.parse().ok().filter(|target| (1..=MAX_TARGET).contains(target));
        let target = target
            .ok_or_else(|| Failure::bad(format!("{name:?} is no target: a number of blocks, 1 to {MAX_TARGET}")))?;
        rate(&name, value)?;
        rates.push((target, value));
    }
    lab.fees.set(rates);
    answer(lab.fees.get())
}

fn txid(text: &str) -> Result<Txid, Failure> {
    text.parse().map_err(|_| Failure::bad(format!("txid {text:?} is not 64 hex characters")))
}

fn rate(name: &str, value: f64) -> Result<(), Failure> {
    if (0.0..=MAX_RATE).contains(&value) {
        return Ok(());
    }
    Err(Failure::bad(format!("{name} is {value}: satoshi per vbyte, 0 to {MAX_RATE}")))
}
