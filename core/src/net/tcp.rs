//! TCP connections: one address after the other, TCP_NODELAY set.
//!
//! What must hold: no connection leaves here with Nagle's algorithm on (43 ms more per payment, measured), and an address
//! that swallows packets does not use up the caller's whole bound while others are left. IPv4 comes first: serverless
//! platforms resolve AAAA records that they can't route.

use super::dns::Resolver;
use super::NetError;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

/// How long one address may take while there is another to try; the last one has what the caller's bound leaves.
const ONE_ADDRESS: Duration = Duration::from_secs(1);

/// Connects to the first address of the host that answers. Bounded by the caller.
pub async fn connect(resolver: &Resolver, host: &str, port: u16) -> Result<TcpStream, NetError> {
    let addresses = resolver.resolve(host, port).await?;
    let mut reasons = Vec::new();
    let mut left = addresses.len();
    for address in addresses {
        left -= 1;
        match one(address, left > 0).await {
            Ok(stream) => return Ok(stream),
            Err(reason) => reasons.push(format!("{}: {reason}", address.ip())),
        }
    }
    Err(NetError::Connect {
        host: host.to_owned(),
        port,
        reason: reasons.join("; "),
    })
}

async fn one(address: SocketAddr, others_left: bool) -> Result<TcpStream, String> {
    let connecting = TcpStream::connect(address);
    let stream = if others_left {
        tokio::time::timeout(ONE_ADDRESS, connecting)
            .await
            .map_err(|_| format!("no answer in {ONE_ADDRESS:?}"))?
    } else {
        connecting.await
    }
    .map_err(|e| e.to_string())?;
    stream.set_nodelay(true).map_err(|e| e.to_string())?;
    Ok(stream)
}
