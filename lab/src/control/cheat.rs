//! The LSP as a thief: see `crate::cheat`.

use super::{answer, read, Answer, Entry, Failure, Shared};
use crate::cheat::{State, Theft};
use crate::lab::Lab;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::Query;
use axum::routing::{get, post};
use axum::Router;
use bitcoin::secp256k1::PublicKey;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;

pub(super) const INDEX: &[Entry] = &[
    (
        "POST",
        "/lsp/remember",
        "{ nodeId }: the LSP keeps each of its commitments with that node, the present one first",
    ),
    (
        "GET",
        "/lsp/states?nodeId=<id>",
        "→ [{ state, channelId, txid, ownSat, clientSat, htlcs: [{ sat, expiry }] }], oldest first",
    ),
    ("POST", "/lsp/cheat", "{ nodeId, state } → { txid }: publishes it, and takes what it can from then on"),
];

pub(super) fn routes() -> Router<Arc<Lab>> {
    Router::new()
        .route("/lsp/remember", post(remember))
        .route("/lsp/states", get(states))
        .route("/lsp/cheat", post(cheat))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Client {
    node_id: PublicKey,
}

async fn remember(axum::extract::State(lab): Shared, body: Bytes) -> Answer {
    let Client { node_id } = read(&body)?;
    lab.memory.watch(node_id);
    lab.with_lsp(move |lsp| lsp.role.remember(&lsp.base)).await?;
    answer(json!({}))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StateView {
    state: usize,
    channel_id: String,
    txid: String,
    own_sat: u64,
    client_sat: u64,
    htlcs: Vec<HtlcView>,
}

#[derive(Serialize)]
struct HtlcView {
    sat: u64,
    expiry: u32,
}

impl StateView {
    fn of((index, state): (usize, &State)) -> Self {
        StateView {
            state: index,
            channel_id: state.channel.to_string(),
            txid: state.txid.to_string(),
            own_sat: state.own.to_sat(),
            client_sat: state.client_has.to_sat(),
            htlcs: state.htlcs.iter().map(|htlc| HtlcView { sat: htlc.amount.to_sat(), expiry: htlc.expiry }).collect(),
        }
    }
}

async fn states(axum::extract::State(lab): Shared, query: Result<Query<Client>, QueryRejection>) -> Answer {
    let Query(Client { node_id }) = query?;
    answer(lab.memory.states(&node_id).iter().enumerate().map(StateView::of).collect::<Vec<_>>())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CheatRequest {
    node_id: PublicKey,
    state: usize,
}

async fn cheat(axum::extract::State(lab): Shared, body: Bytes) -> Answer {
    let CheatRequest { node_id, state } = read(&body)?;
    let states = lab.memory.states(&node_id);
    let Some(old) = states.get(state) else {
        let known = states.len();
        return Err(Failure::bad(format!(
            "state {state}: {known} are remembered, from 0; POST /lsp/remember keeps them"
        )));
    };
    let keys = lab.with_lsp(|lsp| Arc::clone(lsp.base.loaded.keys())).await?;
    lab.let_loose(Theft::begin(old, keys, lab.chain.clone())?);
    answer(json!({ "txid": old.txid.to_string() }))
}
