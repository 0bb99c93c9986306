//! A connection that ends on our side must be over for everyone: the LSP's socket, LDK, and whoever asks whether it stands.

use crate::checkpoint::tests::{engine, keys};
use crate::checkpoint::Fault;
use crate::config::LspPeer;
use crate::error::Code;
use crate::ldk::{PeerHandlers, PeerManager};
use crate::log::LdkLog;
use crate::lsp::transport::LspTransport;
use crate::net::dns::Resolver;
use crate::net::peer_socket::PeerSocket;
use crate::node::link::{Dialer, Peers};
use crate::store::Rows;
use crate::timeouts::{Timeouts, DEFAULTS};
use bitcoin::Network;
use lightning::chain::BestBlock;
use lightning::ln::peer_handler::{CustomMessageHandler, IgnoringMessageHandler};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

/// For what must happen; no test waits for it to pass.
const LONG: Duration = Duration::from_secs(20);

fn peers<C: CustomMessageHandler>(lsp: bool, custom: Arc<C>) -> Arc<PeerManager<C>> {
    let keys = keys(lsp);
    let engine = engine(&keys);
    let (chan_handler, send_only_message_handler) = (engine.messages(), engine.monitors());
    let loaded = engine.load(&Rows::new(), BestBlock::from_network(Network::Regtest)).unwrap();
    let handlers = PeerHandlers {
        chan_handler,
        route_handler: Arc::new(IgnoringMessageHandler {}),
        onion_message_handler: Arc::new(IgnoringMessageHandler {}),
        custom_message_handler: custom,
        send_only_message_handler,
    };
    Arc::new(PeerManager::new(handlers, 0, &[lsp.into(); 32], Arc::new(LdkLog::new("test")), Arc::clone(loaded.keys())))
}

struct Wallet {
    lsp: Arc<LspTransport>,
    peers: Arc<Peers>,
    dialer: Dialer,
}

fn wallet(at: SocketAddr, patience: Duration) -> Wallet {
    let node_id = keys(true).node_id();
    let lsp = Arc::new(LspTransport::new(node_id));
    let peer = LspPeer { node_id, host: at.ip().to_string(), port: at.port() };
    let dialer = Dialer::new(peer, Resolver::new(), Timeouts { lsp: patience, ..DEFAULTS }, Fault::new(Arc::default()));
    Wallet { peers: peers(false, Arc::clone(&lsp)), lsp, dialer }
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, what).await.expect("it does not happen")
}

async fn end_of(mut stream: TcpStream) {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
}

/// A Lightning node that serves whoever connects, behind a relay that never passes a goodbye on.
async fn deaf_lsp() -> SocketAddr {
    let custom = Arc::new(IgnoringMessageHandler {});
    let peers = peers(true, custom);
    let behind = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let front = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (behind_at, front_at) = (behind.local_addr().unwrap(), front.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = behind.accept().await {
            let socket = PeerSocket::new(stream).unwrap();
            peers.new_inbound_connection(socket.clone(), None).unwrap();
            let peers = Arc::clone(&peers);
            tokio::spawn(async move { socket.drive(peers.as_ref()).await });
        }
    });
    tokio::spawn(async move {
        while let Ok((client, _)) = front.accept().await {
            let server = TcpStream::connect(behind_at).await.unwrap();
            tokio::spawn(async move {
                let (mut client_reads, mut client_writes) = client.into_split();
                let (mut server_reads, mut server_writes) = server.into_split();
                let down = tokio::spawn(async move { tokio::io::copy(&mut server_reads, &mut client_writes).await });
                let _ = tokio::io::copy(&mut client_reads, &mut server_writes).await;
                // The client said goodbye, or is gone. Only the latter ends the connection behind.
                let _ = client_reads.readable().await;
                tokio::time::sleep(LONG).await;
                drop((server_writes, down));
            });
        }
    });
    front_at
}

#[tokio::test]
async fn an_attempt_that_is_given_up_closes_its_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let wallet = wallet(listener.local_addr().unwrap(), Duration::from_millis(100));
    let silent = tokio::spawn(async move { listener.accept().await.unwrap().0 });
    let error = soon(wallet.dialer.connect(&wallet.peers, &wallet.lsp, None)).await.err().unwrap();
    assert_eq!(error.code, Code::LspUnavailable);
    // The peer manager is still there, and the LSP's side ends all the same.
    soon(end_of(silent.await.unwrap())).await;
    drop(wallet);
}

#[tokio::test]
async fn an_attempt_that_is_dropped_half_way_closes_its_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let wallet = wallet(listener.local_addr().unwrap(), LONG);
    let accepted = async {
        let mut stream = listener.accept().await.unwrap().0;
        // Noise's first act: the attempt is under way.
        let mut act_one = [0; 50];
        stream.read_exact(&mut act_one).await.unwrap();
        stream
    };
    let stream = tokio::select! {
        _ = wallet.dialer.connect(&wallet.peers, &wallet.lsp, None) => panic!("connected to nothing"),
        stream = accepted => stream,
    };
    soon(end_of(stream)).await;
    drop(wallet);
}

#[tokio::test]
async fn a_goodbye_that_is_not_answered_ends_the_connection_and_leaves_room_for_the_next() {
    let wallet = wallet(deaf_lsp().await, LONG);
    let link = soon(wallet.dialer.connect(&wallet.peers, &wallet.lsp, None)).await.unwrap();
    assert!(link.is_up() && *wallet.lsp.connected().borrow());
    assert_eq!(wallet.peers.list_peers().len(), 1);
    soon(link.leave()).await;
    assert!(wallet.peers.list_peers().is_empty(), "LDK believes in the connection that was left");
    assert!(!*wallet.lsp.connected().borrow());
}

#[tokio::test]
async fn a_link_that_is_dropped_is_over() {
    let wallet = wallet(deaf_lsp().await, LONG);
    let link = soon(wallet.dialer.connect(&wallet.peers, &wallet.lsp, None)).await.unwrap();
    let mut connected = wallet.lsp.connected();
    drop(link);
    soon(connected.wait_for(|connected| !connected)).await.unwrap();
    assert!(wallet.peers.list_peers().is_empty());
}
