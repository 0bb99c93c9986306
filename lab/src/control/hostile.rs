//! The LSP as an enemy: see `crate::hostile`.

use super::{answer, read, Answer, Entry, Failure, Shared};
use crate::hostile::{check_sayings, say, Rules, Saying};
use crate::lab::Lab;
use crate::node::lsp_settings;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::{get, post};
use axum::Router;
use bitcoin::secp256k1::PublicKey;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

pub(super) const INDEX: &[Entry] = &[
    ("GET", "/lsp/hostile", "→ what the LSP does wrong on purpose"),
    (
        "POST",
        "/lsp/hostile",
        "{ mute?, deaf?, hideSkim?, openChannel?, noFeatures?, feature?, dropPeers?, greeting?, lsps? }: all that it does wrong from now on; {}: nothing",
    ),
    ("POST", "/lsp/say", "{ nodeId, messages: [{ type, hex?, text?, times? }] }: Lightning messages of any type and content"),
    ("POST", "/lsp/open", "{ nodeId, sats, pushMsat?, announced?, count? }: channels that nobody asked for"),
];

pub(super) fn routes() -> Router<Arc<Lab>> {
    Router::new()
        .route("/lsp/hostile", get(rules).post(set_rules))
        .route("/lsp/say", post(say_to))
        .route("/lsp/open", post(open))
}

async fn rules(State(lab): Shared) -> Answer {
    answer(lab.with_lsp(|lsp| lsp.base.hostile.rules()).await?)
}

async fn set_rules(State(lab): Shared, body: Bytes) -> Answer {
    let rules: Rules = read(&body)?;
    rules.check().map_err(Failure::bad)?;
    answer(
        lab.with_lsp(|lsp| {
            lsp.base.hostile.set(rules.clone());
            rules
        })
        .await?,
    )
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SayRequest {
    node_id: PublicKey,
    messages: Vec<Saying>,
}

async fn say_to(State(lab): Shared, body: Bytes) -> Answer {
    let SayRequest { node_id, messages } = read(&body)?;
    check_sayings(&messages).map_err(Failure::bad)?;
    let connected = lab.with_lsp(move |lsp| {
        let connected = lsp.base.port.is_connected(&node_id);
        say(&lsp.base, node_id, &messages);
        lsp.base.wake();
        connected
    });
    match connected.await? {
        true => answer(json!({})),
        false => Err(Failure::bad(format!("{node_id} is not connected"))),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OpenRequest {
    node_id: PublicKey,
    sats: u64,
    #[serde(default)]
    push_msat: u64,
    #[serde(default)]
    announced: bool,
    count: Option<u32>,
}

async fn open(State(lab): Shared, body: Bytes) -> Answer {
    let request: OpenRequest = read(&body)?;
    let opened = lab.with_lsp(move |lsp| {
        let mut settings = lsp_settings();
        settings.channel_handshake_config.announce_for_forwarding = request.announced;
        let OpenRequest { node_id, sats, push_msat, count, .. } = request;
        let result = (0..count.unwrap_or(1)).try_for_each(|_| {
            let created = lsp.base.manager().create_channel(node_id, sats, push_msat, 0, None, Some(settings.clone()));
            created.map(drop).map_err(|error| format!("{error:?}"))
        });
        lsp.base.wake();
        result
    });
    opened.await?.map_err(Failure::bad)?;
    answer(json!({}))
}
