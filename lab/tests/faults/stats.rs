//! What a link counts.

use crate::wire::{hear_end, say, Wire, HUNG};
use mayfly_lab::faults::ConnectionStats;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

#[tokio::test]
async fn connections_bytes_turns_and_round_trips_are_counted() {
    let wire = Wire::start().await;
    let (mut client, mut server) = wire.connect().await;
    say(&mut client, &mut server, b"question").await;
    say(&mut server, &mut client, b"yes").await;
    say(&mut client, &mut server, b"more").await;
    say(&mut client, &mut server, b"and more").await;
    say(&mut server, &mut client, b"no").await;
    say(&mut client, &mut server, b"bye").await;
    let counted = ConnectionStats { bytes_up: 23, bytes_down: 5, turns: 5, round_trips: 2, open: true };
    assert_eq!(wire.link.stats().connections, std::slice::from_ref(&counted));
    let (mut second, mut second_server) = wire.connect().await;
    say(&mut second, &mut second_server, b"hi").await;
    assert_eq!((wire.link.stats().open(), wire.link.stats().turns(), wire.link.stats().round_trips()), (2, 6, 2));
    // The first ends; its task is done when both ends have heard it, and says so soon after.
    client.shutdown().await.unwrap();
    hear_end(&mut server).await;
    server.shutdown().await.unwrap();
    hear_end(&mut client).await;
    let closed = async {
        while wire.link.stats().open() != 1 {
            tokio::task::yield_now().await;
        }
    };
    timeout(HUNG, closed).await.unwrap();
    assert_eq!(wire.link.stats().connections[0], ConnectionStats { open: false, ..counted });
    wire.link.reset_stats();
    assert_eq!(wire.link.stats().connections, [ConnectionStats { open: true, ..Default::default() }]);
}
