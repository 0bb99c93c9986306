//! A TCP proxy on loopback that does to a connection what networks do.
//!
//! A [`Link`] stands between a client and one server of the lab. Its faults are set while traffic flows:
//!
//! - **latency**: every byte, and every FIN, arrives that much later. The proxy itself accepts at once, so the round trip
//!   that a handshake costs on a real path is charged to the first bytes of the connection. Order and throughput are
//!   kept: it is a pipe, not a pause.
//! - **black hole**: packets vanish, as when a host loses power. Connections are still accepted (a kernel does that), but
//!   nothing passes. When it ends, what was sent meanwhile arrives, as TCP retransmits it; a connection that was opened
//!   and given up in the dark never existed for the server.
//! - **reset**: connections are torn with an RST, and so is each new one.
//!
//! What must hold beside the faults: a FIN shuts down one direction and only that one (a node that says goodbye reads on
//! after its half-close), and an RST on one side is an RST on the other, never a tidy end.
//!
//! It counts what a benchmark asks for: connections, bytes and turns.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, sleep_until, Instant};

/// What one read takes at most. With `IN_FLIGHT` it bounds what a direction holds back: beyond it the sender is stalled.
const CHUNK: usize = 16 * 1024;

/// Chunks on their way in one direction: 4 MB, more than loopback's own buffers.
const IN_FLIGHT: usize = 256;

/// A connection's count of one stretch of traffic. See [`Link::stats`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionStats {
    /// From the client to the server.
    pub bytes_up: u64,
    /// From the server to the client.
    pub bytes_down: u64,
    /// How often the speaker changed, the first word included: a request and its answer are two.
    pub turns: u32,
    /// How often the server spoke after the client: what a client waited for, if it waited for every answer.
    pub round_trips: u32,
    /// False when both ends are gone.
    pub open: bool,
}

/// What a link has carried since its start or the last [`Link::reset_stats`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// In the order of their arrival.
    pub connections: Vec<ConnectionStats>,
}

impl LinkStats {
    pub fn round_trips(&self) -> u32 {
        self.connections.iter().map(|c| c.round_trips).sum()
    }

    pub fn turns(&self) -> u32 {
        self.connections.iter().map(|c| c.turns).sum()
    }

