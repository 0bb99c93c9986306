//! Between a store and its server: counts turns, and loses what a test wants lost. It waits for what passes, never for a time, except
//! where a test asks for a slow network.

use mayfly_core::config::{PostgresHost, PostgresUrl};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What happens to a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loses {
    /// It does not arrive, and the connection is reset.
    Request,
    /// It arrives; instead of its reply the connection is reset.
    Reply,
    /// All but its last five bytes (Sync) arrive; then the line is silent, as when the client froze.
    Sync,
    /// It arrives, and the line is silent from then on.
    Voice,
}

struct Rule {
    /// What the request must contain.
    marker: &'static str,
    loses: Loses,
    times: usize,
}

#[derive(Default)]
struct Shared {
    rules: Mutex<Vec<Rule>>,
    turns: AtomicUsize,
    /// Whether the last bytes were a client's.
    client_spoke: AtomicBool,
    connections: AtomicUsize,
    open: AtomicUsize,
    closed: Notify,
}

/// See the module's head.
pub struct Proxy {
    pub url: PostgresUrl,
    shared: Arc<Shared>,
}

impl Proxy {
    pub async fn before(url: &PostgresUrl) -> Proxy {
        Self::slow(url, Duration::ZERO).await
    }

    /// Every byte takes so long in each direction.
    pub async fn slow(url: &PostgresUrl, one_way: Duration) -> Proxy {
        let PostgresHost::Tcp(host) = &url.host else { panic!("a server with an address") };
        let upstream = (host.clone(), url.port);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let shared = Arc::<Shared>::default();
        let proxy = Proxy {
            url: PostgresUrl { host: PostgresHost::Tcp("127.0.0.1".to_owned()), port, ..url.clone() },
            shared: shared.clone(),
        };
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.expect("a client");
                let server = TcpStream::connect(&upstream).await.expect("the server");
                for stream in [&client, &server] {
                    stream.set_nodelay(true).expect("set");
                }
                shared.connections.fetch_add(1, Ordering::SeqCst);
                shared.open.fetch_add(1, Ordering::SeqCst);
                let shared = shared.clone();
                tokio::spawn(async move {
                    carry(client, server, &shared, one_way).await;
                    shared.open.fetch_sub(1, Ordering::SeqCst);
                    shared.closed.notify_waiters();
                });
            }
        });
        proxy
    }

    /// The next `times` requests with the marker are lost like that.
    pub fn lose(&self, marker: &'static str, loses: Loses, times: usize) {
        self.shared.rules.lock().unwrap().push(Rule { marker, loses, times });
    }

    /// How often a client spoke after the server had, since the last call.
    pub fn turns(&self) -> usize {
        self.shared.turns.swap(0, Ordering::SeqCst)
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Waits until no client has a connection.
    pub async fn all_closed(&self) {
        loop {
            let closed = self.shared.closed.notified();
            tokio::pin!(closed);
            closed.as_mut().enable();
            if self.shared.open.load(Ordering::SeqCst) == 0 {
                return;
            }
            closed.await;
        }
    }
}

async fn carry(client: TcpStream, server: TcpStream, shared: &Arc<Shared>, one_way: Duration) {
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let mut lost = None;
    let (mut asked, mut told) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        tokio::select! {
            read = from_client.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                let request = &asked[..length];
                if !shared.client_spoke.swap(true, Ordering::SeqCst) {
                    shared.turns.fetch_add(1, Ordering::SeqCst);
                }
                lost = lost.or_else(|| rule_for(shared, request));
                let arrives = match lost {
                    Some(Loses::Request) => return reset(from_client, to_client),
                    Some(Loses::Sync) => &request[..length - 5],
                    _ => request,
                };
                tokio::time::sleep(one_way).await;
                if to_server.write_all(arrives).await.is_err() {
                    return;
                }
                if lost == Some(Loses::Sync) {
                    return silent(from_client, from_server).await;
                }
            }
            read = from_server.read(&mut told) => {
                let Ok(length @ 1..) = read else { return };
                shared.client_spoke.store(false, Ordering::SeqCst);
                match lost {
                    Some(Loses::Reply) => return reset(from_client, to_client),
                    Some(Loses::Voice) => return silent(from_client, from_server).await,
                    _ => {}
                }
                tokio::time::sleep(one_way).await;
                if to_client.write_all(&told[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn rule_for(shared: &Shared, request: &[u8]) -> Option<Loses> {
    let mut rules = shared.rules.lock().unwrap();
    let matches = |rule: &&mut Rule| {
        rule.times > 0 && request.windows(rule.marker.len()).any(|part| part == rule.marker.as_bytes())
    };
    let rule = rules.iter_mut().find(matches)?;
    rule.times -= 1;
    Some(rule.loses)
}

fn reset(read: OwnedReadHalf, write: OwnedWriteHalf) {
    let client = read.reunite(write).expect("halves of one stream");
    client.set_zero_linger().expect("set");
}

/// Keeps both sides open until one of them goes, and carries nothing.
async fn silent(mut from_client: OwnedReadHalf, mut from_server: OwnedReadHalf) {
    let (mut rest, mut unheard) = (Vec::new(), Vec::new());
    tokio::select! {
        _ = from_client.read_to_end(&mut rest) => {}
        _ = from_server.read_to_end(&mut unheard) => {}
    }
}
