//! An Esplora server that lies: a layer in front of the true answers.
//!
//! What a wallet believes of the chain decides over money, and what it reads decides over its memory. So a test must be able
//! to make the server wrong in each way that servers are: a proxy's page instead of an answer, a body without an end, a tip
//! of yesterday, a proof of something else, another network.
//!
//! One lie is told at a time, to requests whose path begins with its prefix, so often as it says; then the truth again. A
//! lie about the chain touches only the answers that it is about. Nothing here changes the chain.

mod bodies;
mod forged;

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{to_bytes, Body};
use axum::extract::{Request, State};
use axum::http::{header, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::chain::SharedChain;
use forged::Forged;

/// A block's longest transaction, as hex, fits.
const LONGEST_TRUTH: usize = 16 << 20;

/// How long a client is told to wait by `429` and `busy`, in seconds.
pub const RETRY_AFTER_SECS: u64 = 7;

/// What a captive portal or a proxy in trouble says, with success.
const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Welcome</title></head><body>Please log in.</body></html>\n";

/// Bitcoin Core's words, as Esplora passes them on.
const REJECTED: &str = r#"sendrawtransaction RPC error: {"code":-26,"message":"min relay fee not met, 0 < 110"}"#;

/// A gzip file of nothing in particular: the magic number is what a client meets.
const GZIP: [u8; 20] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// A way to be wrong. The names are those of the control API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Lie {
    /// A web page, with 200.
    Html,
    /// The first half of the true answer, as if that were all.
    Truncated,
    /// The first half of the true answer, its whole length announced; then the connection ends.
    BrokenOff,
    /// Nothing, with 200.
    EmptyBody,
    /// 500, with a line of text.
    #[serde(rename = "500")]
    InternalError,
    /// 502, with a proxy's page.
    #[serde(rename = "502")]
    BadGateway,
    /// 503, with a line of text.
    #[serde(rename = "503")]
    Unavailable,
    /// 503 with `Retry-After`.
    Busy,
    /// 429 with `Retry-After`.
    #[serde(rename = "429")]
    TooMany,
    /// 404, with a line of text: "there is no such thing".
    #[serde(rename = "404")]
    NotFound,
    /// 302 to somewhere else.
    Redirect,
    /// Compressed, though nobody asked for that.
    Gzip,
    /// A body without an end.
    EndlessBody,
    /// 1 GB, announced.
    HugeBody,
    /// 1 GB, not announced.
    HugeBodyChunked,
    /// The head at once, then a byte now and then, without an end.
    SlowBody,
    /// Never an answer.
    Silence,
    /// The tip is an older block: `blocks` below the true one. All else is true.
    StaleTip,
    /// Headers are those of another block.
    WrongHeader,
    /// The tip is a made-up block on top of the true one, without the work that its target asks for.
    NoWork,
    /// The whole server is another network's: its tip is mainnet's first block, said to be at height 900,000.
    WrongNetwork,
    /// Merkle proofs with one hash changed.
    WrongMerkle,
    /// Transactions are unknown, their proofs and statuses are not.
    MissingTx,
    /// Broadcasts are refused for too low a fee. Nothing of them reaches the chain.
    RejectTx,
}

/// What is told, to whom and how often.
#[derive(Clone, Debug)]
pub struct Told {
    pub lie: Lie,
    /// The beginning of the paths that are lied about.
    pub path: String,
    /// How often it is still told; `None` until it is taken back.
    pub times: Option<u64>,
    /// How far a stale tip lies back.
    pub blocks: u32,
}

/// The lie that is told now, and how many were told in all. Clones share it.
#[derive(Clone, Default)]
pub struct Lies(Arc<Mutex<Now>>);

#[derive(Default)]
struct Now {
    told: Option<Told>,
    count: u64,
}

impl Lies {
    /// From now on this is told, instead of what was told before; `None` is the truth.
    pub fn set(&self, told: Option<Told>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).told = told;
    }

    /// How many answers were lies since the lab's start.
    pub fn count(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).count
    }

    /// The lie for that request, which is now told.
    fn about(&self, method: &Method, forged: &Forged) -> Option<Told> {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told = now.told.as_mut()?;
        let applies = forged.path.starts_with(&told.path) && told.lie.touches(method, forged);
        if !applies || told.times == Some(0) {
            return None;
        }
        told.times = told.times.map(|times| times - 1);
        let told = told.clone();
        now.count += 1;
        Some(told)
    }
}

