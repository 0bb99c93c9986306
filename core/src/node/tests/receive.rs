//! When a `receivePayment` is over, on a paused clock.

use crate::node::receive::{ReceiveProgress, Verdict};
use crate::node::ReceiveLimits;
use std::time::Duration;
use tokio::time::{advance, Instant};

const MIN: Duration = Duration::from_secs(10);
const QUIET: Duration = Duration::from_secs(2);
const DEADLINE: Duration = Duration::from_secs(60);

fn limits() -> ReceiveLimits {
    ReceiveLimits { min: MIN, quiet: QUIET, deadline: DEADLINE }
}

fn begun() -> (ReceiveProgress, Instant) {
    let (mut progress, began) = (ReceiveProgress::new(), Instant::now());
    progress.begin(limits(), began);
    (progress, began)
}

#[tokio::test(start_paused = true)]
async fn without_a_receive_there_is_nothing_to_wait_for() {
    let mut progress = ReceiveProgress::new();
    assert_eq!((progress.verdict(true), progress.deadline(), progress.is_active()), (Verdict::Quiet, None, false));
    progress.saw_payment();
    progress.connected();
    progress.begin(limits(), Instant::now());
    assert!(progress.is_active());
    progress.end();
    assert_eq!((progress.verdict(true), progress.is_active()), (Verdict::Quiet, false));
}

#[tokio::test(start_paused = true)]
async fn a_first_payment_is_waited_for_and_a_quiet_time_does_not_shorten_that() {
    let (progress, began) = begun();
    assert_eq!(progress.verdict(false), Verdict::WaitUntil(began + MIN));
    advance(MIN - Duration::from_millis(1)).await;
    assert_eq!(progress.verdict(false), Verdict::WaitUntil(began + MIN));
    advance(Duration::from_millis(1)).await;
    assert_eq!(progress.verdict(false), Verdict::Quiet);
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_first_payment_counts_from_the_connection_and_the_deadline_from_the_call() {
    let (mut progress, began) = begun();
    advance(Duration::from_secs(20)).await;
    progress.connected();
    let connected = Instant::now();
    assert_eq!(progress.verdict(false), Verdict::WaitUntil(connected + MIN));
    assert_eq!(progress.deadline(), Some(began + DEADLINE));
    advance(Duration::from_secs(35)).await;
    progress.connected();
    assert_eq!(progress.verdict(false), Verdict::WaitUntil(began + DEADLINE), "never past the deadline");
}

#[tokio::test(start_paused = true)]
async fn after_a_payment_it_is_over_when_nothing_has_happened_for_the_quiet_time() {
    let (mut progress, _) = begun();
    progress.saw_payment();
    progress.saw_activity();
    let last = Instant::now();
    assert_eq!(progress.verdict(false), Verdict::WaitUntil(last + QUIET));
    advance(Duration::from_secs(1)).await;
    progress.saw_activity();
    assert_eq!(progress.verdict(false), Verdict::WaitUntil(Instant::now() + QUIET));
    advance(QUIET).await;
    assert_eq!(progress.verdict(false), Verdict::Quiet);
}

#[tokio::test(start_paused = true)]
async fn something_in_flight_keeps_it_until_the_deadline() {
    let (mut progress, began) = begun();
    progress.saw_payment();
    for _ in 0..59 {
        let Verdict::WaitUntil(at) = progress.verdict(true) else { panic!("over after {:?}", began.elapsed()) };
        assert!(at > Instant::now() && at <= began + DEADLINE);
        advance(Duration::from_secs(1)).await;
    }
    advance(Duration::from_secs(1)).await;
    assert_eq!(progress.verdict(true), Verdict::Deadline);
    assert_eq!(progress.verdict(false), Verdict::Quiet, "what was in flight is gone at the last moment");
}

#[tokio::test(start_paused = true)]
async fn limits_of_nothing_are_over_at_once() {
    let mut progress = ReceiveProgress::new();
    let nothing = ReceiveLimits { min: Duration::ZERO, quiet: Duration::ZERO, deadline: Duration::ZERO };
    progress.begin(nothing, Instant::now());
    assert_eq!(progress.verdict(false), Verdict::Quiet);
    assert_eq!(progress.verdict(true), Verdict::Deadline);
}
