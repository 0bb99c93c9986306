//! The connection to the LSP: made with retries, driven by a task of its own, left politely.
//!
//! An LDK LSP refuses a second connection of the same node id for as long as a predecessor's socket looks alive (10–20 s of
//! ping ticks after a freeze): TCP and Noise succeed, then it closes without `init`. So a refused attempt is retried until the
//! caller's deadline.
//!
//! An LSP that drops each connection as soon as it stands is not called again without pause: see [`Pace`].
//!
//! Whoever calls the LSP holds the lease: the first attempt waits for the store's word, asked for after it was decided to call (at the
//! start the claim is that word), every later one until the lease is fresh.
//!
//! Leaving is a half-close and a read to the end. An HTLC that was on its way while we said goodbye sits in a dead connection,
//! and no webhook comes for it; hearing it here lets the node come back and serve it.

use crate::checkpoint::Fault;
use crate::config::LspPeer;
use crate::error::{Code, Error, Result};
use crate::guard::guarded_future;
use crate::ldk::PeerManager;
use crate::lease::{Lease, Stamp};
use crate::log::{phase, timed};
use crate::lsp::transport::LspTransport;
use crate::net::dns::Resolver;
use crate::net::peer_socket::PeerSocket;
use crate::net::tcp;
use crate::stats::Stats;
use crate::timeouts::Timeouts;
use lightning::ln::peer_handler::SocketDescriptor;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{sleep, sleep_until, timeout, timeout_at, Instant};
use tracing::field::Empty;
use tracing::{Instrument, Span};

/// Between two attempts: often enough that a freed slot is taken at once, rare enough to be no load.
const RETRY_PAUSE: Duration = Duration::from_millis(150);
/// How long the LSP may take to close its side after ours.
const GOODBYE: Duration = Duration::from_millis(1_000);

/// The node's peer manager.
pub type Peers = PeerManager<LspTransport>;

/// Makes connections to one LSP.
pub struct Dialer {
    peer: LspPeer,
    resolver: Resolver,
    timeouts: Timeouts,
    stats: Arc<Stats>,
    lease: Arc<Lease>,
    /// What a panic of LDK under a connection raises.
    fault: Fault,
    pace: Mutex<Pace>,
}

/// When the last two connections were opened. One that is lost at once is made again at once (a payment came during the
/// goodbye), the next one not: two within twice the pause, however quickly the LSP hangs up.
#[derive(Default)]
struct Pace {
    last: Option<Instant>,
    before: Option<Instant>,
}

impl Pace {
    fn opened(&mut self) {
        self.before = self.last.replace(Instant::now());
    }

    /// Before this instant no further one is opened.
    fn next(&self) -> Option<Instant> {
        self.before.map(|opened| opened + RETRY_PAUSE * 2)
    }
}

/// A TCP connection on which Noise's first act is sent. It does not say who we are; that is act three, sent by [`Link::open`].
pub struct Dialled {
    socket: PeerSocket,
}

/// A connection that is driven until it ends. Dropping it ends it: its task tells LDK and closes the socket.
pub struct Link {
    socket: PeerSocket,
    opened: Instant,
    task: JoinHandle<()>,
}

impl Dialer {
    /// A dialer; nothing is connected yet. A panic in the task of one of its connections raises `fault`.
    pub fn new(peer: LspPeer, resolver: Resolver, timeouts: Timeouts, fault: Fault) -> Self {
        Dialer {
            peer,
            resolver,
            timeouts,
            stats: Arc::default(),
            lease: Lease::of_process(),
            fault,
            pace: Mutex::default(),
        }
    }

    /// Calls only under that lease.
    pub fn under(self, lease: Arc<Lease>) -> Self {
        Dialer { lease, ..self }
    }

    /// Counts its connections and their traffic there.
    pub fn counting(self, stats: Arc<Stats>) -> Self {
        Dialer { stats, ..self }
    }

    /// TCP, and Noise's first act.
    pub async fn dial(&self, peers: &Peers) -> Result<Dialled> {
        let (host, port) = (self.peer.host.as_str(), self.peer.port);
        let connect = timeout(self.timeouts.connect, tcp::connect(&self.resolver, host, port)).await;
        let stream = connect
            .map_err(|_| {
                self.unavailable(format!("no TCP connection within {} ms", self.timeouts.connect.as_millis()))
            })?
            .map_err(|error| self.unavailable(error.to_string()))?;
        let socket = PeerSocket::under(stream, Arc::clone(&self.stats), Arc::clone(&self.lease))
            .map_err(|error| self.unavailable(error.to_string()))?;
        let act_one = peers
            .new_outbound_connection(self.peer.node_id, socket.clone(), None)
            .map_err(|_| self.unavailable("LDK refused a new connection".to_owned()))?;
        socket.send_first(&act_one).map_err(|error| self.unavailable(error.to_string()))?;
        Ok(Dialled { socket })
    }

