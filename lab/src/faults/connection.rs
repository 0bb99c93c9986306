//! One client's connection: accepted at once, made to the server in the light, carried until its end, torn, or half-open.

use super::pump::{Handshake, Pump};
use super::stats::{Meter, Meters, OpenMeter};
use super::switch::{Faults, Now};
use super::{Direction, CHUNK, IN_FLIGHT};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, Instant};

/// Accepts for ever.
pub(super) async fn accept(listener: TcpListener, upstream: SocketAddr, faults: Faults, meters: Meters) {
    // Owned here, so that dropping the link ends the connections with it.
    let mut connections = JoinSet::new();
    let mut number = 0;
    loop {
        let client = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match client {
            Ok((client, _)) => {
                connections.spawn(connection(client, upstream, number, faults.subscribe(), meters.add()));
                number += 1;
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
async fn connection(
    mut client: TcpStream,
    upstream: SocketAddr,
    number: u64,
    faults: watch::Receiver<Now>,
    meter: OpenMeter,
) {
    let accepted = Instant::now();
    let born = *faults.borrow();
    if born.reset {
        tear(&client);
        return;
    }
    let mut reset = faults.clone();
    let mut server = None;
    let path = Path { upstream, number, accepted, born, meter: &meter.0 };
    // In this order, here and below: once a fault is set, not one byte more passes.
    let carried = tokio::select! {
        biased;
        _ = reset.wait_for(|now| now.resets != born.resets) => Err(io::ErrorKind::ConnectionReset.into()),
        carried = path.carry(&mut client, &mut server, faults) => carried,
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

/// The way of one connection.
struct Path<'a> {
    upstream: SocketAddr,
    /// Of the link's connections, from 0.
    number: u64,
    accepted: Instant,
    /// The faults at its start.
    born: Now,
    meter: &'a Meter,
}

impl Path<'_> {
    /// Connects to the server and passes bytes both ways. The server's stream is left in `server`, so that the caller can
    /// tear it also when this future is dropped half way.
    async fn carry(
        &self,
        client: &mut TcpStream,
        server: &mut Option<TcpStream>,
        mut faults: watch::Receiver<Now>,
    ) -> io::Result<()> {
        client.set_nodelay(true)?;
        let early = wait_for_light(client, &mut faults).await?;
        if self.is_half_open(&faults.borrow()) {
            // Gone in the dark: the server never knew of it.
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let server = server.insert(TcpStream::connect(self.upstream).await?);
        server.set_nodelay(true)?;
        let mut half_open = faults.clone();
        let carried = tokio::select! {
            biased;
            _ = half_open.wait_for(|now| self.is_half_open(now)) => None,
            carried = self.pump(client, server, faults, early) => Some(carried),
        };
        match carried {
            Some(carried) => carried,
            None => Err(self.until_given_up(server, half_open).await),
        }
    }

    async fn pump(
        &self,
        client: &mut TcpStream,
        server: &mut TcpStream,
        faults: watch::Receiver<Now>,
        early: Vec<u8>,
    ) -> io::Result<()> {
        let (client_in, client_out) = client.split();
        let (server_in, server_out) = server.split();
        let handshake = Handshake::new(self.accepted);
        let pump = |direction| {
            let (connection, faults) = (self.number, faults.clone());
            Pump { direction, connection, faults, meter: self.meter, handshake: &handshake }
        };
        let up = pump(Direction::Up).run(client_in, server_out, early);
        let down = pump(Direction::Down).run(server_in, client_out, Vec::new());
        tokio::try_join!(up, down)?;
        Ok(())
    }

    fn is_half_open(&self, now: &Now) -> bool {
        now.half_opens != self.born.half_opens
    }

    /// The client's end counts no more, whatever it does. What the server says vanishes, until the server ends the
    /// connection or the fault is lifted; then both ends are to be torn, for the reason that this returns.
    async fn until_given_up(&self, server: &mut TcpStream, mut faults: watch::Receiver<Now>) -> io::Error {
        tokio::select! {
            gone = swallow(server) => gone,
            _ = faults.wait_for(|now| now.half_opens_lifted > self.born.half_opens) => {
                io::ErrorKind::ConnectionReset.into()
            }
        }
    }
}

async fn swallow(server: &mut TcpStream) -> io::Error {
    let mut ignored = vec![0; CHUNK];
    loop {
        match server.read(&mut ignored).await {
            Ok(0) => return io::ErrorKind::ConnectionAborted.into(),
            Ok(_) => {}
            Err(e) => return e,
        }
    }
}

/// While the black hole is on, takes what the client says without telling anyone. A client that gives up meanwhile was
/// never seen by the server.
async fn wait_for_light(client: &mut TcpStream, faults: &mut watch::Receiver<Now>) -> io::Result<Vec<u8>> {
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
