//! A connection whose node stands still, and whose lease is another's: what it reads, and what it lets out.

use super::peer_socket::{PeerSocket, Peers};
use crate::lease::tests::{held, Held, SLACK, TTL};
use lightning::ln::peer_handler::{PeerHandleError, SocketDescriptor};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// For what must happen; no test waits for it to pass.
const LONG: Duration = Duration::from_secs(20);

/// A peer manager that says back what it hears, as one that answers pings.
#[derive(Clone, Default)]
struct Echo(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    heard: Vec<u8>,
    unsaid: Vec<u8>,
    gone: bool,
}

impl Echo {
    fn say(&self, socket: &mut PeerSocket, bytes: &[u8]) {
        let mut unsaid = std::mem::take(&mut self.0.lock().unwrap().unsaid);
        unsaid.extend(bytes);
        let said = socket.send_data(&unsaid, true);
        self.0.lock().unwrap().unsaid = unsaid.split_off(said);
    }

    fn heard(&self) -> Vec<u8> {
        self.0.lock().unwrap().heard.clone()
    }
}

impl Peers for Echo {
    fn read(&self, socket: &mut PeerSocket, data: &[u8]) -> Result<(), PeerHandleError> {
        self.0.lock().unwrap().heard.extend(data);
        self.say(socket, data);
        Ok(())
    }
    fn writable(&self, socket: &mut PeerSocket) -> Result<(), PeerHandleError> {
        self.say(socket, &[]);
        Ok(())
    }
    fn process(&self) {}
    fn gone(&self, _: &PeerSocket) {
        self.0.lock().unwrap().gone = true;
    }
}

struct Connection {
    held: Held,
    echo: Echo,
    socket: PeerSocket,
    task: JoinHandle<()>,
    peer: TcpStream,
    /// Another descriptor of the node's socket.
    same: TcpStream,
}

async fn connection() -> Connection {
    let held = held().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap().into_std().unwrap();
    let peer = listener.accept().await.unwrap().0;
    let same = TcpStream::from_std(stream.try_clone().unwrap()).unwrap();
    let stream = TcpStream::from_std(stream).unwrap();
    let socket = PeerSocket::under(stream, Arc::default(), Arc::clone(&held.lease)).unwrap();
    let echo = Echo::default();
    let (driven, peers) = (socket.clone(), echo.clone());
    let task = tokio::spawn(async move { driven.drive(&peers).await });
    Connection { held, echo, socket, task, peer, same }
}

impl Connection {
    async fn hears(&mut self, bytes: &[u8]) {
        self.peer.write_all(bytes).await.unwrap();
    }

    async fn says(&mut self, bytes: &[u8]) {
        let mut said = vec![0; bytes.len()];
        tokio::time::timeout(LONG, self.peer.read_exact(&mut said)).await.expect("it says it").unwrap();
        assert_eq!(said, bytes);
    }

    /// Everything that can run has run, and the peer was told nothing.
    async fn is_silent(&mut self) {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let mut byte = [0; 1];
        let nothing = self.peer.try_read(&mut byte).map_err(|error| error.kind());
        assert_eq!(nothing, Err(std::io::ErrorKind::WouldBlock), "it said something");
    }

    async fn is_over(&mut self) {
        let mut rest = Vec::new();
        // A reset is an end, too.
        let _ = tokio::time::timeout(LONG, self.peer.read_to_end(&mut rest)).await.expect("it ends");
        assert!(rest.is_empty(), "it said {rest:?} before it ended");
        tokio::time::timeout(LONG, &mut self.task).await.expect("its task ends").unwrap();
        assert!(self.echo.0.lock().unwrap().gone);
    }
}

#[tokio::test]
async fn a_node_that_thaws_answers_nothing_that_came_meanwhile_until_the_store_has_confirmed_its_lease() {
    let mut node = connection().await;
    node.hears(b"one").await;
    node.says(b"one").await;
    // 1. It stands still. 2. Bytes arrive. 3. It goes on.
    node.held.freeze(SLACK * 2);
    node.hears(b"two").await;
    node.same.peek(&mut [0; 3]).await.unwrap();
    node.is_silent().await;
    assert_eq!(node.echo.heard(), b"one", "LDK does not even hear of it");
    // 4. The store says that nothing has changed.
    node.held.committer.check().await.unwrap();
    node.says(b"two").await;
    assert_eq!(node.echo.heard(), b"onetwo");
}

#[tokio::test]
async fn what_ldk_has_to_say_meanwhile_is_kept_by_it_and_goes_later_in_its_order() {
    let mut node = connection().await;
    node.held.freeze(SLACK * 2);
    let (echo, mut socket) = (node.echo.clone(), node.socket.clone());
    echo.say(&mut socket, b"a");
    echo.say(&mut socket, b"b");
    node.is_silent().await;
    assert_eq!(echo.0.lock().unwrap().unsaid, b"ab");
    node.held.committer.check().await.unwrap();
    node.says(b"ab").await;
    echo.say(&mut socket, b"c");
    node.says(b"c").await;
}

#[tokio::test]
async fn a_node_whose_wallet_was_taken_meanwhile_says_and_hears_nothing_more_and_its_connection_ends() {
    let mut node = connection().await;
    node.held.freeze(TTL);
    node.held.database.take_over().await.unwrap();
    node.hears(b"anything").await;
    let (echo, mut socket) = (node.echo.clone(), node.socket.clone());
    echo.say(&mut socket, b"stale");
    node.is_silent().await;
    node.held.committer.check().await.unwrap_err();
    assert_eq!(socket.send_data(b"stale", true), 0, "from the answer on, at once");
    node.is_over().await;
    assert_eq!(echo.heard(), b"");
}

#[tokio::test]
async fn a_connection_that_is_closed_while_the_lease_is_stale_ends() {
    let mut node = connection().await;
    node.held.freeze(TTL);
    node.is_silent().await;
    node.socket.disconnect_socket();
    node.is_over().await;
}

#[tokio::test]
async fn a_node_that_never_stands_still_is_not_held_up() {
    let mut node = connection().await;
    let megabyte = vec![7; 1 << 20];
    let (mut peer_reads, mut peer_writes) = node.peer.into_split();
    let bytes = megabyte.clone();
    let writing = tokio::spawn(async move { peer_writes.write_all(&bytes).await.map(|()| peer_writes) });
    let mut said = vec![0; megabyte.len()];
    tokio::time::timeout(LONG, peer_reads.read_exact(&mut said)).await.expect("it goes through").unwrap();
    assert!(said == megabyte);
    drop((writing.await.unwrap().unwrap(), peer_reads));
    tokio::time::timeout(LONG, &mut node.task).await.expect("its task ends").unwrap();
}
