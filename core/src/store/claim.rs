//! Waiting for a wallet that another holder has: a bounded number of tries, with pauses that can be dropped.
//!
//! A store's claim never waits, so all of the waiting is in [`claim_within`], in one `sleep`. Dropping its future ends the
//! wait at once, leaves no thread behind, and gives back whatever the store had taken.

use super::{Claimant, Snapshot, Store};
use crate::config::LeasePolicy;
use crate::error::{Code, Result};
use std::time::Duration;
use tokio::time::Instant;

/// No pause is longer: a holder that serves one payment is gone in a second or two, so a longer pause only wastes the wait.
/// It is also what makes all 8 attempts fit 10 s: 0.25 + 0.5 + 1 + 2 + 2 + 2 + 2 = 9.75 s.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The pauses between the attempts of one claim: doubling, each at most 2 s, all together at most the policy's `max_wait`.
#[derive(Debug, Clone)]
pub struct Budget {
    pauses_left: u32,
    next: Duration,
    left: Duration,
}

impl Budget {
    /// One pause fewer than attempts; a policy of one attempt has none.
    pub fn new(policy: &LeasePolicy) -> Self {
        Budget { pauses_left: policy.attempts.saturating_sub(1), next: policy.base_delay, left: policy.max_wait }
    }
}

impl Iterator for Budget {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.pauses_left == 0 || self.left.is_zero() {
            return None;
        }
        self.pauses_left -= 1;
        // The last pause is cut, not skipped: the last attempt comes as late as the policy allows.
        let pause = self.next.min(LONGEST_PAUSE).min(self.left);
        self.left -= pause;
        self.next = self.next.saturating_mul(2).min(LONGEST_PAUSE);
        Some(pause)
    }
}

/// Claims, and while another holder is live pauses and tries again, within the policy's budget. What the attempts themselves
/// take counts towards `max_wait`. When the budget is spent: the last `WALLET_LOCKED`, with the holder. Any other error: at once.
pub async fn claim_within(store: &mut dyn Store, claimant: &Claimant, policy: &LeasePolicy) -> Result<Snapshot> {
    let began = Instant::now();
    let mut pauses = Budget::new(policy);
    loop {
        let locked = match store.claim_and_load(claimant).await {
            Err(error) if error.code == Code::WalletLocked => error,
            done => return done,
        };
        let left = policy.max_wait.saturating_sub(began.elapsed());
        match pauses.next() {
            Some(pause) if !left.is_zero() => tokio::time::sleep(pause.min(left)).await,
            _ => return Err(locked),
        }
    }
}

#[cfg(test)]
#[path = "claim_tests.rs"]
mod tests;
