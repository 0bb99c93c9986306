//! One direction lost: nothing passes that way, everything the other way, and when it is lifted nothing is missing.

use crate::wire::{hear, hear_end, say, Wire};
use mayfly_lab::faults::Direction;
use std::io::ErrorKind;
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn what_the_client_says_is_lost_and_what_the_server_says_arrives_until_it_is_lifted() {
    let wire = Wire::start().await;
    let (mut client, mut server) = wire.connect().await;
    say(&mut client, &mut server, b"before").await;
    wire.link.faults().set_drop(Some(Direction::Up));
    client.write_all(b"lost").await.unwrap();
    client.shutdown().await.unwrap();
    // What arrives the other way shows that time has passed.
    for _ in 0..50 {
        say(&mut server, &mut client, b"are you there?").await;
    }
    assert_eq!(server.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock, "neither bytes nor the FIN");
    wire.link.faults().set_drop(None);
    hear(&mut server, b"lost").await;
    hear_end(&mut server).await;
    say(&mut server, &mut client, b"after").await;
}

#[tokio::test]
async fn what_the_server_says_is_lost_also_on_a_connection_that_is_made_meanwhile() {
    let wire = Wire::start().await;
    wire.link.faults().set_drop(Some(Direction::Down));
    let (mut client, mut server) = wire.connect().await;
    say(&mut client, &mut server, b"a question").await;
    server.write_all(b"an answer").await.unwrap();
    for _ in 0..50 {
        say(&mut client, &mut server, b"and?").await;
    }
    assert_eq!(client.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    // The other direction instead: this one's bytes arrive at once.
    wire.link.faults().set_drop(Some(Direction::Up));
    hear(&mut client, b"an answer").await;
    client.write_all(b"now I am lost").await.unwrap();
    say(&mut server, &mut client, b"go on").await;
    assert_eq!(server.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
}
