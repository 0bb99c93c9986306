//! Drives one Lightning connection: TCP on one side, LDK's peer manager on the other.
//!
//! Own code instead of lightning-net-tokio, because leaving needs what that does not have: half-close, read to EOF, and no
//! task that outlives the node. Writes go straight to the socket; LDK keeps what did not fit and is told when there is room.
//!
//! The lease is asked here, at the last place before the wire: while it is not fresh, no byte of LDK's is taken and none is handed to it.
//! After a thaw this task may run first, before any timer: what lay in the socket's buffer must not be answered, nor what LDK had ready
//! be said, before the store has confirmed that the wallet is still ours. What was read just before is kept until then.

use crate::lease::Lease;
use crate::stats::Stats;
use lightning::ln::peer_handler::{PeerHandleError, SocketDescriptor};
use std::hash::{Hash, Hasher};
use std::io::ErrorKind;
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// About what LDK asks for: bigger reads would let one peer fill the handlers in one go.
const READ_BYTES: usize = 4096;

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// LDK's handle of a connection.
#[derive(Clone)]
pub struct PeerSocket {
    id: u64,
    inner: Arc<Inner>,
}

struct Inner {
    stream: TcpStream,
    stats: Arc<Stats>,
    lease: Arc<Lease>,
    /// LDK has bytes that did not fit.
    wants_write: AtomicBool,
    /// LDK asks us not to read.
    read_paused: AtomicBool,
    /// LDK, or we, ended it.
    closed: AtomicBool,
    /// Our side of the connection is shut: what LDK still writes goes nowhere.
    leaving: AtomicBool,
    changed: Notify,
}

/// What a peer manager is to its sockets; implemented by LDK's for every handler type.
pub trait Peers {
    /// See `PeerManager::read_event`.
    fn read(&self, socket: &mut PeerSocket, data: &[u8]) -> Result<(), PeerHandleError>;
    /// See `PeerManager::write_buffer_space_avail`.
    fn writable(&self, socket: &mut PeerSocket) -> Result<(), PeerHandleError>;
    /// See `PeerManager::process_events`.
    fn process(&self);
    /// See `PeerManager::socket_disconnected`.
    fn gone(&self, socket: &PeerSocket);
}

impl PeerSocket {
    /// A connected stream (TCP_NODELAY is set here: without it each payment takes 43 ms more).
    pub fn new(stream: TcpStream) -> std::io::Result<Self> {
        PeerSocket::under(stream, Arc::default(), Lease::of_process())
    }

    /// The same under that lease, and its traffic is counted there.
    pub fn under(stream: TcpStream, stats: Arc<Stats>, lease: Arc<Lease>) -> std::io::Result<Self> {
        stream.set_nodelay(true)?;
        stats.dialled_lsp();
        Ok(PeerSocket {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            inner: Arc::new(Inner {
                stream,
                stats,
                lease,
                wants_write: AtomicBool::new(false),
                read_paused: AtomicBool::new(false),
                closed: AtomicBool::new(false),
                leaving: AtomicBool::new(false),
                changed: Notify::new(),
            }),
        })
    }

    /// Writes Noise's first act, which LDK hands out instead of sending. 50 bytes fit into any fresh socket.
    pub fn send_first(&self, act_one: &[u8]) -> std::io::Result<()> {
        match self.inner.stream.try_write(act_one) {
            Ok(sent) if sent == act_one.len() => {
                self.inner.stats.told_lsp(sent);
                Ok(())
            }
            Ok(_) => Err(ErrorKind::WriteZero.into()),
            Err(error) => Err(error),
        }
    }

    /// Half-close: the peer reads to our end and answers with its own, and until then we hear what it still sent.
    pub fn leave(&self) {
        self.inner.leaving.store(true, Ordering::Relaxed);
        let _ = socket2::SockRef::from(&self.inner.stream).shutdown(Shutdown::Write);
        self.inner.changed.notify_one();
    }

