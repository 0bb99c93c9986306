//! The chain over Esplora's REST interface: what `lightning-transaction-sync`, `bdk_esplora` and a hand-written client ask.
//!
//! The status codes carry meaning, because clients act on them:
//! - 404: it doesn't exist (a transaction, a height, a proof of what is unconfirmed). Clients read it as "none".
//! - 400: the request is wrong: not a hash, not a transaction, or one that the chain refuses. Not retried.
//! - 500: the lab itself failed (its disk). Clients retry it with back-off, so nothing that is final may answer so.
//!
//! A stale block's status is 200 with `in_best_chain: false`: that is how a client learns of a reorg.

mod json;
pub mod lies;
pub mod tls;

pub use lies::{Lie, Lies, Told};

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{header, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use axum::{middleware, Json, Router};
use bitcoin::address::NetworkUnchecked;
use bitcoin::consensus::encode::{deserialize_hex, serialize, serialize_hex};
use bitcoin::hashes::sha256;
use bitcoin::{Address, BlockHash, MerkleBlock, Network, OutPoint, Transaction, Txid};
use serde_json::{json, Value};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::chain::{script_hash, Chain, ChainError, SharedChain};

/// Esplora's page of blocks.
const BLOCKS_PAGE: usize = 10;
/// Esplora's page of confirmed transactions. Clients ask for the next page while they get at least this many.
const TXS_PAGE: usize = 25;
/// What Esplora puts before the first page of a script's transactions, at most.
const UNCONFIRMED_PAGE: usize = 50;

/// The confirmation targets that Esplora answers for, in blocks.
const TARGETS: [u16; 28] =
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 144, 504, 1008];

/// What `GET /fee-estimates` says, settable while it is served; clones share it.
#[derive(Clone)]
pub struct FeeTable(Arc<Mutex<BTreeMap<u16, f64>>>);

impl FeeTable {
    /// The same rate, in satoshi per vbyte, for every target that Esplora knows.
    pub fn flat(sat_per_vbyte: f64) -> Self {
        let table = FeeTable(Arc::default());
        table.set(TARGETS.map(|target| (target, sat_per_vbyte)));
        table
    }

    /// Replaces the table: target in blocks to satoshi per vbyte. Empty is what Esplora says when it knows nothing.
    pub fn set(&self, rates: impl IntoIterator<Item = (u16, f64)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = rates.into_iter().collect();
    }

