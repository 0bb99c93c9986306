//! What the end of a node's session by `destroy()` spends its time on, and the record of it.

use super::handle::DestroyReport;
use std::time::Duration;
use tokio::time::Instant;

/// A stage of `destroy()`, in the order in which they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Until the node's thread leaves whatever it did.
    Signal,
    /// The LSP's connection is closed.
    Disconnect,
    /// What is worth a commit is committed.
    Commit,
    /// The lease is given back.
    Release,
    /// The thread ends, with its sockets and tasks.
    Join,
}

const STAGES: usize = 5;

/// Microseconds that each stage took; `None`: it was not come to, or not come through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DestroyStages([Option<u64>; STAGES]);

impl DestroyStages {
    /// In the order of the stages: signal, disconnect, commit, release, join.
    pub fn us(&self) -> [Option<u64>; STAGES] {
        self.0
    }

    fn ms(&self, stage: Stage) -> Option<f64> {
        self.0.get(stage as usize).copied().flatten().map(|us| us as f64 / 1_000.0)
    }
}

/// The stages of one end, as they are come through.
pub(super) struct Ended {
    last: Instant,
    stages: DestroyStages,
}

impl Ended {
    /// `destroy()` is called now.
    pub fn new() -> Self {
        Ended { last: Instant::now(), stages: DestroyStages::default() }
    }

    /// That stage is done, which began when the one before was.
    pub fn through(&mut self, stage: Stage) {
        let now = Instant::now();
        let took = now.duration_since(std::mem::replace(&mut self.last, now));
        if let Some(slot) = self.stages.0.get_mut(stage as usize) {
            *slot = Some(micros(took));
        }
    }

    pub fn stages(&self) -> DestroyStages {
        self.stages
    }
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The record of a `destroy()`: what an operator wants when it ended something, or could not.
pub(super) fn tell(report: &DestroyReport) {
    macro_rules! tell {
        ($level:ident, $outcome:literal) => {
            tracing::event!(
                target: "mayfly::node",
                tracing::Level::$level,
                outcome = $outcome,
                duration_ms = report.duration_us as f64 / 1_000.0,
                signal_ms = report.stages.ms(Stage::Signal),
                disconnect_ms = report.stages.ms(Stage::Disconnect),
                commit_ms = report.stages.ms(Stage::Commit),
                release_ms = report.stages.ms(Stage::Release),
                join_ms = report.stages.ms(Stage::Join),
                unfinished = (!report.unfinished.is_empty()).then(|| report.unfinished.join("; ")),
                "destroy"
            )
        };
    }
    let ended_a_session = report.stages.ms(Stage::Disconnect).is_some();
    match (report.unfinished.is_empty(), ended_a_session) {
        (false, _) => tell!(WARN, "unfinished"),
        (true, true) => tell!(INFO, "ok"),
        (true, false) => tell!(DEBUG, "ok"),
    }
}
