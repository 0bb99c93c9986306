//! Makes a failing schedule short: leaves out whatever it fails without.

use crate::oracle::Oracle;
use crate::run::{run, Crashes, Failure};
use crate::schedule::Step;

/// Runs at most; each costs about as much as the failing run did.
const BUDGET: usize = 400;

/// A shorter schedule that breaks the same promise, and how it fails.
pub fn minimise(seed: u64, steps: &[Step], failure: &Failure) -> (Vec<Step>, Failure) {
    let oracle = failure.wrongs[0].oracle;
    let mut steps = steps[..steps.len().min(failure.step + 1)].to_vec();
    let mut failure = failure.clone();
    let mut left = BUDGET;
    let mut chunk = steps.len().div_ceil(2);
    while chunk > 0 && left > 0 {
        let mut at = 0;
        while at < steps.len() && left > 0 {
            let mut shorter = steps.clone();
            shorter.drain(at..(at + chunk).min(steps.len()));
            left -= 1;
            match fails(seed, &shorter, &failure, oracle) {
                Some(again) => {
                    shorter.truncate(again.step + 1);
                    (steps, failure) = (shorter, again);
                }
                None => at += chunk,
            }
        }
        chunk /= 2;
    }
    (steps, failure)
}

/// Only the last crash is tried when it took one: the others cost time and showed nothing.
fn fails(seed: u64, steps: &[Step], before: &Failure, oracle: Oracle) -> Option<Failure> {
    let last = steps.len().checked_sub(1)?;
    let crashes = if before.by_crash { Crashes::After(last) } else { Crashes::After(usize::MAX) };
    let (_, failure) = run(seed, steps, crashes);
    failure.filter(|failure| failure.wrongs.iter().any(|wrong| wrong.oracle == oracle))
}