    pub fn get(&self) -> BTreeMap<u16, f64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Default for FeeTable {
    /// 1 sat/vB, the relay minimum, as a quiet network has it.
    fn default() -> Self {
        FeeTable::flat(1.0)
    }
}

/// A server on 127.0.0.1, until it is dropped.
pub struct EsploraServer {
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl EsploraServer {
    /// Serves `chain` on a free port of 127.0.0.1. Must run inside a tokio runtime.
    pub async fn start(chain: SharedChain, fees: FeeTable) -> io::Result<Self> {
        EsploraServer::serve(router(chain, fees), 0).await
    }

    /// Serves `chain` on this port of 127.0.0.1 (0: a free one).
    pub async fn start_on(chain: SharedChain, fees: FeeTable, port: u16) -> io::Result<Self> {
        EsploraServer::serve(router(chain, fees), port).await
    }

    /// Serves these routes on this port of 127.0.0.1 (0: a free one).
    pub async fn serve(router: Router, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let listener = listener.tap_io(|stream| {
            // Small answers to small questions: waiting for an ACK would add 40 ms to each.
            if let Err(e) = stream.set_nodelay(true) {
                tracing::debug!("TCP_NODELAY: {e}");
            }
        });
        let serve = axum::serve(listener, router).with_graceful_shutdown(async move {
            // Resolves when the server is dropped.
            let _ = stopped.await;
        });
        tokio::spawn(async move {
            if let Err(e) = serve.await {
                tracing::error!("the Esplora server ended: {e}");
            }
        });
        Ok(EsploraServer { address, _stop: stop })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL, without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

#[derive(Clone)]
struct Shared {
    chain: SharedChain,
    fees: FeeTable,
}

/// The routes alone, to be served or nested elsewhere.
pub fn router(chain: SharedChain, fees: FeeTable) -> Router {
    Router::new()
        .route("/blocks", get(blocks_from_tip))
        .route("/blocks/{start}", get(blocks_from))
        .route("/blocks/tip/hash", get(tip_hash))
        .route("/blocks/tip/height", get(tip_height))
        .route("/block-height/{height}", get(block_height))
        .route("/block/{hash}/header", get(block_header))
        .route("/block/{hash}/status", get(block_status))
        .route("/tx", post(broadcast))
        .route("/tx/{txid}", get(tx))
        .route("/tx/{txid}/status", get(tx_status))
        .route("/tx/{txid}/raw", get(tx_raw))
        .route("/tx/{txid}/hex", get(tx_hex))
        .route("/tx/{txid}/merkleblock-proof", get(tx_proof))
        .route("/tx/{txid}/outspend/{vout}", get(outspend))
        .route("/tx/{txid}/outspends", get(outspends))
        .route("/scripthash/{hash}/txs", get(script_txs))
        .route("/scripthash/{hash}/txs/chain/{last_seen}", get(script_txs_after))
        .route("/scripthash/{hash}/utxo", get(script_utxo))
        .route("/address/{address}/utxo", get(address_utxo))
        .route("/fee-estimates", get(fee_estimates))
        .with_state(Shared { chain, fees })
}

/// The same routes behind a layer that lies when it is told to.
pub fn lying_router(chain: SharedChain, fees: FeeTable, lies: Lies) -> Router {
    let liar = lies::Liar { lies, chain: chain.clone() };
    router(chain, fees).layer(middleware::from_fn_with_state(liar, lies::layer))
}

/// An answer that is not a success.
enum Refusal {
    NotFound(&'static str),
    BadRequest(String),
    Failed(String),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Refusal::NotFound(text) => (StatusCode::NOT_FOUND, text).into_response(),
            Refusal::BadRequest(text) => (StatusCode::BAD_REQUEST, text).into_response(),
            Refusal::Failed(text) => (StatusCode::INTERNAL_SERVER_ERROR, text).into_response(),
        }
    }
}

const NO_BLOCK: Refusal = Refusal::NotFound("Block not found");
const NO_TX: Refusal = Refusal::NotFound("Transaction not found");

type Answer<T> = Result<T, Refusal>;

/// A part of the path, or 400.
fn parse<T: FromStr<Err: Display>>(what: &str, text: &str) -> Answer<T> {
    text.parse().map_err(|e| Refusal::BadRequest(format!("Invalid {what}: {e}")))
}

/// Looks a transaction of the path up and answers from it.
fn with_tx<T>(
    shared: &Shared,
    txid: &str,
    f: impl FnOnce(&Chain, &Transaction, Option<u32>) -> Answer<T>,
) -> Answer<T> {
    let txid: Txid = parse("txid", txid)?;
    let chain = shared.chain.lock();
    let (tx, height) = chain.transaction(&txid).ok_or(NO_TX)?;
    f(&chain, tx, height)
}

// --- blocks ---

async fn tip_hash(State(shared): State<Shared>) -> String {
    shared.chain.tip().hash.to_string()
}

async fn tip_height(State(shared): State<Shared>) -> String {
    shared.chain.height().to_string()
}

async fn block_height(State(shared): State<Shared>, Path(height): Path<String>) -> Answer<String> {
    let block = shared.chain.block_at(parse("height", &height)?).ok_or(NO_BLOCK)?;
    Ok(block.block_hash().to_string())
}

async fn block_header(State(shared): State<Shared>, Path(hash): Path<String>) -> Answer<String> {
    let hash: BlockHash = parse("block hash", &hash)?;
    let (block, _) = shared.chain.block(&hash).ok_or(NO_BLOCK)?;
    Ok(serialize_hex(&block.header))
}

async fn block_status(State(shared): State<Shared>, Path(hash): Path<String>) -> Answer<Json<Value>> {
    let hash: BlockHash = parse("block hash", &hash)?;
    let chain = shared.chain.lock();
    let (_, height) = chain.block(&hash).ok_or(NO_BLOCK)?;
    Ok(Json(match height {
        Some(height) => {
            let next = chain.block_at(height + 1).map(|block| block.block_hash());
            json!({ "in_best_chain": true, "height": height, "next_best": next })
        }
        None => json!({ "in_best_chain": false }),
    }))
}

async fn blocks_from_tip(State(shared): State<Shared>) -> Json<Value> {
    let chain = shared.chain.lock();
    Json(blocks_page(&chain, chain.height()))
}

async fn blocks_from(State(shared): State<Shared>, Path(start): Path<String>) -> Answer<Json<Value>> {
    let start = parse("height", &start)?;
    let chain = shared.chain.lock();
    // Never empty: clients take the first element.
    Ok(Json(blocks_page(&chain, chain.height().min(start))))
}

fn blocks_page(chain: &Chain, start: u32) -> Value {
    let heights = (0..=start).rev().take(BLOCKS_PAGE);
    heights.filter_map(|height| Some(json::block(chain, &*chain.block_at(height)?, height))).collect()
}

// --- transactions ---

async fn tx(State(shared): State<Shared>, Path(txid): Path<String>) -> Answer<Json<Value>> {
    with_tx(&shared, &txid, |chain, tx, height| Ok(Json(json::transaction(chain, tx, height))))
}

async fn tx_status(State(shared): State<Shared>, Path(txid): Path<String>) -> Answer<Json<Value>> {
    with_tx(&shared, &txid, |chain, _, height| Ok(Json(json::status(chain, height))))
}

async fn tx_raw(State(shared): State<Shared>, Path(txid): Path<String>) -> Answer<Response> {
    with_tx(&shared, &txid, |_, tx, _| {
        Ok(([(header::CONTENT_TYPE, "application/octet-stream")], serialize(tx)).into_response())
    })
}

async fn tx_hex(State(shared): State<Shared>, Path(txid): Path<String>) -> Answer<String> {
    with_tx(&shared, &txid, |_, tx, _| Ok(serialize_hex(tx)))
}

async fn tx_proof(State(shared): State<Shared>, Path(txid): Path<String>) -> Answer<String> {
    with_tx(&shared, &txid, |chain, tx, height| {
        let txid = tx.compute_txid();
        let unconfirmed = Refusal::NotFound("Transaction not found or is unconfirmed");
        let block = height.and_then(|h| chain.block_at(h)).ok_or(unconfirmed)?;
        Ok(serialize_hex(&MerkleBlock::from_block_with_predicate(&block, |id| *id == txid)))
    })
}

async fn outspend(State(shared): State<Shared>, Path((txid, vout)): Path<(String, String)>) -> Answer<Json<Value>> {
    let vout: u32 = parse("output index", &vout)?;
    with_tx(&shared, &txid, |chain, tx, _| {
        if vout as usize >= tx.output.len() {
            return Err(Refusal::NotFound("Output not found"));
        }
        Ok(Json(json::outspend(chain, &OutPoint::new(tx.compute_txid(), vout))))
    })
}

async fn outspends(State(shared): State<Shared>, Path(txid): Path<String>) -> Answer<Json<Value>> {
    with_tx(&shared, &txid, |chain, tx, _| {
        let txid = tx.compute_txid();
        let outpoints = (0..tx.output.len()).map(|vout| OutPoint::new(txid, vout as u32));
        Ok(Json(outpoints.map(|outpoint| json::outspend(chain, &outpoint)).collect()))
    })
}

async fn broadcast(State(shared): State<Shared>, body: Bytes) -> Answer<String> {
    let text = std::str::from_utf8(&body).map_err(|e| Refusal::BadRequest(format!("Invalid hex: {e}")))?;
    let tx: Transaction =
        deserialize_hex(text.trim()).map_err(|e| Refusal::BadRequest(format!("Invalid transaction: {e}")))?;
    match shared.chain.submit(tx) {
        Ok(txid) => Ok(txid.to_string()),
        Err(ChainError::Storage(text)) => Err(Refusal::Failed(text)),
        Err(reason) => Err(Refusal::BadRequest(format!("sendrawtransaction RPC error: {reason}"))),
    }
}

// --- scripts ---

async fn script_txs(State(shared): State<Shared>, Path(hash): Path<String>) -> Answer<Json<Value>> {
    let hash = natural_hash(&hash)?;
    let chain = shared.chain.lock();
    let unconfirmed = chain.unconfirmed().rev().map(|(tx, _)| tx).filter(|tx| chain.touches(tx, &hash));
    let mut page: Vec<Value> =
        unconfirmed.take(UNCONFIRMED_PAGE).map(|tx| json::transaction(&chain, tx, None)).collect();
    let confirmed = chain.history(&hash).into_iter().rev().take(TXS_PAGE);
    page.extend(confirmed.map(|(tx, height)| json::transaction(&chain, tx, Some(height))));
    Ok(Json(page.into()))
}

async fn script_txs_after(
    State(shared): State<Shared>,
    Path((hash, last_seen)): Path<(String, String)>,
) -> Answer<Json<Value>> {
    let hash = natural_hash(&hash)?;
    let last_seen: Txid = parse("txid", &last_seen)?;
    let chain = shared.chain.lock();
    let older = chain.history(&hash).into_iter().rev().skip_while(|(tx, _)| tx.compute_txid() != last_seen).skip(1);
    let page = older.take(TXS_PAGE).map(|(tx, height)| json::transaction(&chain, tx, Some(height)));
    Ok(Json(page.collect()))
}

async fn script_utxo(State(shared): State<Shared>, Path(hash): Path<String>) -> Answer<Json<Value>> {
    let hash = natural_hash(&hash)?;
    Ok(Json(json::unspent(&shared.chain.lock(), &hash)))
}

async fn address_utxo(State(shared): State<Shared>, Path(address): Path<String>) -> Answer<Json<Value>> {
    let address: Address<NetworkUnchecked> = parse("address", &address)?;
    let address = address.require_network(Network::Regtest).map_err(|e| Refusal::BadRequest(e.to_string()))?;
    Ok(Json(json::unspent(&shared.chain.lock(), &script_hash(&address.script_pubkey()))))
}

/// Unlike block hashes and txids, Esplora writes a script's hash in the order of its bytes, as `sha256::Hash` does.
fn natural_hash(text: &str) -> Answer<sha256::Hash> {
    parse("script hash", text)
}

async fn fee_estimates(State(shared): State<Shared>) -> Json<BTreeMap<u16, f64>> {
    Json(shared.fees.get())
}
