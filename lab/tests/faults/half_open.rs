//! A client that is gone, and a server that is not told.

use crate::wire::{hear_gone, hear_reset, say, Wire, HUNG};
use std::io::ErrorKind;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

#[tokio::test]
async fn the_server_keeps_believing_in_a_client_that_has_gone_and_new_connections_are_whole() {
    let wire = Wire::start().await;
    let (mut ending, mut left) = wire.connect().await;
    let (mut tearing, mut torn) = wire.connect().await;
    say(&mut ending, &mut left, b"hello").await;
    say(&mut tearing, &mut torn, b"hello").await;
    wire.link.faults().set_half_open(true);
    // 1. One ends with a FIN, one with an RST.
    ending.write_all(b"last words").await.unwrap();
    ending.shutdown().await.unwrap();
    drop(ending);
    tearing.set_zero_linger().unwrap();
    drop(tearing);
    // 2. Whoever comes later is heard, so time has passed.
    let (mut later, mut served) = wire.connect().await;
    for _ in 0..50 {
        say(&mut later, &mut served, b"question").await;
        say(&mut served, &mut later, b"answer").await;
    }
    // 3. Neither end was told to the server, nor the last words, and what it says itself seems to arrive.
    for server in [&mut left, &mut torn] {
        assert_eq!(server.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        timeout(HUNG, server.write_all(&vec![0; 8_000_000])).await.unwrap().unwrap();
        assert_eq!(server.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    }
    // 4. It gives up: then the connection is over.
    assert_eq!(wire.link.stats().open(), 3);
    drop(left);
    drop(torn);
    let ended = async {
        while wire.link.stats().open() != 1 {
            tokio::task::yield_now().await;
        }
    };
    timeout(HUNG, ended).await.unwrap();
    say(&mut later, &mut served, b"still here").await;
}

#[tokio::test]
async fn a_client_that_lives_on_hears_nothing_until_the_server_gives_up() {
    let wire = Wire::start().await;
    let (mut client, mut server) = wire.connect().await;
    wire.link.faults().set_half_open(true);
    server.write_all(b"ping").await.unwrap();
    client.write_all(b"ping").await.unwrap();
    let (mut later, mut served) = wire.connect().await;
    for _ in 0..50 {
        say(&mut later, &mut served, b"tick").await;
        say(&mut served, &mut later, b"tock").await;
    }
    assert_eq!(client.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(server.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(server);
    hear_gone(&mut client).await;
}

#[tokio::test]
async fn lifting_it_resets_both_ends_and_leaves_later_connections_alone() {
    let wire = Wire::start().await;
    let (mut client, mut server) = wire.connect().await;
    say(&mut client, &mut server, b"hello").await;
    wire.link.faults().set_half_open(true);
    let (mut later, mut served) = wire.connect().await;
    say(&mut later, &mut served, b"hello").await;
    wire.link.faults().set_half_open(false);
    hear_reset(&mut server).await;
    hear_reset(&mut client).await;
    say(&mut served, &mut later, b"unharmed").await;
    // And once more: now the later one is the earlier one.
    wire.link.faults().set_half_open(true);
    later.shutdown().await.unwrap();
    let (mut last, mut last_server) = wire.connect().await;
    say(&mut last, &mut last_server, b"hello").await;
    assert_eq!(served.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    wire.link.faults().set_half_open(false);
    hear_reset(&mut served).await;
}
