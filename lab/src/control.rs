//! The control API: what a test, the demo or a benchmark does to the lab. JSON over HTTP on loopback.
//!
//! `GET /` lists it. A body that is no JSON, lacks a field or has one too many is answered 400 with what is wrong; a payment
//! that fails 402; an LSP that does not run 503.

mod views;

use crate::lab::Lab;
use crate::lsp::options::LspOptions;
use crate::node::{End, Node};
use crate::payer::Payment;
use crate::webhook::WebhookUrl;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::Router;
use bitcoin::secp256k1::PublicKey;
use lightning_invoice::Bolt11Invoice;
use mayfly_core::error::{Code, Error};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{json, Value};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use views::{ChannelView, HeldView, LinkView};

/// Longer than the LSP holds by default, so that its answer is heard.
const PAY_TIMEOUT_MS: u64 = 60_000;
/// More blocks in one request are a mistake, and would hold the chain for minutes.
const MAX_BLOCKS: u32 = 10_000;

const INDEX: &[(&str, &str, &str)] = &[
    ("POST", "/pay", "{ bolt11, amountMsat?, timeoutMs?, strictCltv? } → { preimage, feeMsat, ms } or 402 { error }"),
    ("POST", "/webhooks", "{ nodeId, url } → where the LSP wakes that node; http on loopback only"),
    ("POST", "/mine", "{ blocks } → { height }"),
    ("POST", "/lsp/restart", "{ kill? } → graceful, or as kill -9; answers when the payer can pay again"),
    ("GET", "/lsp/peers", "→ [nodeId]"),
    (
        "GET",
        "/lsp/channels",
        "→ [{ peer, channelId, sats, ready, usable, inMsat, outMsat, fundingTxid, pendingHtlcs }]",
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
    ("POST", "/faults", "{ link: \"lsp\" | \"esplora\", latencyMs?, blackhole?, reset? }; latency one way"),
    ("GET", "/chain", "→ { height, tip, mempool }"),
    ("GET", "/stats", "→ connections, bytes, turns and round trips of both links"),
    ("POST", "/stats/reset", "{} → both links count anew"),
];

type Shared = State<Arc<Lab>>;
type Answer = Result<axum::Json<Value>, Failure>;

/// The control API of a lab.
pub fn router(lab: Arc<Lab>) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/pay", post(pay))
        .route("/webhooks", post(set_webhook))
        .route("/mine", post(mine))
        .route("/lsp/restart", post(restart))
        .route("/lsp/peers", get(peers))
        .route("/lsp/channels", get(channels))
        .route("/lsp/held", get(held))
        .route("/lsp/options", get(options).post(set_options))
        .route("/messages", get(messages))
        .route("/faults", post(faults))
        .route("/chain", get(chain))
        .route("/stats", get(stats))
        .route("/stats/reset", post(reset_stats))
        .fallback(|| async { Failure(StatusCode::NOT_FOUND, "no such path or method: GET / lists them".into()) })
        .with_state(lab)
}

/// `{ error }` with a status.
struct Failure(StatusCode, String);

impl Failure {
    fn bad(text: impl Into<String>) -> Self {
        Failure(StatusCode::BAD_REQUEST, text.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, axum::Json(json!({ "error": self.1 }))).into_response()
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match error.code {
            Code::LspUnavailable | Code::NodeDestroyed => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Failure(status, error.to_string())
    }
}

impl From<QueryRejection> for Failure {
    fn from(rejection: QueryRejection) -> Self {
        Failure::bad(rejection.body_text())
    }
}

/// A JSON body; no body at all is `{}`.
fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Failure> {
    let json: &[u8] = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(json).map_err(|error| Failure::bad(format!("the body is not what this takes: {error}")))
}

fn answer(value: impl Serialize) -> Answer {
    serde_json::to_value(value)
        .map(axum::Json)
        .map_err(|error| Failure(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

async fn index() -> Answer {
    let lines: Vec<Value> =
        INDEX.iter().map(|(method, path, what)| json!({ "method": method, "path": path, "what": what })).collect();
    answer(lines)
}

// --- payments ---

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PayRequest {
    bolt11: String,
    amount_msat: Option<u64>,
    timeout_ms: Option<u64>,
    strict_cltv: Option<bool>,
}

async fn pay(State(lab): Shared, body: Bytes) -> Answer {
    let request: PayRequest = read(&body)?;
    let invoice: Bolt11Invoice =
        request.bolt11.parse().map_err(|error| Failure::bad(format!("bolt11 is not an invoice: {error}")))?;
    let payment = Payment {
        invoice,
        amount_msat: request.amount_msat,
        timeout: Duration::from_millis(request.timeout_ms.unwrap_or(PAY_TIMEOUT_MS)),
        strict_cltv: request.strict_cltv.unwrap_or(lab.strict_cltv),
    };
    match lab.pay(payment).await? {
        Ok(paid) => answer(paid),
        Err(error) => Err(Failure(StatusCode::PAYMENT_REQUIRED, error)),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WebhookRequest {
    node_id: String,
    url: String,
}

async fn set_webhook(State(lab): Shared, body: Bytes) -> Answer {
    let request: WebhookRequest = read(&body)?;
    let node: PublicKey = request
        .node_id
        .parse()
        .map_err(|_| Failure::bad(format!("nodeId {:?} is not 66 hex characters of a public key", request.node_id)))?;
    let url: WebhookUrl = request.url.parse().map_err(|error| Failure::bad(format!("{error}")))?;
    lab.webhooks.lock().unwrap_or_else(PoisonError::into_inner).insert(node, url);
    answer(json!({}))
}

// --- the LSP ---

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

fn present<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<Option<u64>>, D::Error> {
    Option::<u64>::deserialize(value).map(Some)
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

// --- chain and network ---

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
