//! Links to many servers under the same faults.

use crate::wire::{hear_reset, say, HUNG};
use mayfly_lab::faults::Fan;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

#[tokio::test]
async fn each_server_has_a_link_of_its_own_and_the_faults_are_theirs_together() {
    let fan = Fan::default();
    let mut pairs = Vec::new();
    for _ in 0..2 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let way = fan.way_to(listener.local_addr().unwrap()).await.unwrap();
        assert_eq!(fan.way_to(listener.local_addr().unwrap()).await.unwrap(), way, "the same one when asked again");
        let mut client = TcpStream::connect(way).await.unwrap();
        let (mut server, _) = timeout(HUNG, listener.accept()).await.unwrap().unwrap();
        say(&mut client, &mut server, b"hello").await;
        pairs.push((client, server));
    }
    assert_eq!(fan.stats().await.connections.iter().map(|c| c.bytes_up).collect::<Vec<_>>(), [5, 5]);
    fan.reset_stats().await;
    assert_eq!(fan.stats().await.connections.iter().map(|c| c.bytes_up).collect::<Vec<_>>(), [0, 0]);
    // A server that registers while a fault is on has it, too.
    fan.faults().set_reset(true);
    for (client, server) in &mut pairs {
        hear_reset(client).await;
        hear_reset(server).await;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let way = fan.way_to(listener.local_addr().unwrap()).await.unwrap();
    hear_reset(&mut TcpStream::connect(way).await.unwrap()).await;
}
