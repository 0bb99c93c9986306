//! A connection that ends on our side must be over for everyone: the LSP's socket, LDK, and whoever asks whether it stands.

use crate::checkpoint::tests::{engine, keys};
use crate::checkpoint::Fault;
use crate::config::LspPeer;
use crate::error::Code;
use crate::ldk::{PeerHandlers, PeerManager};
use crate::lease::tests::{held, Held, TTL};
use crate::lease::Stamp;
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
    let error = soon(wallet.dialer.connect(&wallet.peers, &wallet.lsp, None, Stamp::NONE)).await.err().unwrap();
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
        _ = wallet.dialer.connect(&wallet.peers, &wallet.lsp, None, Stamp::NONE) => panic!("connected to nothing"),
        stream = accepted => stream,
    };
    soon(end_of(stream)).await;
    drop(wallet);
}

#[tokio::test]
async fn a_goodbye_that_is_not_answered_ends_the_connection_and_leaves_room_for_the_next() {
    let wallet = wallet(deaf_lsp().await, LONG);
    let link = soon(wallet.dialer.connect(&wallet.peers, &wallet.lsp, None, Stamp::NONE)).await.unwrap();
    assert!(link.is_up() && *wallet.lsp.connected().borrow());
    assert_eq!(wallet.peers.list_peers().len(), 1);
    soon(link.leave()).await;
    assert!(wallet.peers.list_peers().is_empty(), "LDK believes in the connection that was left");
    assert!(!*wallet.lsp.connected().borrow());
}

#[tokio::test]
async fn a_link_that_is_dropped_is_over() {
    let wallet = wallet(deaf_lsp().await, LONG);
    let link = soon(wallet.dialer.connect(&wallet.peers, &wallet.lsp, None, Stamp::NONE)).await.unwrap();
    let mut connected = wallet.lsp.connected();
    drop(link);
    soon(connected.wait_for(|connected| !connected)).await.unwrap();
    assert!(wallet.peers.list_peers().is_empty());
}

/// A wallet in a database, which calls the LSP at that address, and a listener in its place.
async fn leased_wallet() -> (Wallet, Held, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let held = held().await;
    let Wallet { lsp, peers, dialer } = wallet(listener.local_addr().unwrap(), LONG);
    let dialer = dialer.under(Arc::clone(&held.lease));
    (Wallet { lsp, peers, dialer }, held, listener)
}

async fn nobody_calls(listener: &TcpListener) {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let mut accepting = std::pin::pin!(listener.accept());
    let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(accepting.as_mut().poll(cx).is_pending())).await;
    assert!(polled, "somebody called");
}

#[tokio::test]
async fn the_lsp_is_called_after_the_store_was_asked_when_that_was_decided() {
    let (wallet, mut held, listener) = leased_wallet().await;
    let on_its_way = held.lease.ask();
    let decided = held.lease.stamp();
    let connecting = async { wallet.dialer.connect(&wallet.peers, &wallet.lsp, None, decided).await.err() };
    let calling = async {
        nobody_calls(&listener).await;
        // Sent before the decision: it says nothing of what happened since.
        held.lease.proven(on_its_way);
        nobody_calls(&listener).await;
        held.committer.check().await.unwrap();
        soon(listener.accept()).await.unwrap()
    };
    tokio::select! {
        error = connecting => panic!("connected to nothing: {error:?}"),
        _ = calling => {}
    }
}

#[tokio::test]
async fn a_node_that_thaws_calls_nobody_until_its_lease_is_confirmed_and_nobody_at_all_if_it_is_anothers() {
    let (wallet, mut held, listener) = leased_wallet().await;
    // 1. An attempt is refused. 2. The process stands still in the pause before the next.
    let refused = async { drop(soon(listener.accept()).await.unwrap()) };
    let connecting = async { wallet.dialer.connect(&wallet.peers, &wallet.lsp, None, Stamp::NONE).await.err() };
    let mut connecting = std::pin::pin!(connecting);
    tokio::select! {
        error = &mut connecting => panic!("connected to nothing: {error:?}"),
        () = refused => {}
    }
    held.freeze(TTL);
    let calling = async {
        while held.lease.due_at(false).is_none() {
            tokio::task::yield_now().await;
        }
        nobody_calls(&listener).await;
        held.committer.check().await.unwrap();
        drop(soon(listener.accept()).await.unwrap());
        held.freeze(TTL);
        held.database.take_over().await.unwrap();
        while held.lease.due_at(false).is_none() {
            tokio::task::yield_now().await;
        }
        held.committer.check().await.unwrap_err();
        std::future::pending::<()>().await;
    };
    let error = tokio::select! {
        error = soon(connecting) => error.unwrap(),
        () = calling => unreachable!(),
    };
    assert_eq!(error.code, Code::Fenced);
    nobody_calls(&listener).await;
}