impl Lie {
    /// Whether it has something to say to that request. What is no lie about the chain spoils every answer.
    fn touches(self, method: &Method, forged: &Forged) -> bool {
        match self {
            Lie::StaleTip => forged.is_tip(),
            Lie::WrongHeader => forged.path.ends_with("/header"),
            Lie::NoWork => forged.is_tip() || forged.is_about_the_made_up_block(),
            Lie::WrongMerkle => forged.path.ends_with("/merkleblock-proof"),
            Lie::MissingTx => forged.path.ends_with("/raw"),
            Lie::RejectTx => method == Method::POST,
            _ => true,
        }
    }

    /// What becomes of the true answer; `None` for a lie that needs none.
    fn change(self) -> Option<fn(Vec<u8>) -> Body> {
        match self {
            Lie::Truncated => Some(|truth| bodies::half(&truth).to_vec().into()),
            Lie::BrokenOff => Some(|truth| bodies::broken_off(&truth)),
            Lie::WrongMerkle => Some(|truth| forged::changed_proof(&truth).into()),
            _ => None,
        }
    }
}

/// What the layer works with.
#[derive(Clone)]
pub(super) struct Liar {
    pub lies: Lies,
    pub chain: SharedChain,
}

/// The layer: a lie where one applies, else the truth.
pub(super) async fn layer(State(liar): State<Liar>, request: Request, next: Next) -> Response {
    let forged = Forged { chain: liar.chain.clone(), path: request.uri().path().to_owned() };
    let Some(told) = liar.lies.about(request.method(), &forged) else { return next.run(request).await };
    if let Some(change) = told.lie.change() {
        let (mut head, body) = next.run(request).await.into_parts();
        return match to_bytes(body, LONGEST_TRUTH).await {
            Ok(truth) if head.status.is_success() => {
                if told.lie == Lie::BrokenOff {
                    head.headers.insert(header::CONTENT_LENGTH, truth.len().into());
                } else {
                    head.headers.remove(header::CONTENT_LENGTH);
                }
                Response::from_parts(head, change(truth.into()))
            }
            Ok(refusal) => Response::from_parts(head, refusal.into()),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("the lab's own answer: {error}")).into_response(),
        };
    }
    let text = [(header::CONTENT_TYPE, "text/plain")];
    let page = [(header::CONTENT_TYPE, "text/html")];
    let later = [(header::RETRY_AFTER, RETRY_AFTER_SECS)];
    match told.lie {
        Lie::StaleTip => (text, forged.stale_tip(told.blocks)).into_response(),
        Lie::WrongHeader => (text, forged.other_header()).into_response(),
        Lie::NoWork => (text, forged.without_work()).into_response(),
        Lie::WrongNetwork => forged.other_network(),
        Lie::Html => (page, PAGE).into_response(),
        Lie::EmptyBody => text.into_response(),
        Lie::InternalError => (StatusCode::INTERNAL_SERVER_ERROR, "internal error").into_response(),
        Lie::BadGateway => (StatusCode::BAD_GATEWAY, page, PAGE).into_response(),
        Lie::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "overloaded").into_response(),
        Lie::Busy => (StatusCode::SERVICE_UNAVAILABLE, later, "come back later").into_response(),
        Lie::TooMany => (StatusCode::TOO_MANY_REQUESTS, later, "Too Many Requests").into_response(),
        Lie::NotFound | Lie::MissingTx => (StatusCode::NOT_FOUND, "Transaction not found").into_response(),
        Lie::RejectTx => (StatusCode::BAD_REQUEST, REJECTED).into_response(),
        Lie::Redirect => (StatusCode::FOUND, [(header::LOCATION, "http://127.0.0.1:1/")]).into_response(),
        Lie::Gzip => ([(header::CONTENT_ENCODING, "gzip")], GZIP.to_vec()).into_response(),
        Lie::EndlessBody => bodies::endless().into_response(),
        Lie::HugeBody => ([(header::CONTENT_LENGTH, bodies::HUGE)], bodies::huge()).into_response(),
        Lie::HugeBodyChunked => bodies::huge().into_response(),
        Lie::SlowBody => bodies::slow().into_response(),
        Lie::Silence => std::future::pending().await,
        Lie::Truncated | Lie::BrokenOff | Lie::WrongMerkle => unreachable!("they change the truth"),
    }
}
