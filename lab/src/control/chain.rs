//! The chain: blocks and the mempool.

use super::{answer, read, Answer, Entry, Failure, Shared};
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

pub(super) const INDEX: &[Entry] =
    &[("POST", "/mine", "{ blocks } → { height }"), ("GET", "/chain", "→ { height, tip, mempool }")];

pub(super) fn routes() -> Router<Arc<Lab>> {
    Router::new().route("/mine", post(mine)).route("/chain", get(chain))
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

async fn chain(State(lab): Shared) -> Answer {
    let tip = lab.chain.tip();
    let mempool: Vec<String> = lab.chain.mempool().iter().map(|(tx, _)| tx.compute_txid().to_string()).collect();
    answer(json!({ "height": tip.height, "tip": tip.hash.to_string(), "mempool": mempool }))
}
