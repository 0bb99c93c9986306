//! Latency and jitter. Only lower bounds: a busy machine is late, a delay is never early.

use crate::wire::{hear, hear_end, say, Wire};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

#[tokio::test]
async fn latency_delays_each_direction_and_the_first_bytes_pay_the_handshake() {
    let wire = Wire::start().await;
    let ms = Duration::from_millis;
    wire.link.faults().set_latency_ms(40);
    let (mut client, mut server) = wire.connect().await;
    let start = Instant::now();
    say(&mut client, &mut server, b"syn, ack, and a word").await;
    assert!(start.elapsed() >= ms(120));
    let start = Instant::now();
    say(&mut server, &mut client, b"answer").await;
    assert!(start.elapsed() >= ms(40));
    let start = Instant::now();
    client.shutdown().await.unwrap();
    hear_end(&mut server).await;
    assert!(start.elapsed() >= ms(40), "a FIN travels too");
    // Lowered while bytes are under way: they arrive in their order.
    server.write_all(b"slow, ").await.unwrap();
    server.flush().await.unwrap();
    wire.link.faults().set_latency_ms(0);
    server.write_all(b"quick").await.unwrap();
    hear(&mut client, b"slow, quick").await;
}

#[tokio::test]
async fn jitter_delays_at_random_and_keeps_the_order() {
    let wire = Wire::start().await;
    let (mut client, mut server) = wire.connect().await;
    wire.link.faults().set_jitter(Duration::from_millis(40));
    wire.link.faults().set_jitter_seed(4);
    // One at a time: each has a delay of its own, 20 ms on average.
    let start = Instant::now();
    for _ in 0..10 {
        say(&mut client, &mut server, b"ping").await;
        say(&mut server, &mut client, b"pong").await;
    }
    assert!(start.elapsed() >= Duration::from_millis(200), "20 delays took {:?}", start.elapsed());
    // Many at once: a later one with a shorter delay waits for the earlier one.
    let mut all = Vec::new();
    for n in 0..100 {
        let piece = format!("{n}, ");
        client.write_all(piece.as_bytes()).await.unwrap();
        all.extend(piece.into_bytes());
        // The link reads this piece by itself.
        tokio::task::yield_now().await;
    }
    hear(&mut server, &all).await;
}
