//! What is shown: progress while it runs, what was tried, and of a failure everything that it takes to see it again.

use crate::args::Args;
use crate::run::{Failure, Seen};
use crate::schedule::Step;
use std::io::{IsTerminal, Write};

/// In a file or a CI log nothing can be overwritten: a line for so many seeds, and more often in the beginning.
const SEEDS_A_LINE: u64 = 64;

/// Whatever can't be written can't be told either.
pub fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Overwrites itself on a terminal.
pub fn progress(args: &Args, done: u64, seen: &Seen) {
    let (so_far, in_all, what) = match args.points {
        u64::MAX => (done, args.seeds, "seeds"),
        points => (seen.points, points, "crash points"),
    };
    let text = format!(
        "sim: {so_far} of {in_all} {what}: {} crash points, {} with an HTLC in flight",
        seen.points, seen.pending
    );
    let mut out = std::io::stdout();
    if out.is_terminal() {
        let _ = write!(out, "\r{text}");
        let _ = out.flush();
    } else if done.is_power_of_two() || done % SEEDS_A_LINE == 0 {
        line(&text);
    }
}

/// What was tried in all.
pub fn total(args: &Args, seen: &Seen) {
    let share = 100 * seen.pending / seen.points.max(1);
    if std::io::stdout().is_terminal() {
        line("");
    }
    line(&format!(
        "sim: {} crash points that differ, {} of them ({share} %) with an HTLC in flight; {} steps of seeds from {}; digest {:016x}",
        seen.points, seen.pending, seen.steps, args.from, seen.digest
    ));
    let brought = &seen.brought;
    line(&format!(
        "sim: {} payments received and {} sent before the last crashes, {} channels opened, {} of them closed",
        brought.received, brought.sent, brought.channels, brought.closed
    ));
}

/// Where it failed, and how to see it again.
pub fn failure(seed: u64, failure: &Failure, step: Option<&Step>) {
    let how = if failure.by_crash { "after a crash behind" } else { "at" };
    match step {
        Some(step) => line(&format!("sim: FAILED: seed {seed}, {how} step {} ({step:?})", failure.step)),
        None => line(&format!("sim: FAILED: seed {seed}, at the end of its schedule")),
    }
    failure.wrongs.iter().for_each(|wrong| line(&format!("  {:?}: {}", wrong.oracle, wrong.what)));
    let only = if failure.by_crash { format!(" --step {}", failure.step) } else { String::new() };
    line(&format!("again: npm run sim -- --seeds 1 --from {seed}{only}"));
}

/// The shortest schedule that was found.
pub fn minimal(steps: &[Step], failure: &Failure) {
    line(&format!("sim: minimised to {} steps:", steps.len()));
    steps.iter().enumerate().for_each(|(at, step)| line(&format!("  {at:3} {step:?}")));
    if failure.by_crash {
        line("      and a crash of both sides");
    }
    failure.wrongs.iter().for_each(|wrong| line(&format!("  {:?}: {}", wrong.oracle, wrong.what)));
}
