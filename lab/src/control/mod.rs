//! The control API: what a test, the demo or a benchmark does to the lab. JSON over HTTP on loopback.
//!
//! `GET /` lists it. A body that is no JSON, lacks a field or has one too many is answered 400 with what is wrong; a payment
//! that fails 402; an LSP that does not run 503.

mod chain;
mod cheat;
mod esplora;
mod hostile;
mod lsp;
mod mempool;
mod network;
mod payments;
mod views;

use crate::chain::ChainError;
use crate::lab::Lab;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::Router;
use bitcoin::secp256k1::PublicKey;
use mayfly_core::error::{Code, Error};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{json, Value};
use std::sync::Arc;

/// Method, path, and what it takes and answers.
type Entry = (&'static str, &'static str, &'static str);

type Shared = State<Arc<Lab>>;
type Answer = Result<axum::Json<Value>, Failure>;

/// The control API of a lab.
pub fn router(lab: Arc<Lab>) -> Router {
    Router::new()
        .route("/", get(index))
        .merge(payments::routes())
        .merge(lsp::routes())
        .merge(chain::routes())
        .merge(mempool::routes())
        .merge(esplora::routes())
        .merge(network::routes())
        .merge(hostile::routes())
        .merge(cheat::routes())
        .fallback(|| async { Failure(StatusCode::NOT_FOUND, "no such path or method: GET / lists them".into()) })
        .with_state(lab)
}

async fn index() -> Answer {
    let entries = [
        payments::INDEX,
        lsp::INDEX,
        chain::INDEX,
        mempool::INDEX,
        esplora::INDEX,
        network::INDEX,
        hostile::INDEX,
        cheat::INDEX,
    ];
    let entries = entries.into_iter().flatten();
    let lines: Vec<Value> =
        entries.map(|(method, path, what)| json!({ "method": method, "path": path, "what": what })).collect();
    answer(lines)
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

impl From<ChainError> for Failure {
    fn from(error: ChainError) -> Self {
        let status = match error {
            ChainError::Rejected(_) | ChainError::InsufficientFunds(_) => StatusCode::BAD_REQUEST,
            ChainError::Storage(_) => StatusCode::INTERNAL_SERVER_ERROR,
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

/// For a field whose `null` says something else than its absence.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(value: D) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(value).map(Some)
}

fn node_id(text: &str) -> Result<PublicKey, Failure> {
    text.parse().map_err(|_| Failure::bad(format!("nodeId {text:?} is not 66 hex characters of a public key")))
}

fn answer(value: impl Serialize) -> Answer {
    serde_json::to_value(value)
        .map(axum::Json)
        .map_err(|error| Failure(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}