    /// Waits until the lease is fresh. False: the connection is over, since somebody ended it or because the lease is another's.
    async fn opened(&mut self) -> bool {
        let inner = Arc::clone(&self.inner);
        loop {
            if inner.closed.load(Ordering::Relaxed) {
                return false;
            }
            if inner.lease.is_fresh() {
                return true;
            }
            tokio::select! {
                () = inner.changed.notified() => {}
                open = inner.lease.open() => if open.is_err() {
                    self.disconnect_socket();
                },
            }
        }
    }

    /// Reads and writes until the connection ends, whoever ends it; LDK is told.
    pub async fn drive(mut self, peers: &impl Peers) {
        let mut buffer = [0u8; READ_BYTES];
        loop {
            if !self.opened().await {
                break;
            }
            let reads = !self.inner.read_paused.load(Ordering::Relaxed);
            let writes = self.inner.wants_write.load(Ordering::Relaxed);
            let interest = match (reads, writes) {
                (true, true) => Some(Interest::READABLE | Interest::WRITABLE),
                (true, false) => Some(Interest::READABLE),
                (false, true) => Some(Interest::WRITABLE),
                (false, false) => None,
            };
            let inner = Arc::clone(&self.inner);
            let ready = tokio::select! {
                () = inner.changed.notified() => continue,
                ready = inner.stream.ready(interest.unwrap_or(Interest::READABLE)), if interest.is_some() => ready,
            };
            let Ok(ready) = ready else { break };
            if ready.is_writable() && writes {
                self.inner.wants_write.store(false, Ordering::Relaxed);
                if peers.writable(&mut self).is_err() {
                    break;
                }
            }
            if ready.is_readable() && reads {
                match self.inner.stream.try_read(&mut buffer) {
                    Ok(0) => break,
                    Ok(n) => {
                        self.inner.stats.heard_lsp(n);
                        if !self.opened().await {
                            break;
                        }
                        let data = buffer.get(..n).unwrap_or_default();
                        if peers.read(&mut self, data).is_err() {
                            break;
                        }
                        peers.process();
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(_) => break,
                }
            }
        }
        peers.gone(&self);
        peers.process();
    }
}

impl SocketDescriptor for PeerSocket {
    fn send_data(&mut self, data: &[u8], continue_read: bool) -> usize {
        if self.inner.read_paused.swap(!continue_read, Ordering::Relaxed) && continue_read {
            self.inner.changed.notify_one();
        }
        if self.inner.leaving.load(Ordering::Relaxed) {
            return data.len();
        }
        if data.is_empty() || self.inner.closed.load(Ordering::Relaxed) {
            return 0;
        }
        if !self.inner.lease.is_fresh() {
            // The driving task waits until it is, and asks LDK for the rest then.
            self.inner.wants_write.store(true, Ordering::Relaxed);
            self.inner.changed.notify_one();
            return 0;
        }
        let sent = match self.inner.stream.try_write(data) {
            Ok(sent) => sent,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(_) => {
                self.disconnect_socket();
                return 0;
            }
        };
        self.inner.stats.told_lsp(sent);
        if sent < data.len() {
            self.inner.wants_write.store(true, Ordering::Relaxed);
            self.inner.changed.notify_one();
        }
        sent
    }

    fn disconnect_socket(&mut self) {
        self.inner.closed.store(true, Ordering::Relaxed);
        // At once, not when the driving task runs next: the LSP must not believe in this connection any longer.
        let _ = socket2::SockRef::from(&self.inner.stream).shutdown(Shutdown::Both);
        self.inner.changed.notify_one();
    }
}

impl PartialEq for PeerSocket {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}
impl Eq for PeerSocket {}
impl Hash for PeerSocket {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl<C, M> Peers for crate::ldk::PeerManager<C, M>
where
    C: lightning::ln::peer_handler::CustomMessageHandler,
    M: lightning::ln::msgs::ChannelMessageHandler,
{
    fn read(&self, socket: &mut PeerSocket, data: &[u8]) -> Result<(), PeerHandleError> {
        self.read_event(socket, data)
    }
    fn writable(&self, socket: &mut PeerSocket) -> Result<(), PeerHandleError> {
        self.write_buffer_space_avail(socket)
    }
    fn process(&self) {
        self.process_events();
    }
    fn gone(&self, socket: &PeerSocket) {
        self.socket_disconnected(socket);
    }
}
