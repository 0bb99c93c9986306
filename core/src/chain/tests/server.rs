//! An HTTP server written by hand, so that it can break every rule.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::timeouts::{Timeouts, DEFAULTS};

/// What the server does with a request.
#[derive(Clone)]
pub enum Reply {
    /// Status and body.
    Answer(u16, Vec<u8>),
    /// Status, one more header line, body.
    WithHeader(u16, &'static str, Vec<u8>),
    /// A body without an end.
    Endless,
    /// A body shorter than announced.
    Truncated(Vec<u8>),
    /// These bytes, then the connection ends.
    Raw(&'static [u8]),
    /// Nothing, for ever.
    Silence,
    /// The connection ends without an answer.
    HangUp,
    /// An answer, after which the connection ends without saying so.
    AnswerThenHangUp(Vec<u8>),
}

pub fn ok(body: impl Into<Vec<u8>>) -> Reply {
    Reply::Answer(200, body.into())
}

#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub head: String,
    pub body: String,
}

type Handler = dyn Fn(&Asked) -> Reply + Send + Sync;

/// A running server; its tasks are the runtime's.
pub struct Server {
    pub port: u16,
    pub asked: Arc<Mutex<Vec<Asked>>>,
    pub connections: Arc<AtomicUsize>,
    /// Notified for each connection whose client is gone.
    pub gone: Arc<tokio::sync::Notify>,
}

impl Server {
    pub async fn start(handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let handler: Arc<Handler> = Arc::new(handler);
        let server = Server {
            port,
            asked: Arc::default(),
            connections: Arc::default(),
            gone: Arc::default(),
        };
        let (asked, connections, gone) = (server.asked.clone(), server.connections.clone(), server.gone.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let (handler, asked, gone) = (handler.clone(), asked.clone(), gone.clone());
                tokio::spawn(async move {
                    serve(stream, &*handler, &asked).await;
                    gone.notify_one();
                });
            }
        });
        server
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn paths(&self) -> Vec<String> {
        self.asked
            .lock()
            .unwrap()
            .iter()
            .map(|asked| asked.path.clone())
            .collect()
    }
}

/// Serves one connection until it ends.
pub async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, handler: &Handler, asked: &Mutex<Vec<Asked>>) {
    while let Some(request) = read_request(&mut stream).await {
        asked.lock().unwrap().push(request.clone());
        let (status, more, body, announced, stay) = match handler(&request) {
            Reply::Answer(status, body) => (status, "", body.clone(), body.len(), true),
            Reply::WithHeader(status, line, body) => (status, line, body.clone(), body.len(), true),
            Reply::Truncated(body) => (200, "", body.clone(), body.len() + 10, false),
            Reply::AnswerThenHangUp(body) => (200, "", body.clone(), body.len(), false),
            Reply::Raw(bytes) => {
                let _ = stream.write_all(bytes).await;
                return;
            }
            Reply::HangUp => return,
            Reply::Silence => return std::future::pending().await,
            Reply::Endless => {
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                    .await;
                while stream.write_all(b"400\r\n").await.is_ok()
                    && stream.write_all(&[b'a'; 1024]).await.is_ok()
                    && stream.write_all(b"\r\n").await.is_ok()
                {}
                return;
            }
        };
        let head = format!("HTTP/1.1 {status} X\r\n{more}Content-Length: {announced}\r\n\r\n");
        if stream.write_all(head.as_bytes()).await.is_err() || stream.write_all(&body).await.is_err() || !stay {
            return;
        }
    }
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<Asked> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| {
            line.to_lowercase()
                .strip_prefix("content-length: ")
                .map(|n| n.trim().parse().unwrap())
        })
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let mut words = head.split(' ');
    Some(Asked {
        method: words.next().unwrap().to_owned(),
        path: words.next().unwrap().to_owned(),
        body: String::from_utf8(body).unwrap(),
        head,
    })
}

/// Bounds that a test which waits for them can afford.
pub fn short() -> Timeouts {
    Timeouts {
        chain: Duration::from_millis(150),
        ..DEFAULTS
    }
}

/// Runs a test the way a node runs: on one thread.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(test)
}
