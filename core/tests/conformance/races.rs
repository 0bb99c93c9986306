//! Holders that contend, in threads that really run at the same time, and claims that wait.

use super::{batch, claim, claimant, commit, let_go, reopened, rows_of, Place};
use mayfly_core::config::{LeasePolicy, TakeOver};
use mayfly_core::error::{Code, Error};
use mayfly_core::store::claim::claim_within;
use mayfly_core::store::{Epoch, Seq, Standing};
use std::collections::BTreeSet;
use std::sync::Barrier;
use std::time::Duration;

/// Runs a closure in each of `threads` threads, with a runtime of its own, and collects what they return.
fn in_threads<T: Send>(threads: u32, body: impl AsyncFn(u32) -> T + Sync) -> Vec<T> {
    let run = |i: u32| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(body(i))
    };
    #[allow(clippy::disallowed_methods, reason = "contenders must really run at the same time")]
    std::thread::scope(|scope| {
        let running: Vec<_> = (1..=threads).map(|i| scope.spawn(move || run(i))).collect();
        running.into_iter().map(|thread| thread.join().expect("no contender panics")).collect()
    })
}

pub async fn of_many_claims_at_once_exactly_one_wins(place: &impl Place) {
    const THREADS: u32 = 8;
    for round in 1..=5u64 {
        let (start, end) = (Barrier::new(THREADS as usize), Barrier::new(THREADS as usize));
        let results = in_threads(THREADS, async |i| {
            let mut store = place();
            start.wait();
            let result = store.claim_and_load(&claimant(i)).await.map(|snapshot| snapshot.position);
            // Nobody lets go before everybody has tried.
            end.wait();
            if let Ok(at) = result {
                let_go(store, at).await;
            }
            result.map(|at| at.epoch)
        });
        let won: Vec<_> = results.iter().filter_map(|result| result.as_ref().ok()).collect();
        assert_eq!(won, [&Epoch(round)], "{results:?}");
        let refused = results.iter().filter_map(|result| result.as_ref().err());
        assert!(refused.into_iter().all(|error: &Error| error.code == Code::WalletLocked), "{results:?}");
    }
}

pub(super) fn patient() -> LeasePolicy {
    LeasePolicy {
        ttl: Duration::from_secs(8),
        attempts: u32::MAX,
        base_delay: Duration::from_millis(1),
        max_wait: Duration::from_secs(120),
        take_over: TakeOver::Unrenewed,
    }
}

pub async fn contending_holders_lose_no_update(place: &impl Place) {
    const THREADS: u32 = 4;
    const ROUNDS: u64 = 5;
    // Each holder adds one to a counter that is in two rows, so that a torn or stale load would show.
    let epochs = in_threads(THREADS, async |i| {
        let mut epochs = Vec::new();
        for _ in 0..ROUNDS {
            let mut store = place();
            let held = claim_within(&mut *store, &claimant(i), &patient()).await.expect("the wallet gets free");
            let count = held.rows.get("count").map_or(0, |bytes| u64::from_be_bytes(bytes[..].try_into().unwrap()));
            assert_eq!(held.rows.get("count"), held.rows.get("copy"), "a torn load");
            assert_eq!(held.position.seq, Seq(count), "a stale load");
            let next = (count + 1).to_be_bytes();
            let at = commit(&mut *store, held.position, &batch(&[("count", &next), ("copy", &next)])).await;
            store.release(at).await.unwrap();
            epochs.push(held.position.epoch);
        }
        epochs
    });
    let total = u64::from(THREADS) * ROUNDS;
    assert_eq!(epochs.iter().flatten().collect::<BTreeSet<_>>().len() as u64, total, "an epoch was given twice");
    assert_eq!(reopened(place).await.position.seq, Seq(total));
}

pub async fn a_waiting_claim_wins_when_the_holder_releases(place: &impl Place) {
    let (mut holder, mut waiter) = (place(), place());
    let at = claim(&mut *holder).await.position;
    let at = commit(&mut *holder, at, &batch(&[("a", b"1")])).await;
    let (who, policy) = (claimant(2), patient());
    let waiting = claim_within(&mut *waiter, &who, &policy);
    // Polled in this order: the claim is refused before the holder lets go.
    let (won, released) = tokio::join!(biased; waiting, holder.release(at));
    released.unwrap();
    let won = won.unwrap();
    assert!(won.position.epoch > at.epoch);
    assert_eq!(won.rows, rows_of(&[("a", b"1")]));
}

pub async fn a_dropped_waiting_claim_leaves_nothing_behind(place: &impl Place) {
    let (mut holder, mut waiter) = (place(), place());
    let at = claim(&mut *holder).await.position;
    let (who, policy) = (claimant(2), patient());
    tokio::select! {
        biased;
        _ = claim_within(&mut *waiter, &who, &policy) => panic!("the wallet is held"),
        checked = holder.check(at) => assert_eq!(checked.unwrap(), Standing::Held(Seq(0))),
    }
    commit(&mut *holder, at, &batch(&[("a", b"1")])).await;
    let_go(holder, at).await;
    // Free for anyone, though the store that waited is still there.
    assert_eq!(reopened(place).await.position.epoch, Epoch(at.epoch.0 + 1));
}
