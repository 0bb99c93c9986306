//! The LSP's knock on the wallet's door: an HTTP POST of a JSON body (bLIP-55).
//!
//! Fire and forget, as LSPs do it: one try, nobody waits for the answer, and what comes of it is only logged. The lab
//! calls nobody outside this machine: a URL that is not plain HTTP on loopback is refused before anything is sent.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// From connect to the answer's last byte. Over the longest a handler may run on the free plans of serverless hosts (60 s).
const TIMEOUT: Duration = Duration::from_secs(70);

/// What can be wrong with a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookError {
    /// Not a URL.
    Malformed { url: String, reason: String },
    /// Not `http://`. The lab has no certificates.
    NotHttp { url: String },
    /// Not 127.0.0.0/8, `[::1]` or `localhost`.
    NotLoopback { url: String },
    /// A header that HTTP can't carry.
    Header { name: String },
    /// Nobody there, or the connection broke.
    Unreachable(String),
    /// No whole answer within 70 s.
    TimedOut,
}

impl fmt::Display for WebhookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WebhookError::Malformed { url, reason } => {
                write!(f, "webhook {url:?} is not a URL ({reason}): give http://127.0.0.1:port/path")
            }
            WebhookError::NotHttp { url } => {
                write!(f, "webhook {url:?} is not http://: the lab speaks plain HTTP only")
            }
            WebhookError::NotLoopback { url } => {
                write!(f, "webhook {url:?} is not on loopback: the lab calls nobody outside this machine")
            }
            WebhookError::Header { name } => write!(f, "header {name:?} can't be sent in HTTP"),
            WebhookError::Unreachable(reason) => write!(f, "the webhook was not delivered: {reason}"),
            WebhookError::TimedOut => write!(f, "the webhook was not answered within {} s", TIMEOUT.as_secs()),
        }
    }
}

impl std::error::Error for WebhookError {}

/// Where a webhook goes: proven to be on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookUrl {
    /// Where to connect.
    address: SocketAddr,
    /// As written, for the `Host` header.
    authority: String,
    path: String,
}

impl WebhookUrl {
    /// Where its server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same URL, reached by way of another address: a proxy in front of its server.
    pub fn through(self, address: SocketAddr) -> Self {
        WebhookUrl { address, ..self }
    }
}

impl FromStr for WebhookUrl {
    type Err = WebhookError;

    fn from_str(url: &str) -> Result<Self, WebhookError> {
        let malformed = |reason: String| WebhookError::Malformed { url: url.into(), reason };
        let uri: Uri = url.parse().map_err(|e: hyper::http::uri::InvalidUri| malformed(e.to_string()))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some(_) => return Err(WebhookError::NotHttp { url: url.into() }),
            None => return Err(malformed("no scheme".into())),
        }
        let authority = uri.authority().ok_or_else(|| malformed("no host".into()))?;
        if authority.as_str().contains('@') {
            return Err(malformed("a user name has no business here".into()));
        }
        let host = authority.host();
        let address: IpAddr = match host.trim_start_matches('[').trim_end_matches(']').parse() {
            Ok(address) => address,
            // By definition (RFC 6761), without asking a resolver that may say otherwise.
            Err(_) if host.eq_ignore_ascii_case("localhost") => Ipv4Addr::LOCALHOST.into(),
            Err(_) => return Err(WebhookError::NotLoopback { url: url.into() }),
        };
        if !address.is_loopback() {
            return Err(WebhookError::NotLoopback { url: url.into() });
        }
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            None if authority.as_str().len() > host.len() => return Err(malformed("the port is not one".into())),
            None => 80,
        };
        if port == 0 {
            return Err(malformed("port 0 is nobody's".into()));
        }
        let path = uri.path_and_query().map_or("/", |p| p.as_str()).to_string();
        Ok(WebhookUrl { address: SocketAddr::new(address, port), authority: authority.to_string(), path })
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.path)
    }
}

/// Posts a JSON body with these headers beside the usual ones (bLIP-55's signature and timestamp), in a task of its own:
/// must run inside a tokio runtime. Drop the handle to forget it, or await it for the answer's status code. No retry; a
/// redirect is not followed.
pub fn post(
    url: WebhookUrl,
    headers: Vec<(String, String)>,
    body: impl Into<Bytes>,
) -> JoinHandle<Result<u16, WebhookError>> {
    let body = body.into();
    tokio::spawn(async move {
        let result = timeout(TIMEOUT, deliver(&url, headers, body)).await.unwrap_or(Err(WebhookError::TimedOut));
        match &result {
            Ok(status) => tracing::info!(%url, status, "webhook answered"),
            Err(e) => tracing::warn!(%url, "{e}"),
        }
        result
    })
}

async fn deliver(url: &WebhookUrl, headers: Vec<(String, String)>, body: Bytes) -> Result<u16, WebhookError> {
    let mut request = Request::post(&url.path)
        .header("host", &url.authority)
        .header("content-type", "application/json")
        .body(Full::new(body))
        .map_err(|e| WebhookError::Malformed { url: url.to_string(), reason: e.to_string() })?;
    for (name, value) in headers {
        let (Ok(key), Ok(value)) = (hyper::header::HeaderName::from_str(&name), value.parse()) else {
            return Err(WebhookError::Header { name });
        };
        request.headers_mut().insert(key, value);
    }
    let unreachable = |e: hyper::Error| WebhookError::Unreachable(e.to_string());
    let stream = TcpStream::connect(url.address).await.map_err(|e| WebhookError::Unreachable(e.to_string()))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(unreachable)?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        // To the end: a handler that works while it writes its answer must not see us hang up.
        response.into_body().collect().await?;
        // Ends the connection.
        drop(sender);
        Ok(status)
    };
    // The connection is driven beside the exchange, so a time-out drops both.
    let (status, ended) = tokio::join!(exchange, connection);
    if let Err(e) = ended {
        tracing::debug!("after the webhook's answer: {e}");
    }
    status.map_err(unreachable)
}
