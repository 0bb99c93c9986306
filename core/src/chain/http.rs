//! HTTP/1.1 to one server, for Esplora.
//!
//! hyper with its pooled client over our own resolver and sockets, so that nothing touches tokio's blocking pool and every
//! connection has TCP_NODELAY. What must hold: a request is bounded in time (`timeouts.chain`, everything included) and its
//! answer in bytes; connections live on the caller's runtime and die with it; redirects are not followed (a redirect of a
//! broadcast would hand it to a stranger); no error carries credentials, whether they stand in the URL's user part or in its
//! path (some providers put the key there): errors name the origin and the endpoint.
//!
//! A question may be asked again, so one that fails in a way that passes (no connection, one that broke off, a 5xx) is asked
//! once more within the same time: one bad moment of a server must not fail a whole boot. Who says "later" (429, or 503 with
//! `Retry-After`) is not asked again, and a broadcast is never repeated.
//!
//! What fails how: everything is `CHAIN_UNAVAILABLE` with what was wrong; `retry_after` is the server's, if it said so.

use super::credentials::basic_authorization;
use crate::error::{Code, Error, Result};
use crate::net::dns::Resolver;
use crate::net::{tcp, NetError};
use crate::stats::Stats;
use crate::timeouts::Timeouts;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{
    HeaderMap, HeaderValue, ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, USER_AGENT,
};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout_at, Instant};

/// Idle connections of one server: as many as one round of requests may open.
pub(crate) const MAX_CONNECTIONS: usize = 16;

/// An idle connection older than this is not used again: load balancers drop them silently after a minute or so.
const IDLE: Duration = Duration::from_secs(30);

/// How much of an unexpected answer an error shows.
const SHOWN: usize = 120;

/// Before a question is asked again: a proxy that lost its server has another by then, and a boot hardly notices.
const RETRY_PAUSE: Duration = Duration::from_millis(150);

/// The longest `Retry-After` that is passed on; more is a server's mistake.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3_600);

/// A client of one server. Clones share its connections.
#[derive(Clone)]
pub struct Http {
    client: Client<HttpsConnector<Connector>, Full<Bytes>>,
    /// `https://host:port`: what errors show.
    origin: Arc<str>,
    /// The origin plus the URL's path, without a slash at the end.
    base: Arc<str>,
    authorization: Option<HeaderValue>,
    timeout: Duration,
    stats: Arc<Stats>,
}

/// An answer worth reading: success, or a 400 or 404, which mean something in Esplora's API.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The whole body.
    pub body: Bytes,
}

