//! The chain: blocks, forwards and backwards.

use super::{answer, read, Answer, Entry, Failure, Shared};
use crate::chain::Reorged;
use crate::lab::Lab;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::Router;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// More blocks in one request are a mistake, and would hold the chain for minutes.
const MAX_BLOCKS: u32 = 10_000;

pub(super) const INDEX: &[Entry] = &[
    ("POST", "/mine", "{ blocks } → { height }"),
    ("GET", "/chain", "→ { height, tip, mempool }"),
    (
        "POST",
        "/reorg",
        "{ depth, transactions?: \"remined\" | \"unconfirmed\" | \"dropped\" } or { undo: true, transactions? } → { height, tip }",
    ),
];

pub(super) fn routes() -> Router<Arc<Lab>> {
    Router::new().route("/mine", post(mine)).route("/chain", get(chain)).route("/reorg", post(reorg))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MineRequest {
    blocks: u32,
}

async fn mine(State(lab): Shared, body: Bytes) -> Answer {
    let request: MineRequest = read(&body)?;
    if request.blocks > MAX_BLOCKS {
        return Err(Failure::bad(format!("blocks is {}; at most {MAX_BLOCKS} at a time", request.blocks)));
    }
    let chain = lab.chain.clone();
    let mined = tokio::task::spawn_blocking(move || chain.mine(request.blocks)).await;
    match mined {
        Ok(Ok(_)) => answer(json!({ "height": lab.chain.height() })),
        Ok(Err(error)) => Err(Failure(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
        Err(error) => Err(Failure(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

#[derive(Deserialize, Clone, Copy, Default)]
#[serde(rename_all = "lowercase")]
enum Transactions {
    #[default]
    Remined,
    Unconfirmed,
    Dropped,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReorgRequest {
    depth: Option<u32>,
    #[serde(default)]
    undo: bool,
    #[serde(default)]
    transactions: Transactions,
}

async fn reorg(State(lab): Shared, body: Bytes) -> Answer {
    let request: ReorgRequest = read(&body)?;
    let transactions = match request.transactions {
        Transactions::Remined => Reorged::Remined,
        Transactions::Unconfirmed => Reorged::Unconfirmed,
        Transactions::Dropped => Reorged::Dropped,
    };
    match (request.depth, request.undo) {
        (None, true) => lab.chain.undo_reorg(transactions)?,
        (Some(depth), false) => {
            let most = lab.deepest_reorg().await?;
            if depth == 0 || depth > most {
                return Err(Failure::bad(format!(
                    "depth is {depth}: 1 to {most}. Deeper lies the funding of the payer's channels, which LDK closes when it \
                     loses its last confirmation; mine more first"
                )));
            }
            lab.chain.reorg(depth, transactions)?;
        }
        _ => return Err(Failure::bad("give either depth, or undo: true")),
    }
    let tip = lab.chain.tip();
    answer(json!({ "height": tip.height, "tip": tip.hash.to_string() }))
}

async fn chain(State(lab): Shared) -> Answer {
    let tip = lab.chain.tip();
    let mempool: Vec<String> = lab.chain.mempool().iter().map(|(tx, _)| tx.compute_txid().to_string()).collect();
    answer(json!({ "height": tip.height, "tip": tip.hash.to_string(), "mempool": mempool }))
}
