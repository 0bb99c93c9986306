//! A TCP proxy on loopback that does to a connection what networks do.
//!
//! A [`Link`] stands between clients and one server of the lab, a [`Fan`] in front of as many as there are. Their faults are
//! set while traffic flows:
//!
//! - **latency**: every byte, and every FIN, arrives that much later. The proxy itself accepts at once, so the round trip
//!   that a handshake costs on a real path is charged to the first bytes of the connection. Order and throughput are
//!   kept: it is a pipe, not a pause.
//! - **jitter**: and up to that much later still, at random from a seed. Order is kept here, too.
//! - **black hole**: packets vanish, as when a host loses power. Connections are still accepted (a kernel does that), but
//!   nothing passes. When it ends, what was sent meanwhile arrives, as TCP retransmits it; a connection that was opened
//!   and given up in the dark never existed for the server.
//! - **drop** of one direction: what one side says vanishes, as in a black hole, and what the other says arrives. New
//!   connections are still made: it is bytes, FINs and RSTs that are lost, not handshakes.
//! - **reset**: connections are torn with an RST, and so is each new one.
//! - **half-open**: the connections of that moment lose their client, and the server is not told: what the client says
//!   goes nowhere, its end neither, and what the server says is swallowed as if it had been received. So a host looks that
//!   froze. It lasts until the server gives up. When the fault is lifted first, both ends are reset, as by a host that is
//!   back and knows nothing. Connections made after that moment are whole.
//!
//! What must hold beside the faults: a FIN shuts down one direction and only that one (a node that says goodbye reads on
//! after its half-close), and an RST on one side is an RST on the other, never a tidy end.
//!
//! It counts what a benchmark asks for: connections, bytes and turns.

mod connection;
mod fan;
mod pump;
mod stats;
mod switch;

pub use fan::Fan;
pub use stats::{ConnectionStats, LinkStats};
pub use switch::{Direction, Faults};

use stats::Meters;
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What one read takes at most. With `IN_FLIGHT` it bounds what a direction holds back: beyond it the sender is stalled.
const CHUNK: usize = 16 * 1024;

/// Chunks on their way in one direction: 4 MB, more than loopback's own buffers.
const IN_FLIGHT: usize = 256;

/// A proxy from 127.0.0.1:`port()` to one server. Dropping it closes its port and its connections.
pub struct Link {
    address: SocketAddr,
    faults: Faults,
    meters: Meters,
    accepting: JoinHandle<()>,
}

impl Link {
    /// Opens a free port of 127.0.0.1 in front of `upstream`. Must run inside a tokio runtime with I/O and time.
    /// The server need not be there yet: a client that comes before it gets an RST.
    pub async fn start(upstream: SocketAddr) -> io::Result<Link> {
        Link::under(Faults::default(), upstream).await
    }

    /// The same, under faults that others may share.
    pub async fn under(faults: Faults, upstream: SocketAddr) -> io::Result<Link> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let meters = Meters::default();
        let accepting = tokio::spawn(connection::accept(listener, upstream, faults.clone(), meters.clone()));
        Ok(Link { address, faults, meters, accepting })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What is wrong with it, to be set.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    pub fn stats(&self) -> LinkStats {
        self.meters.stats()
    }

    /// Starts counting anew. Connections that are open stay in the list, at zero.
    pub fn reset_stats(&self) {
        self.meters.reset();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
