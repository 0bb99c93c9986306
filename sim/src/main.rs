//! mayfly-sim: a wallet is killed after every step, and nothing may be lost.
//!
//! A seed draws a schedule: channels, payments both ways, a torn network, a bad store, other holders, blocks. mayfly's own wallet
//! and an LSP made of LDK run through it in this process, on one thread, with time and randomness owned. After every step that
//! leads to a new state both are killed and started again from what is left: the LSP's exact state, our last commit. Then they
//! must find each other again, and everything in `oracle.rs` must hold.
//!
//! ```text
//! schedule   steps as data, drawn from a seed               run       one seed; crashes after its steps
//! sim        one step at a time: wallet, LSP, wire, chain   crash     what a crash leaves, and living on from it
//! holder     the wallet: mayfly's code, driven              minimise  the shortest schedule that still fails
//! peer       the LSP                                        report    progress, and failures with the way to rerun them
//! store wire world keys owned log rng                       oracle bank  what must hold, and who knows it
//! ```

mod args;
mod bank;
mod crash;
mod holder;
mod keys;
mod log;
mod minimise;
mod oracle;
mod owned;
mod peer;
mod report;
mod rng;
mod run;
mod schedule;
mod sim;
mod store;
mod wire;
mod world;

use args::Args;
use run::{Crashes, Failure, Seen};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;

fn main() -> ExitCode {
    let args = match Args::read() {
        Ok(Some(args)) => args,
        Ok(None) => return ExitCode::SUCCESS,
        Err(problem) => {
            report::line(&format!("{problem}\n\n{}", args::HELP));
            return ExitCode::from(2);
        }
    };
    if args.verbose {
        log::show();
    }
    args.mutation.into_iter().for_each(mayfly_core::mutation::switch_on);
    run::remember_panics();
    let (seen, failed) = all(&args);
    report::total(&args, &seen);
    let Some((seed, failure)) = failed else { return ExitCode::SUCCESS };
    let steps = schedule::draw(seed);
    report::failure(seed, &failure, steps.get(failure.step));
    if args.minimises {
        let (steps, failure) = minimise::minimise(seed, &steps, &failure);
        report::minimal(&steps, &failure);
    }
    ExitCode::FAILURE
}

/// One seed per thread at a time; the first failure ends it.
fn all(args: &Args) -> (Seen, Option<(u64, Failure)>) {
    let (next, over) = (AtomicU64::new(args.from), AtomicBool::new(false));
    let end = args.from.saturating_add(args.seeds);
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..args.jobs {
            let (tell, next, over) = (tell.clone(), &next, &over);
            scope.spawn(move || loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= end || over.load(Ordering::Relaxed) {
                    return;
                }
                let crashes = args.step.map_or(Crashes::All, Crashes::After);
                let ran = run::run(seed, &schedule::draw(seed), crashes);
                over.fetch_or(ran.1.is_some(), Ordering::Relaxed);
                // The listener is gone only when the process is.
                let _ = tell.send((seed, ran));
            });
        }
        drop(tell);
        let mut all = Seen::default();
        let mut failed: Option<(u64, Failure)> = None;
        for (done, (seed, (seen, failure))) in told.into_iter().enumerate() {
            all.add(&seen);
            over.fetch_or(all.points >= args.points, Ordering::Relaxed);
            report::progress(args, done as u64 + 1, &all);
            let first = failed.as_ref().is_none_or(|(before, _)| seed < *before);
            failed = failure.filter(|_| first).map(|failure| (seed, failure)).or(failed);
        }
        (all, failed)
    })
}
