//! The LSP: what it holds, its options, its restarts, what it says on the wire.

use super::views::{ChannelView, HeldView};
use super::{answer, present, read, Answer, Entry, Failure, Shared};
use crate::lab::Lab;
use crate::lsp::options::LspOptions;
use crate::node::{End, Node};
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::routing::{get, post};
use axum::Router;
use bitcoin::secp256k1::PublicKey;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

pub(super) const INDEX: &[Entry] = &[
    ("POST", "/lsp/restart", "{ kill? } → graceful, or as kill -9; answers when the payer can pay again"),
    ("GET", "/lsp/peers", "→ [nodeId]"),
    (
        "GET",
        "/lsp/channels",
        "→ [{ peer, channelId, sats, ready, usable, inMsat, outMsat, fundingTxid, pendingHtlcs }]",
    ),
    (
        "POST",
        "/lsp/close",
        "{ nodeId, force? } → { channels: [channelId] }: closes all of them; without force when that node is next connected",
    ),
    ("GET", "/lsp/held", "→ [{ interceptId, nodeId, paymentHash, amountMsat, sinceMs, expiresMs }]"),
    ("GET", "/lsp/options", "→ the LSP's options"),
    (
        "POST",
        "/lsp/options",
        "{ skimPpm?, holdMs?, openSat?, rewake?, mdkTimer?, progressDeadlineMs? (null: off), tickMs? } → all of them",
    ),
    (
        "GET",
        "/messages?since=<ns>",
        "→ [{ ns, direction, peer, type, channelId }], on CLOCK_MONOTONIC (process.hrtime)",
    ),
];

pub(super) fn routes() -> Router<Arc<Lab>> {
    Router::new()
        .route("/lsp/restart", post(restart))
        .route("/lsp/peers", get(peers))
        .route("/lsp/channels", get(channels))
        .route("/lsp/close", post(close))
        .route("/lsp/held", get(held))
        .route("/lsp/options", get(options).post(set_options))
        .route("/messages", get(messages))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RestartRequest {
    #[serde(default)]
    kill: bool,
}

async fn restart(State(lab): Shared, body: Bytes) -> Answer {
    let request: RestartRequest = read(&body)?;
    lab.restart_lsp(if request.kill { End::Kill } else { End::Graceful }).await?;
    answer(json!({}))
}

async fn peers(State(lab): Shared) -> Answer {
    let connected = lab.with_lsp(|lsp| lsp.base.port.connected()).await?;
    answer(connected.iter().map(PublicKey::to_string).collect::<Vec<_>>())
}

async fn channels(State(lab): Shared) -> Answer {
    let views = lab.with_lsp(|lsp| lsp.base.manager().list_channels().iter().map(ChannelView::of).collect::<Vec<_>>());
    answer(views.await?)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CloseRequest {
    node_id: String,
    #[serde(default)]
    force: bool,
}

async fn close(State(lab): Shared, body: Bytes) -> Answer {
    let CloseRequest { node_id, force } = read(&body)?;
    let client = super::node_id(&node_id)?;
    let channels = lab.with_lsp(move |lsp| lsp.role.close(&lsp.base, client, force)).await?;
    if channels.is_empty() {
        return Err(Failure::bad(format!("the LSP has no channel with {client}")));
    }
    answer(json!({ "channels": channels.iter().map(|id| id.to_string()).collect::<Vec<_>>() }))
}

async fn held(State(lab): Shared) -> Answer {
    let options = lab.options.get();
    let held = lab.with_lsp(|lsp| lsp.role.held()).await?;
    answer(held.iter().map(|htlc| HeldView::of(htlc, &options)).collect::<Vec<_>>())
}

async fn options(State(lab): Shared) -> Answer {
    answer(lab.options.get())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OptionsRequest {
    skim_ppm: Option<u64>,
    hold_ms: Option<u64>,
    open_sat: Option<u64>,
    rewake: Option<bool>,
    mdk_timer: Option<bool>,
    /// Absent: as it is; null: off.
    #[serde(default, deserialize_with = "present")]
    progress_deadline_ms: Option<Option<u64>>,
    tick_ms: Option<u64>,
}

impl OptionsRequest {
    fn apply(self, options: &mut LspOptions) {
        options.skim_ppm = self.skim_ppm.unwrap_or(options.skim_ppm);
        options.hold_ms = self.hold_ms.unwrap_or(options.hold_ms);
        options.open_sat = self.open_sat.unwrap_or(options.open_sat);
        options.rewake = self.rewake.unwrap_or(options.rewake);
        options.mdk_timer = self.mdk_timer.unwrap_or(options.mdk_timer);
        options.progress_deadline_ms = self.progress_deadline_ms.unwrap_or(options.progress_deadline_ms);
        options.tick_ms = self.tick_ms.unwrap_or(options.tick_ms);
    }
}

async fn set_options(State(lab): Shared, body: Bytes) -> Answer {
    let request: OptionsRequest = read(&body)?;
    let mut wanted = lab.options.get();
    request.apply(&mut wanted);
    wanted.check().map_err(Failure::bad)?;
    lab.options.update(|options| *options = wanted);
    // Its timers look at the options only in a turn.
    lab.with_lsp(|lsp: &Node<_>| lsp.base.wake()).await?;
    answer(wanted)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Since {
    #[serde(default)]
    since: u64,
}

async fn messages(State(lab): Shared, query: Result<Query<Since>, QueryRejection>) -> Answer {
    let Query(query) = query?;
    answer(lab.messages.since(query.since))
}