/// Why an exchange failed, and whether the same may succeed in a moment.
struct Failure {
    error: Box<Error>,
    outlook: Outlook,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outlook {
    /// It may have passed in a moment.
    Passing,
    /// Asking again gets the same.
    Lasting,
    /// The time is up.
    NoTime,
}

impl Http {
    /// A client of the server at `url`. Opens nothing.
    ///
    /// # Errors
    /// `INVALID_OPTION` (`esploraUrl`) if the URL is not http(s) with a host.
    pub fn new(url: &str, timeouts: &Timeouts, resolver: Resolver) -> Result<Http> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::new(Code::Internal, format!("TLS can't be set up: {e}")))?
            .with_webpki_roots()
            .with_no_client_auth();
        Http::with_tls(url, timeouts, resolver, tls)
    }

    /// The same with other roots of trust, for tests.
    pub(crate) fn with_tls(url: &str, timeouts: &Timeouts, resolver: Resolver, tls: ClientConfig) -> Result<Http> {
        // The URL may hold credentials: no message repeats it.
        let wrong =
            |what: &str| Error::option("esploraUrl", format!("esploraUrl {what}; give http(s)://host[:port]/path"));
        let uri: Uri = url.trim().parse().map_err(|_| wrong("is not a URL"))?;
        let scheme = uri.scheme_str().unwrap_or_default();
        if scheme != "http" && scheme != "https" {
            return Err(wrong("is neither http nor https"));
        }
        if uri.query().is_some() {
            return Err(wrong("has a query"));
        }
        let authority = uri.authority().map(|a| a.as_str()).unwrap_or_default();
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        if uri.host().unwrap_or_default().is_empty() {
            return Err(wrong("has no host"));
        }
        let authorization = user.map(basic_authorization).transpose().map_err(|()| wrong("has a wrong user part"))?;
        let origin = format!("{scheme}://{place}");
        let base = format!("{origin}{}", uri.path().trim_end_matches('/'));
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MAX_CONNECTIONS)
            .build(HttpsConnector::from((Connector { resolver }, tls)));
        let (origin, base, timeout, stats) = (origin.into(), base.into(), timeouts.chain, Arc::default());
        Ok(Http { client, origin, base, authorization, timeout, stats })
    }

    /// Counts its requests there.
    pub fn counting(self, stats: Arc<Stats>) -> Self {
        Http { stats, ..self }
    }

    /// `GET path`, with an answer of at most `limit` bytes. Asked again at once if the server dropped the connection unasked,
    /// and once more after a moment if it fails in a way that passes.
    pub async fn get(&self, path: &str, limit: usize) -> Result<Answer> {
        let deadline = Instant::now() + self.timeout;
        let first = match self.bounded(Method::GET, path, Bytes::new(), limit, deadline).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        if first.outlook != Outlook::Passing || Instant::now() + RETRY_PAUSE >= deadline {
            return Err(*first.error);
        }
        tracing::debug!(reason = %first.error.message, "asking again");
        sleep(RETRY_PAUSE).await;
        match self.bounded(Method::GET, path, Bytes::new(), limit, deadline).await {
            Ok(answer) => Ok(answer),
            // What was wrong says more than that the rest of the time was too short.
            Err(second) if second.outlook == Outlook::NoTime => Err(*first.error),
            Err(second) => Err(*second.error),
        }
    }

    /// `POST path`, with an answer of at most `limit` bytes. Never repeated once it may have been read.
    pub async fn post(&self, path: &str, body: String, limit: usize) -> Result<Answer> {
        let deadline = Instant::now() + self.timeout;
        self.bounded(Method::POST, path, Bytes::from(body), limit, deadline).await.map_err(|failure| *failure.error)
    }

    /// `CHAIN_UNAVAILABLE` for an answer (or none) to a request for `path`.
    pub fn unavailable(&self, path: &str, what: impl std::fmt::Display) -> Error {
        let origin = &self.origin;
        Error::new(Code::ChainUnavailable, format!("Esplora at {origin}, {path}: {what}; retry, or check esploraUrl"))
    }

    async fn bounded(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        limit: usize,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        match timeout_at(deadline, self.exchange(method, path, body, limit)).await {
            Ok(answer) => answer,
            Err(_) => {
                let error = self.unavailable(path, format!("no answer in {} ms", self.timeout.as_millis()));
                Err(Failure::new(error, Outlook::NoTime))
            }
        }
    }

    async fn exchange(&self, method: Method, path: &str, body: Bytes, limit: usize) -> Result<Answer, Failure> {
        self.stats.asked_chain();
        let mut sent = self.client.request(self.request(&method, path, body.clone())?).await;
        // A server may close an idle connection while our request is on its way. hyper repeats what it had not yet written;
        // what was written may be repeated only if repeating is harmless.
        if method == Method::GET && matches!(&sent, Err(e) if was_dropped(e)) {
            sent = self.client.request(self.request(&method, path, body)?).await;
        }
        let response = sent.map_err(|e| {
            let outlook = if is_distrust(&e) { Outlook::Lasting } else { Outlook::Passing };
            Failure::new(self.unavailable(path, chain_of(&e)), outlook)
        })?;
        let (head, mut stream) = response.into_parts();
        let mut body = Vec::new();
        while let Some(frame) = stream.frame().await {
            let frame = frame.map_err(|e| {
                let error = self.unavailable(path, format!("the answer broke off: {}", chain_of(&e)));
                Failure::new(error, Outlook::Passing)
            })?;
            let Some(data) = frame.data_ref() else { continue };
            if data.len() > limit.saturating_sub(body.len()) {
                return Err(self.unavailable(path, format!("answered more than {limit} bytes")).into());
            }
            self.stats.heard_chain(data.len());
            body.extend_from_slice(data);
        }
        self.judged(path, head.status, &head.headers, body.into())
    }

    fn request(&self, method: &Method, path: &str, body: Bytes) -> Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(ACCEPT, "*/*")
            .header(USER_AGENT, concat!("mayfly/", env!("CARGO_PKG_VERSION")));
        if *method == Method::POST {
            request = request.header(CONTENT_TYPE, "text/plain");
        }
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        request
            .body(Full::new(body))
            .map_err(|e| Error::new(Code::Internal, format!("can't make the request for {path}: {e}")))
    }

    fn judged(&self, path: &str, status: StatusCode, headers: &HeaderMap, body: Bytes) -> Result<Answer, Failure> {
        let answer = Answer { status, body };
        if status.is_redirection() {
            return Err(self.unavailable(path, format!("answered {status}, but redirects are not followed")).into());
        }
        if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            return Err(self.unavailable(path, "answered with an encoding that was not asked for").into());
        }
        // An HTML page is a proxy's or a landing page's: a 404 of one does not mean "not found". (A success is judged by who
        // asked: bytes that look like HTML may be a transaction.)
        let refused = status == StatusCode::BAD_REQUEST || status == StatusCode::NOT_FOUND;
        if status.is_success() || (refused && !answer.is_html()) {
            return Ok(answer);
        }
        let what = if answer.is_html() { "an HTML page".to_owned() } else { answer.shown() };
        let retry_after = retry_after(headers);
        let outlook =
            if status.is_server_error() && retry_after.is_none() { Outlook::Passing } else { Outlook::Lasting };
        let error = Error { retry_after, ..self.unavailable(path, format!("answered {status}: {what}")) };
        Err(Failure::new(error, outlook))
    }
}

