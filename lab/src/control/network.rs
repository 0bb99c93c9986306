//! The links: their faults and what they carried.

use super::views::LinkView;
use super::{answer, read, Answer, Entry, Shared};
use crate::lab::Lab;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::{get, post};
use axum::Router;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

pub(super) const INDEX: &[Entry] = &[
    ("POST", "/faults", "{ link: \"lsp\" | \"esplora\", latencyMs?, blackhole?, reset? }; latency one way"),
    ("GET", "/stats", "→ connections, bytes, turns and round trips of both links"),
    ("POST", "/stats/reset", "{} → both links count anew"),
];

pub(super) fn routes() -> Router<Arc<Lab>> {
    Router::new().route("/faults", post(faults)).route("/stats", get(stats)).route("/stats/reset", post(reset_stats))
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum LinkName {
    Lsp,
    Esplora,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FaultsRequest {
    link: LinkName,
    latency_ms: Option<u64>,
    blackhole: Option<bool>,
    reset: Option<bool>,
}

async fn faults(State(lab): Shared, body: Bytes) -> Answer {
    let request: FaultsRequest = read(&body)?;
    let link = match request.link {
        LinkName::Lsp => &lab.lsp_link,
        LinkName::Esplora => &lab.esplora_link,
    };
    if let Some(ms) = request.latency_ms {
        link.set_latency_ms(ms);
    }
    if let Some(on) = request.blackhole {
        link.set_black_hole(on);
    }
    if let Some(on) = request.reset {
        link.set_reset(on);
    }
    answer(json!({}))
}

async fn stats(State(lab): Shared) -> Answer {
    answer(json!({
        "lsp": LinkView::of(&lab.lsp_link.stats()),
        "esplora": LinkView::of(&lab.esplora_link.stats()),
    }))
}

async fn reset_stats(State(lab): Shared) -> Answer {
    lab.lsp_link.reset_stats();
    lab.esplora_link.reset_stats();
    answer(json!({}))
}