    /// Connects until `init` is exchanged, beginning with `first` if it stands. Retried until `timeouts.lsp` has passed. It was `decided` at
    /// that stamp of the lease. `STORE_UNAVAILABLE`: the store did not confirm it in that time, and nobody was called.
    pub async fn connect(
        &self,
        peers: &Arc<Peers>,
        lsp: &LspTransport,
        first: Option<Dialled>,
        decided: Stamp,
    ) -> Result<Link> {
        // The connection outlives this phase: what LDK tells while it handles messages belongs to what is around it.
        let around = Span::current();
        let span = phase!(target: "mayfly::lsp", DEBUG, "connect", refusals = Empty);
        let deadline = Instant::now() + self.timeouts.lsp;
        timed(span, async {
            self.allowed(decided, deadline).await?;
            self.retry(peers, lsp, first, around, deadline).await
        })
        .await
    }

    /// The lease is fresh, and was confirmed after that.
    async fn allowed(&self, decided: Stamp, deadline: Instant) -> Result<()> {
        timeout_at(deadline, self.lease.open_to(decided)).await.unwrap_or_else(|_| {
            let ms = self.timeouts.lsp.as_millis();
            let what =
                format!("the store did not confirm this node's lease within {ms} ms, so the LSP was not called; retry");
            Err(Error::new(Code::StoreUnavailable, what))
        })
    }

    async fn retry(
        &self,
        peers: &Arc<Peers>,
        lsp: &LspTransport,
        first: Option<Dialled>,
        around: Span,
        deadline: Instant,
    ) -> Result<Link> {
        let mut first = first;
        let mut refusals = 0u32;
        let earliest = self.pace().next();
        if let Some(earliest) = earliest {
            sleep_until(earliest).await;
        }
        loop {
            let attempt = match first.take() {
                Some(dialled) => Ok(dialled),
                None => {
                    self.allowed(Stamp::NONE, deadline).await?;
                    self.dial(peers).await
                }
            };
            let problem = match attempt {
                Ok(dialled) => match dialled.open(peers, lsp, self.fault.clone(), deadline, around.clone()).await {
                    Some(link) => {
                        self.stats.connected_to_lsp();
                        Span::current().record("refusals", refusals);
                        if refusals > 0 {
                            tracing::info!(refusals, "connected to the LSP after refused attempts");
                        }
                        self.pace().opened();
                        return Ok(link);
                    }
                    None => {
                        refusals += 1;
                        self.stats.refused_by_lsp();
                        self.unavailable(
                            "the handshake does not finish: is `lspNodeId` its id? Else it still believes in an earlier connection of this wallet, or asks for features that this wallet lacks".to_owned(),
                        )
                    }
                },
                Err(error) => error,
            };
            // LDK's locks are poisoned after a panic: it must not be entered again.
            if let Some(reason) = self.fault.reason() {
                return Err(reason);
            }
            if Instant::now() + RETRY_PAUSE >= deadline {
                return Err(problem);
            }
            tracing::debug!(problem = %problem.message, "connecting to the LSP again");
            sleep(RETRY_PAUSE).await;
        }
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unavailable(&self, what: String) -> Error {
        let LspPeer { host, port, .. } = &self.peer;
        Error::new(
            Code::LspUnavailable,
            format!("the LSP at {host}:{port} can't be reached: {what}; retry, or check `lspAddress` and `lspNodeId`"),
        )
    }
}

impl Dialled {
    /// Noise's third act and `init`. None: the LSP ended the connection, or the deadline passed.
    async fn open(
        self,
        peers: &Arc<Peers>,
        lsp: &LspTransport,
        fault: Fault,
        deadline: Instant,
        around: Span,
    ) -> Option<Link> {
        let (socket, peers) = (self.socket.clone(), Arc::clone(peers));
        let mut connected = lsp.connected();
        let drive = async move {
            let mut closing = socket.clone();
            if let Err(error) = guarded_future("the connection to the LSP", socket.drive(peers.as_ref())).await {
                closing.disconnect_socket();
                fault.raise(error);
            }
        };
        let task = tokio::spawn(drive.instrument(around));
        let mut link = Link { socket: self.socket, opened: Instant::now(), task };
        let opened = tokio::select! {
            opened = timeout_at(deadline, connected.wait_for(|connected| *connected)) => matches!(opened, Ok(Ok(_))),
            () = link.ended() => false,
        };
        opened.then_some(link)
    }
}

impl Link {
    /// Whether the connection still stands.
    pub fn is_up(&self) -> bool {
        !self.task.is_finished()
    }

    /// Since when it is being opened.
    pub fn opened(&self) -> Instant {
        self.opened
    }

    /// Resolves when the connection has ended.
    pub async fn ended(&mut self) {
        let _ = (&mut self.task).await;
    }

    /// Half-close, then read what the LSP still sent, to its end.
    pub async fn leave(mut self) {
        if !self.is_up() {
            return;
        }
        let span = phase!(target: "mayfly::lsp", DEBUG, "goodbye");
        let goodbye = async {
            self.socket.leave();
            if timeout(GOODBYE, &mut self.task).await.is_err() {
                tracing::debug!("the LSP did not close its side in time; closing ours");
                self.socket.disconnect_socket();
                self.ended().await;
            }
            Ok(())
        };
        let _ = timed(span, goodbye).await;
    }
}

impl Drop for Link {
    /// Never by aborting the task: LDK would go on believing in the connection, refuse the next one, and keep the socket open.
    fn drop(&mut self) {
        self.socket.disconnect_socket();
    }
}