    pub fn open(&self) -> usize {
        self.connections.iter().filter(|c| c.open).count()
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Faults {
    /// One way.
    latency: Duration,
    black_hole: bool,
    reset: bool,
    /// Counts resets: a connection that sees another number than at its start is to be torn, also when the fault was
    /// lifted before its task ran.
    resets: u64,
}

/// A proxy from 127.0.0.1:`port()` to one server. Dropping it closes its port and its connections.
pub struct Link {
    address: SocketAddr,
    faults: Arc<watch::Sender<Faults>>,
    meters: Meters,
    accepting: JoinHandle<()>,
}

impl Link {
    /// Opens a free port of 127.0.0.1 in front of `upstream`. Must run inside a tokio runtime with I/O and time.
    /// The server need not be there yet: a client that comes before it gets an RST.
    pub async fn start(upstream: SocketAddr) -> io::Result<Link> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let faults = Arc::new(watch::Sender::new(Faults::default()));
        let meters = Meters::default();
        let accepting = tokio::spawn(accept(listener, upstream, faults.clone(), meters.clone()));
        Ok(Link { address, faults, meters, accepting })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Delays each direction by this much: a round trip costs twice that. Bytes that are under way keep their delay.
    /// The timer is tokio's: an arrival is late by up to about a millisecond, never early.
    pub fn set_latency_ms(&self, one_way_ms: u64) {
        self.set_latency(Duration::from_millis(one_way_ms));
    }

    /// The same, for a one-way delay in other units.
    pub fn set_latency(&self, one_way: Duration) {
        self.faults.send_modify(|f| f.latency = one_way);
    }

    /// Starts or ends the black hole. A write that is in the kernel already may still arrive.
    pub fn set_black_hole(&self, on: bool) {
        self.faults.send_modify(|f| f.black_hole = on);
    }

    /// Resets all connections and, while it is on, every new one. Turning it off brings no connection back.
    pub fn set_reset(&self, on: bool) {
        self.faults.send_modify(|f| {
            f.reset = on;
            f.resets += u64::from(on);
        });
    }

    pub fn stats(&self) -> LinkStats {
        LinkStats { connections: self.meters.lock().iter().map(|m| m.read().stats.clone()).collect() }
    }

    /// Starts counting anew. Connections that are open stay in the list, at zero.
    pub fn reset_stats(&self) {
        let mut meters = self.meters.lock();
        meters.retain(|m| m.read().stats.open);
        for meter in meters.iter() {
            *meter.read() = Count { stats: ConnectionStats { open: true, ..Default::default() }, last: None };
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

// --- counting ---

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

struct Count {
    stats: ConnectionStats,
    last: Option<Direction>,
}

/// The counter of one connection. It counts when bytes leave their sender, before any delay.
struct Meter(Mutex<Count>);

impl Meter {
    fn read(&self) -> MutexGuard<'_, Count> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, direction: Direction, bytes: usize) {
        let mut count = self.read();
        let turned = count.last != Some(direction);
        count.stats.turns += u32::from(turned);
        count.stats.round_trips += u32::from(turned && count.last == Some(Direction::Up));
        count.last = Some(direction);
        match direction {
            Direction::Up => count.stats.bytes_up += bytes as u64,
            Direction::Down => count.stats.bytes_down += bytes as u64,
        }
    }
}

#[derive(Clone, Default)]
struct Meters(Arc<Mutex<Vec<Arc<Meter>>>>);

impl Meters {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Meter>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self) -> OpenMeter {
        let stats = ConnectionStats { open: true, ..Default::default() };
        let meter = Arc::new(Meter(Mutex::new(Count { stats, last: None })));
        self.lock().push(meter.clone());
        OpenMeter(meter)
    }
}

/// Marks its connection closed when it goes, whatever way the connection's task ends.
struct OpenMeter(Arc<Meter>);

impl Drop for OpenMeter {
    fn drop(&mut self) {
        self.0.read().stats.open = false;
    }
}

// --- connections ---

async fn accept(listener: TcpListener, upstream: SocketAddr, faults: Arc<watch::Sender<Faults>>, meters: Meters) {
    // Owned here, so that dropping the link ends the connections with it.
    let mut connections = JoinSet::new();
    loop {
        let client = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match client {
            Ok((client, _)) => {
                let seen = faults.subscribe();
                connections.spawn(connection(client, upstream, seen, meters.add()));
            }
            Err(e) => {
                // Out of file descriptors, most likely: they come back when connections end. Not a busy loop until then.
                tracing::warn!("a link can't accept: {e}");
                sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

/// Serves one client until both directions have ended, or anything is torn; then both sides are torn.
async fn connection(mut client: TcpStream, upstream: SocketAddr, faults: watch::Receiver<Faults>, meter: OpenMeter) {
    let accepted = Instant::now();
    let (resets, torn) = {
        let now = faults.borrow();
        (now.resets, now.reset)
    };
    if torn {
        tear(&client);
        return;
    }
    let mut reset = faults.clone();
    let mut server = None;
    let carried = tokio::select! {
        carried = carry(&mut client, &mut server, upstream, faults, &meter.0, accepted) => carried,
        _ = reset.wait_for(|f| f.resets != resets) => Err(io::ErrorKind::ConnectionReset.into()),
    };
    if let Err(e) = carried {
        tracing::debug!("a link tears a connection: {e}");
        tear(&client);
        if let Some(server) = &server {
            tear(server);
        }
    }
}

/// Makes the coming close an RST.
fn tear(stream: &TcpStream) {
    if let Err(e) = stream.set_zero_linger() {
        tracing::debug!("a connection ends with a FIN where an RST was due: {e}");
    }
}

/// Connects to the server and passes bytes both ways. The server's stream is left in `server`, so that the caller can tear
/// it also when this future is dropped half way.
async fn carry(
    client: &mut TcpStream,
    server: &mut Option<TcpStream>,
    upstream: SocketAddr,
    mut faults: watch::Receiver<Faults>,
    meter: &Meter,
    accepted: Instant,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    let early = wait_for_light(client, &mut faults).await?;
    let server = server.insert(TcpStream::connect(upstream).await?);
    server.set_nodelay(true)?;
    let (client_in, client_out) = client.split();
    let (server_in, server_out) = server.split();
    // A connection that begins in the light pays its handshake from here; see `Pump::first_arrival`.
    let handshake = Handshake { accepted, paid: AtomicBool::new(false) };
    let up = Pump { direction: Direction::Up, faults: faults.clone(), meter, handshake: &handshake };
    let down = Pump { direction: Direction::Down, faults, meter, handshake: &handshake };
    tokio::try_join!(up.run(client_in, server_out, early), down.run(server_in, client_out, Vec::new()))?;
    Ok(())
}

/// While the black hole is on, takes what the client says without telling anyone. A client that gives up meanwhile was
/// never seen by the server.
async fn wait_for_light(client: &mut TcpStream, faults: &mut watch::Receiver<Faults>) -> io::Result<Vec<u8>> {
    let mut early = Vec::new();
    loop {
        if !faults.borrow_and_update().black_hole {
            return Ok(early);
        }
        let full = early.len() >= CHUNK * IN_FLIGHT;
        tokio::select! {
            changed = faults.changed() => if changed.is_err() { return Err(io::ErrorKind::ConnectionAborted.into()) },
            read = client.read_buf(&mut early), if !full => if read? == 0 {
                return Err(io::ErrorKind::ConnectionAborted.into());
            },
        }
    }
}

/// The round trip that a TCP handshake takes on a real path: paid once, by whoever speaks first.
struct Handshake {
    accepted: Instant,
    paid: AtomicBool,
}

/// One direction of a connection.
struct Pump<'a> {
    direction: Direction,
    faults: watch::Receiver<Faults>,
    meter: &'a Meter,
    handshake: &'a Handshake,
}

/// What travels.
enum Parcel {
    Bytes(Vec<u8>),
    Fin,
    /// The sender is gone without a FIN, for this reason. It travels behind the bytes that were sent before.
    Rst(io::Error),
}

impl Pump<'_> {
    async fn run(self, from: ReadHalf<'_>, to: WriteHalf<'_>, early: Vec<u8>) -> io::Result<()> {
        let (send, receive) = mpsc::channel(IN_FLIGHT);
        let mut delivering = self.faults.clone();
        tokio::try_join!(self.take(from, send, early), deliver(to, receive, &mut delivering))?;
        Ok(())
    }

    /// Reads until the FIN and stamps everything with its arrival.
    async fn take(
        mut self,
        mut from: ReadHalf<'_>,
        send: mpsc::Sender<(Instant, Parcel)>,
        early: Vec<u8>,
    ) -> io::Result<()> {
        let mut parcel = if early.is_empty() { self.read(&mut from).await? } else { Parcel::Bytes(early) };
        let mut arrival = self.handshake.accepted;
        loop {
            let last = !matches!(parcel, Parcel::Bytes(_));
            if let Parcel::Bytes(bytes) = &parcel {
                self.meter.count(self.direction, bytes.len());
            }
            // Never before what was sent earlier, also when the latency has just been lowered.
            arrival = arrival.max(self.arrival());
            if send.send((arrival, parcel)).await.is_err() || last {
                // A gone receiver has an error of its own, which ends the connection.
                return Ok(());
            }
            parcel = self.read(&mut from).await?;
        }
    }

    /// Fails only when the link is gone.
    async fn read(&mut self, from: &mut ReadHalf<'_>) -> io::Result<Parcel> {
        in_the_light(&mut self.faults).await?;
        let mut chunk = Vec::with_capacity(CHUNK);
        Ok(match from.read_buf(&mut chunk).await {
            Ok(0) => Parcel::Fin,
            Ok(_) => Parcel::Bytes(chunk),
            Err(e) => Parcel::Rst(e),
        })
    }

    fn arrival(&self) -> Instant {
        let latency = self.faults.borrow().latency;
        // Client and server can both speak first (a greeting); only one of them carries the handshake. The client's real
        // `connect` would have returned a round trip later, and everything that it then did with it.
        let handshake = if self.handshake.paid.swap(true, Ordering::Relaxed) { Duration::ZERO } else { latency * 2 };
        Instant::now() + latency + handshake
    }
}

/// Hands over each parcel when its time has come, and not in the dark.
async fn deliver(
    mut to: WriteHalf<'_>,
    mut receive: mpsc::Receiver<(Instant, Parcel)>,
    faults: &mut watch::Receiver<Faults>,
) -> io::Result<()> {
    while let Some((arrival, parcel)) = receive.recv().await {
        if arrival > Instant::now() {
            sleep_until(arrival).await;
        }
        in_the_light(faults).await?;
        let handed = match parcel {
            Parcel::Bytes(bytes) => to.write_all(&bytes).await,
            Parcel::Fin => return shut_down(&mut to).await,
            Parcel::Rst(e) => return Err(e),
        };
        if let Err(e) = handed {
            // The receiver answers with an RST, which takes its own way back; what it sent before goes ahead of it.
            let latency = faults.borrow().latency;
            sleep(latency).await;
            in_the_light(faults).await?;
            return Err(e);
        }
    }
    Ok(())
}

/// Passes a FIN on. A receiver that has closed already is no error: it just doesn't hear it.
async fn shut_down(to: &mut WriteHalf<'_>) -> io::Result<()> {
    match to.shutdown().await {
        Err(e) if e.kind() == io::ErrorKind::NotConnected => Ok(()),
        other => other,
    }
}

async fn in_the_light(faults: &mut watch::Receiver<Faults>) -> io::Result<()> {
    // The sender lives as long as the link.
    let gone = |_| io::Error::from(io::ErrorKind::ConnectionAborted);
    faults.wait_for(|f| !f.black_hole).await.map(|_| ()).map_err(gone)
}
