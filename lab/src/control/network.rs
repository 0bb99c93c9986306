//! The links: their faults and what they carried.

use super::views::LinkView;
use super::{answer, present, read, Answer, Entry, Failure, Shared};
use crate::faults::{Direction, Faults};
use crate::lab::Lab;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::{get, post};
use axum::Router;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

pub(super) const INDEX: &[Entry] = &[
    (
        "POST",
        "/faults",
        "{ link: \"lsp\" | \"esplora\" | \"webhook\", latencyMs? (one way) | roundTripMs?, jitterMs?, jitterSeed?, \
         blackhole?, drop?: \"up\" | \"down\" | null, reset?, halfOpen? }",
    ),
    ("GET", "/stats", "→ connections, bytes, turns and round trips of each link"),
    ("POST", "/stats/reset", "{} → all links count anew"),
];

pub(super) fn routes() -> Router<Arc<Lab>> {
    Router::new().route("/faults", post(faults)).route("/stats", get(stats)).route("/stats/reset", post(reset_stats))
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum LinkName {
    Lsp,
    Esplora,
    Webhook,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum DropName {
    Up,
    Down,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FaultsRequest {
    link: LinkName,
    latency_ms: Option<u64>,
    round_trip_ms: Option<u64>,
    jitter_ms: Option<u64>,
    jitter_seed: Option<u64>,
    blackhole: Option<bool>,
    /// Absent: as it is; null: both directions flow.
    #[serde(default, deserialize_with = "present")]
    drop: Option<Option<DropName>>,
    reset: Option<bool>,
    half_open: Option<bool>,
}

/// A day: nothing in a lab waits for longer, and instants can't overflow.
const LONGEST_MS: u64 = 86_400_000;

impl FaultsRequest {
    fn check(&self) -> Result<(), Failure> {
        if self.latency_ms.is_some() && self.round_trip_ms.is_some() {
            return Err(Failure::bad("latencyMs is one way and roundTripMs twice that: give one of them"));
        }
        let named = [("latencyMs", self.latency_ms), ("roundTripMs", self.round_trip_ms), ("jitterMs", self.jitter_ms)];
        match named.into_iter().find(|(_, ms)| ms.is_some_and(|ms| ms > LONGEST_MS)) {
            Some((name, _)) => Err(Failure::bad(format!("{name} is more than a day: at most {LONGEST_MS}"))),
            None => Ok(()),
        }
    }

    /// What is not named stays as it is.
    fn apply(&self, faults: &Faults) {
        let one_way = self.latency_ms.map(Duration::from_millis);
        if let Some(one_way) = one_way.or(self.round_trip_ms.map(|ms| Duration::from_millis(ms) / 2)) {
            faults.set_latency(one_way);
        }
        if let Some(seed) = self.jitter_seed {
            faults.set_jitter_seed(seed);
        }
        if let Some(ms) = self.jitter_ms {
            faults.set_jitter(Duration::from_millis(ms));
        }
        if let Some(on) = self.blackhole {
            faults.set_black_hole(on);
        }
        if let Some(name) = self.drop {
            faults.set_drop(name.map(|name| match name {
                DropName::Up => Direction::Up,
                DropName::Down => Direction::Down,
            }));
        }
        if let Some(on) = self.reset {
            faults.set_reset(on);
        }
        if let Some(on) = self.half_open {
            faults.set_half_open(on);
        }
    }
}

async fn faults(State(lab): Shared, body: Bytes) -> Answer {
    let request: FaultsRequest = read(&body)?;
    request.check()?;
    request.apply(match request.link {
        LinkName::Lsp => lab.lsp_link.faults(),
        LinkName::Esplora => lab.esplora_link.faults(),
        LinkName::Webhook => lab.webhook_links.faults(),
    });
    answer(json!({}))
}

async fn stats(State(lab): Shared) -> Answer {
    answer(json!({
        "lsp": LinkView::of(&lab.lsp_link.stats()),
        "esplora": LinkView::of(&lab.esplora_link.stats()),
        "webhook": LinkView::of(&lab.webhook_links.stats().await),
    }))
}

async fn reset_stats(State(lab): Shared) -> Answer {
    lab.lsp_link.reset_stats();
    lab.esplora_link.reset_stats();
    lab.webhook_links.reset_stats().await;
    answer(json!({}))
}
