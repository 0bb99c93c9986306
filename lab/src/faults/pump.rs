//! One direction of a connection: takes bytes from their sender, stamps them with their arrival, and hands them over then.

use super::stats::Meter;
use super::switch::Now;
use super::{Direction, CHUNK, IN_FLIGHT};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, sleep_until, Instant};

/// The round trip that a TCP handshake takes on a real path: paid once, by whoever speaks first.
pub(super) struct Handshake {
    accepted: Instant,
    paid: AtomicBool,
}

impl Handshake {
    pub fn new(accepted: Instant) -> Self {
        Handshake { accepted, paid: AtomicBool::new(false) }
    }
}

/// One direction of a connection.
pub(super) struct Pump<'a> {
    pub direction: Direction,
    /// The connection's number, for its jitter.
    pub connection: u64,
    pub faults: watch::Receiver<Now>,
    pub meter: &'a Meter,
    pub handshake: &'a Handshake,
}

/// What travels.
enum Parcel {
    Bytes(Vec<u8>),
    Fin,
    /// The sender is gone without a FIN, for this reason. It travels behind the bytes that were sent before.
    Rst(io::Error),
}

impl Pump<'_> {
    /// From the first byte, or `early` ones that are read already, to the FIN.
    pub async fn run(self, from: ReadHalf<'_>, to: WriteHalf<'_>, early: Vec<u8>) -> io::Result<()> {
        let (send, receive) = mpsc::channel(IN_FLIGHT);
        let delivery = Delivery { direction: self.direction, faults: self.faults.clone() };
        tokio::try_join!(self.take(from, send, early), delivery.run(to, receive))?;
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
        for number in 0.. {
            let last = !matches!(parcel, Parcel::Bytes(_));
            if let Parcel::Bytes(bytes) = &parcel {
                self.meter.count(self.direction, bytes.len());
            }
            // Never before what was sent earlier, also when the latency has just been lowered.
            arrival = arrival.max(self.arrival(number));
            if send.send((arrival, parcel)).await.is_err() || last {
                // A gone receiver has an error of its own, which ends the connection.
                break;
            }
            parcel = self.read(&mut from).await?;
        }
        Ok(())
    }

    /// Fails only when the link is gone.
    async fn read(&mut self, from: &mut ReadHalf<'_>) -> io::Result<Parcel> {
        in_the_light(&mut self.faults, self.direction).await?;
        let mut chunk = Vec::with_capacity(CHUNK);
        Ok(match from.read_buf(&mut chunk).await {
            Ok(0) => Parcel::Fin,
            Ok(_) => Parcel::Bytes(chunk),
            Err(e) => Parcel::Rst(e),
        })
    }

    fn arrival(&self, parcel: u64) -> Instant {
        let now = *self.faults.borrow();
        // Client and server can both speak first (a greeting); only one of them carries the handshake. The client's real
        // `connect` would have returned a round trip later, and everything that it then did with it.
        let paid = self.handshake.paid.swap(true, Ordering::Relaxed);
        let handshake = if paid { Duration::ZERO } else { now.latency * 2 };
        Instant::now() + now.latency + now.jitter_of(self.connection, self.direction, parcel) + handshake
    }
}

/// The receiver's end of a direction.
struct Delivery {
    direction: Direction,
    faults: watch::Receiver<Now>,
}

impl Delivery {
    /// Hands over each parcel when its time has come, and not in the dark.
    async fn run(mut self, mut to: WriteHalf<'_>, mut receive: mpsc::Receiver<(Instant, Parcel)>) -> io::Result<()> {
        while let Some((arrival, parcel)) = receive.recv().await {
            if arrival > Instant::now() {
                sleep_until(arrival).await;
            }
            in_the_light(&mut self.faults, self.direction).await?;
            let handed = match parcel {
                Parcel::Bytes(bytes) => to.write_all(&bytes).await,
                Parcel::Fin => return shut_down(&mut to).await,
                Parcel::Rst(e) => return Err(e),
            };
            if let Err(e) = handed {
                // The receiver answers with an RST, which takes its own way back; what it sent before goes ahead of it.
                let latency = self.faults.borrow().latency;
                sleep(latency).await;
                in_the_light(&mut self.faults, self.direction.opposite()).await?;
                return Err(e);
            }
        }
        Ok(())
    }
}

/// Passes a FIN on. A receiver that has closed already is no error: it just doesn't hear it.
async fn shut_down(to: &mut WriteHalf<'_>) -> io::Result<()> {
    match to.shutdown().await {
        Err(e) if e.kind() == io::ErrorKind::NotConnected => Ok(()),
        other => other,
    }
}

async fn in_the_light(faults: &mut watch::Receiver<Now>, direction: Direction) -> io::Result<()> {
    // The sender lives as long as the link.
    let gone = |_| io::Error::from(io::ErrorKind::ConnectionAborted);
    faults.wait_for(|now| now.passes(direction)).await.map(|_| ()).map_err(gone)
}
