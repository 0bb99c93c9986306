//! Payments, and where the LSP wakes a node.

use super::{answer, node_id, read, Answer, Entry, Failure, Shared};
use crate::lab::Lab;
use crate::payer::{self, Payment};
use crate::webhook::WebhookUrl;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::Router;
use lightning_invoice::Bolt11Invoice;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Longer than the LSP holds by default, so that its answer is heard.
const PAY_TIMEOUT_MS: u64 = 60_000;

/// In a smaller one the reserves and fees leave little to pay with.
const PAYER_LEAST_SAT: u64 = 20_000;

pub(super) const INDEX: &[Entry] = &[
    (
        "POST",
        "/pay",
        "{ bolt11, amountMsat?, timeoutMs?, strictCltv?, maxPartMsat?, again? } → { preimage, feeMsat, ms } or 402 { error }",
    ),
    (
        "POST",
        "/payer/channels",
        "{ sats? } → [{ channelId, sats, usable, outMsat }]: opens one more, usable when this answers",
    ),
    ("GET", "/payer/channels", "→ the payer's channels"),
    ("POST", "/webhooks", "{ nodeId, url } → where the LSP wakes that node; http on loopback only"),
];

pub(super) fn routes() -> Router<Arc<Lab>> {
    Router::new()
        .route("/pay", post(pay))
        .route("/payer/channels", get(channels).post(open_channel))
        .route("/webhooks", post(set_webhook))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PayRequest {
    bolt11: String,
    amount_msat: Option<u64>,
    timeout_ms: Option<u64>,
    strict_cltv: Option<bool>,
    #[serde(default)]
    again: bool,
    max_part_msat: Option<u64>,
}

async fn pay(State(lab): Shared, body: Bytes) -> Answer {
    let request: PayRequest = read(&body)?;
    let invoice: Bolt11Invoice =
        request.bolt11.parse().map_err(|error| Failure::bad(format!("bolt11 is not an invoice: {error}")))?;
    let payment = Payment {
        invoice,
        amount_msat: request.amount_msat,
        max_part_msat: request.max_part_msat,
        timeout: Duration::from_millis(request.timeout_ms.unwrap_or(PAY_TIMEOUT_MS)),
        strict_cltv: request.strict_cltv.unwrap_or(lab.strict_cltv),
        again: request.again,
    };
    match lab.pay(payment).await? {
        Ok(paid) => answer(paid),
        Err(error) => Err(Failure(StatusCode::PAYMENT_REQUIRED, error)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChannelRequest {
    sats: Option<u64>,
}

async fn open_channel(State(lab): Shared, body: Bytes) -> Answer {
    let request: ChannelRequest = read(&body)?;
    let sats = request.sats.unwrap_or(payer::CHANNEL_SAT);
    if !(PAYER_LEAST_SAT..=payer::CHANNEL_SAT).contains(&sats) {
        return Err(Failure::bad(format!("sats is {sats}: {PAYER_LEAST_SAT} to {}", payer::CHANNEL_SAT)));
    }
    lab.open_payer_channel(sats).await?;
    answer(lab.payer_channels().await?)
}

async fn channels(State(lab): Shared) -> Answer {
    answer(lab.payer_channels().await?)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WebhookRequest {
    node_id: String,
    url: String,
}

async fn set_webhook(State(lab): Shared, body: Bytes) -> Answer {
    let request: WebhookRequest = read(&body)?;
    let node = node_id(&request.node_id)?;
    let url: WebhookUrl = request.url.parse().map_err(|error| Failure::bad(format!("{error}")))?;
    lab.register_webhook(node, url).await?;
    answer(json!({}))
}
