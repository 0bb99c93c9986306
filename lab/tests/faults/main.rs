//! The proxy: what passes, what doesn't, and what it counts. Order comes from the sockets, never from a pause.

mod fan;
mod half_open;
mod one_way;
mod stats;
mod timing;
mod wire;

use mayfly_lab::faults::Link;
use std::io::ErrorKind;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use wire::{hear, hear_end, hear_gone, hear_reset, say, Wire, HUNG};

#[tokio::test]
async fn bytes_pass_both_ways_whole_and_in_order() {
    let wire = Wire::start().await;
    wire.link.faults().set_latency_ms(3);
    let (client, server) = wire.connect().await;
    // More than all buffers hold, so that the proxy must stall and resume both senders.
    let data: Vec<u8> = (0..20_000_000u32).map(|n| (n % 251) as u8).collect();
    let (mut client_in, mut client_out) = client.into_split();
    let (mut server_in, mut server_out) = server.into_split();
    let (mut up, mut down) = (Vec::new(), Vec::new());
    let all = async {
        tokio::try_join!(
            async {
                client_out.write_all(&data).await?;
                client_out.shutdown().await
            },
            async {
                server_out.write_all(&data).await?;
                server_out.shutdown().await
            },
            server_in.read_to_end(&mut up),
            client_in.read_to_end(&mut down),
        )
    };
    timeout(HUNG, all).await.unwrap().unwrap();
    assert!(up == data && down == data);
    assert_eq!(wire.link.stats().connections[0].bytes_up, 20_000_000);
    assert_eq!(wire.link.stats().connections[0].bytes_down, 20_000_000);
}

#[tokio::test]
async fn a_half_close_shuts_down_one_direction_only() {
    let wire = Wire::start().await;
    let (mut client, mut server) = wire.connect().await;
    // 1. The client says goodbye.
    client.write_all(b"bye").await.unwrap();
    client.shutdown().await.unwrap();
    // 2. The server hears it, after the last word.
    hear(&mut server, b"bye").await;
    hear_end(&mut server).await;
    // 3. It still has something to say, more than once, and the client hears it.
    say(&mut server, &mut client, b"one more").await;
    say(&mut server, &mut client, b"and one").await;
    // 4. Then it ends too, tidily.
    server.shutdown().await.unwrap();
    hear_end(&mut client).await;
    // And from the server's side.
    let (mut client, mut server) = wire.connect().await;
    server.shutdown().await.unwrap();
    hear_end(&mut client).await;
    say(&mut client, &mut server, b"still here").await;
    client.shutdown().await.unwrap();
    hear_end(&mut server).await;
}

#[tokio::test]
async fn a_reset_of_one_side_is_a_reset_of_the_other_behind_what_was_said() {
    let wire = Wire::start().await;
    wire.link.faults().set_latency_ms(5);
    let (mut client, mut server) = wire.connect().await;
    say(&mut client, &mut server, b"hello").await;
    client.write_all(b"last words").await.unwrap();
    client.set_zero_linger().unwrap();
    drop(client);
    hear(&mut server, b"last words").await;
    hear_reset(&mut server).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_reset() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody: SocketAddr = listener.local_addr().unwrap();
    drop(listener);
    let link = Link::start(nobody).await.unwrap();
    let mut client = TcpStream::connect(link.address()).await.unwrap();
    hear_reset(&mut client).await;
}

#[tokio::test]
async fn a_black_hole_freezes_connections_and_lets_go_of_them_unharmed() {
    let wire = Wire::start().await;
    let (mut client, mut server) = wire.connect().await;
    say(&mut client, &mut server, b"before").await;
    wire.link.faults().set_black_hole(true);
    client.write_all(b"in the dark").await.unwrap();
    server.write_all(b"also").await.unwrap();
    server.shutdown().await.unwrap();
    // Through another link to the same server everything goes its way, so time has passed for the dark one as well.
    let other = Link::start(wire.listener.local_addr().unwrap()).await.unwrap();
    let mut witness = TcpStream::connect(other.address()).await.unwrap();
    let (mut witness_server, _) = wire.listener.accept().await.unwrap();
    for _ in 0..50 {
        say(&mut witness, &mut witness_server, b"tick").await;
        say(&mut witness_server, &mut witness, b"tock").await;
    }
    assert_eq!(client.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(server.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    wire.link.faults().set_black_hole(false);
    hear(&mut server, b"in the dark").await;
    hear(&mut client, b"also").await;
    hear_end(&mut client).await;
    say(&mut client, &mut server, b"after").await;
}

#[tokio::test]
async fn in_a_black_hole_connections_open_but_the_server_sees_only_those_that_wait() {
    let wire = Wire::start().await;
    wire.link.faults().set_black_hole(true);
    // 1. One client connects, speaks and gives up in the dark.
    let mut gone = TcpStream::connect(wire.link.address()).await.unwrap();
    gone.write_all(b"anybody?").await.unwrap();
    gone.shutdown().await.unwrap();
    // 2. The link has noticed: its connection ends.
    hear_gone(&mut gone).await;
    // 3. Another one connects and waits.
    let mut patient = TcpStream::connect(wire.link.address()).await.unwrap();
    patient.write_all(b"I can wait").await.unwrap();
    // 4. In the light the server hears that one only.
    wire.link.faults().set_black_hole(false);
    let (mut server, _) = timeout(HUNG, wire.listener.accept()).await.unwrap().unwrap();
    hear(&mut server, b"I can wait").await;
    say(&mut server, &mut patient, b"thanks").await;
}

#[tokio::test]
async fn a_reset_tears_both_ends_and_every_new_connection_until_it_is_lifted() {
    let wire = Wire::start().await;
    let (mut client, mut server) = wire.connect().await;
    say(&mut client, &mut server, b"before").await;
    wire.link.faults().set_reset(true);
    hear_reset(&mut client).await;
    hear_reset(&mut server).await;
    let mut refused = TcpStream::connect(wire.link.address()).await.unwrap();
    hear_reset(&mut refused).await;
    wire.link.faults().set_reset(false);
    let (mut client, mut server) = wire.connect().await;
    say(&mut client, &mut server, b"after").await;
    // On and off at once: existing connections are torn all the same, frozen ones too.
    wire.link.faults().set_black_hole(true);
    wire.link.faults().set_reset(true);
    wire.link.faults().set_reset(false);
    wire.link.faults().set_black_hole(false);
    hear_reset(&mut client).await;
    hear_reset(&mut server).await;
    let (mut client, mut server) = wire.connect().await;
    say(&mut client, &mut server, b"again").await;
}

#[tokio::test]
async fn a_dropped_link_takes_its_port_and_connections_with_it() {
    let wire = Wire::start().await;
    let (mut client, mut server) = wire.connect().await;
    say(&mut client, &mut server, b"hello").await;
    let address = wire.link.address();
    drop(wire.link);
    hear_gone(&mut client).await;
    hear_gone(&mut server).await;
    assert_eq!(TcpStream::connect(address).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}
