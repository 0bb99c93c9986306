//! Esplora: the lies that it tells.

use super::{answer, read, Answer, Entry, Failure, Shared};
use crate::esplora::{Lie, Told};
use crate::lab::Lab;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use axum::Router;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// A tip of the day before.
const STALE_BLOCKS: u32 = 144;

pub(super) const INDEX: &[Entry] = &[(
    "POST",
    "/esplora",
    "{ lie: null | its name, path?, times?, blocks? } → { told }; path: the beginning of those lied about; times: then the truth again",
)];

pub(super) fn routes() -> Router<Arc<Lab>> {
    Router::new().route("/esplora", post(lie))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LieRequest {
    lie: Option<Lie>,
    path: Option<String>,
    times: Option<u64>,
    blocks: Option<u32>,
}

async fn lie(State(lab): Shared, body: Bytes) -> Answer {
    let LieRequest { lie, path, times, blocks } = read(&body)?;
    let path = path.unwrap_or_else(|| "/".to_owned());
    if !path.starts_with('/') {
        return Err(Failure::bad(format!("path is {path:?}; it must begin with a slash, as in \"/tx\"")));
    }
    lab.lies.set(lie.map(|lie| Told { lie, path, times, blocks: blocks.unwrap_or(STALE_BLOCKS) }));
    answer(json!({ "told": lab.lies.count() }))
}
