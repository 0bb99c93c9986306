//! Connections of a node, as tasks on its thread: they end with it.

use super::Base;
use bitcoin::secp256k1::PublicKey;
use mayfly_core::net::peer_socket::PeerSocket;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// Between two tries to reach a peer that is away: it comes back on loopback.
const RECONNECT_PAUSE: Duration = Duration::from_millis(25);

/// Accepts peers for ever. `opened` is told of each connection.
pub async fn listen(base: &Base, listener: TcpListener, opened: impl Fn()) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                // Out of file descriptors, most likely: without a pause this would spin.
                tokio::time::sleep(RECONNECT_PAUSE).await;
                continue;
            }
        };
        opened();
        let peers = Arc::clone(&base.peers);
        tokio::task::spawn_local(async move {
            let Ok(socket) = PeerSocket::new(stream) else { return };
            if peers.new_inbound_connection(socket.clone(), None).is_ok() {
                socket.drive(&*peers).await;
            }
        });
    }
}

/// Connects to a peer, and again whenever that ends, for ever.
pub async fn keep_connected(base: &Base, peer: PublicKey, address: SocketAddr) {
    loop {
        if let Err(error) = connect_once(base, peer, address).await {
            tracing::debug!(%error, %address, "connecting failed");
        }
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}

async fn connect_once(base: &Base, peer: PublicKey, address: SocketAddr) -> std::io::Result<()> {
    let socket = PeerSocket::new(TcpStream::connect(address).await?)?;
    let Ok(act_one) = base.peers.new_outbound_connection(peer, socket.clone(), None) else { return Ok(()) };
    socket.send_first(&act_one)?;
    socket.drive(&*base.peers).await;
    Ok(())
}
