//! A link between two sockets of the test.

use mayfly_lab::faults::Link;
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// The test hangs for good if this passes: it decides nothing else.
pub const HUNG: Duration = Duration::from_secs(30);

/// A link with a listener behind it.
pub struct Wire {
    pub link: Link,
    pub listener: TcpListener,
}

impl Wire {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let link = Link::start(listener.local_addr().unwrap()).await.unwrap();
        Wire { link, listener }
    }

    /// A connection through the link: (client's end, server's end).
    pub async fn connect(&self) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(self.link.address()).await.unwrap();
        let (server, _) = timeout(HUNG, self.listener.accept()).await.unwrap().unwrap();
        (client, server)
    }
}

pub async fn say(from: &mut TcpStream, to: &mut TcpStream, text: &[u8]) {
    from.write_all(text).await.unwrap();
    hear(to, text).await;
}

pub async fn hear(to: &mut TcpStream, text: &[u8]) {
    let mut heard = vec![0; text.len()];
    timeout(HUNG, to.read_exact(&mut heard)).await.unwrap().unwrap();
    assert_eq!(heard, text);
}

pub async fn hear_end(to: &mut TcpStream) {
    assert_eq!(timeout(HUNG, to.read(&mut [0])).await.unwrap().unwrap(), 0, "a FIN");
}

pub async fn hear_reset(to: &mut TcpStream) {
    let error = timeout(HUNG, to.read(&mut [0])).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

pub async fn hear_gone(to: &mut TcpStream) {
    match timeout(HUNG, to.read(&mut [0])).await.unwrap() {
        Ok(0) => {}
        Err(e) if e.kind() == ErrorKind::ConnectionReset => {}
        other => panic!("{other:?}"),
    }
}