/// What is wrong with an answer, or with us, is so the next time, too.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::new(error, Outlook::Lasting)
    }
}

impl Failure {
    fn new(error: Error, outlook: Outlook) -> Self {
        Failure { error: Box::new(error), outlook }
    }
}

impl Answer {
    /// Whether what was asked for does not exist.
    pub fn is_absent(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    /// The beginning of the body, fit for a message.
    pub fn shown(&self) -> String {
        shown(&self.body)
    }

    fn is_html(&self) -> bool {
        let start = self.body.trim_ascii_start();
        let begins = |what: &[u8]| start.get(..what.len()).is_some_and(|s| s.eq_ignore_ascii_case(what));
        begins(b"<!doctype") || begins(b"<html") || begins(b"<head") || begins(b"<?xml")
    }
}

/// The beginning of some bytes, fit for a message.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let part = bytes.get(..SHOWN).unwrap_or(bytes);
    let text = String::from_utf8_lossy(part).trim().escape_debug().to_string();
    let more = if bytes.len() > SHOWN { "…" } else { "" };
    format!("'{text}{more}'")
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

/// Whether an established connection ended before any answer.
fn was_dropped(error: &hyper_util::client::legacy::Error) -> bool {
    if error.is_connect() {
        return false;
    }
    causes(error).any(|cause| {
        let http = cause.downcast_ref::<hyper::Error>();
        let io = cause.downcast_ref::<std::io::Error>();
        http.is_some_and(|e| e.is_incomplete_message() || e.is_closed() || e.is_canceled())
            || io.is_some_and(|e| {
                use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
                matches!(e.kind(), BrokenPipe | ConnectionAborted | ConnectionReset)
            })
    })
}

/// Whether the server's certificate, or what it calls TLS, is the problem.
fn is_distrust(error: &hyper_util::client::legacy::Error) -> bool {
    let of_tls = |io: &std::io::Error| io.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
    causes(error).any(|cause| cause.downcast_ref().is_some_and(of_tls))
}

fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |e| e.source())
}

/// An error with its causes, outermost first, each said once.
fn chain_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    for cause in causes(error).map(|e| e.to_string()) {
        if !said.iter().any(|s| s.contains(&cause)) {
            said.push(cause);
        }
    }
    said.join(": ")
}

/// hyper's way to our sockets.
#[derive(Clone)]
struct Connector {
    resolver: Resolver,
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = NetError;
    type Future = Pin<Box<dyn Future<Output = std::result::Result<Self::Response, NetError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), NetError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let resolver = self.resolver.clone();
        let host = uri.host().unwrap_or_default().to_owned();
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        Box::pin(async move { tcp::connect(&resolver, &host, port).await.map(TokioIo::new) })
    }
}
