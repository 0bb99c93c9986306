//! The three clocks by which a lease is judged, and the one place where they are read.

use std::time::Duration;

/// What the clocks said at one instant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    /// Counts while this machine runs.
    pub monotonic: Duration,
    /// Counts while it sleeps, too.
    pub boottime: Duration,
    /// Wall time, which others set.
    pub realtime: Duration,
}

impl Reading {
    /// Whether no clock has moved further than that, in either direction.
    pub(super) fn is_within(&self, slack: Duration, earlier: &Reading) -> bool {
        let near = |now: Duration, then: Duration| now.abs_diff(then) <= slack;
        near(self.monotonic, earlier.monotonic)
            && near(self.boottime, earlier.boottime)
            && near(self.realtime, earlier.realtime)
    }
}

/// Where a lease reads them: a test sets them.
pub trait Clocks: Send + Sync {
    /// All three, now.
    fn read(&self) -> Reading;
}

/// The machine's.
pub struct SystemClocks;

/// Elsewhere the monotonic clock counts through a sleep, or wall time tells of it.
#[cfg(any(target_os = "linux", target_os = "android"))]
const BOOTTIME: libc::clockid_t = libc::CLOCK_BOOTTIME;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const BOOTTIME: libc::clockid_t = libc::CLOCK_MONOTONIC;

impl Clocks for SystemClocks {
    fn read(&self) -> Reading {
        Reading {
            monotonic: read(libc::CLOCK_MONOTONIC),
            boottime: read(BOOTTIME),
            realtime: read(libc::CLOCK_REALTIME),
        }
    }
}

/// A clock that can't be read says zero: it does not move, and the others decide.
fn read(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes into that struct alone, which outlives it.
    let done = unsafe { libc::clock_gettime(clock, &raw mut time) };
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    match (done, seconds, nanos) {
        (0, Ok(seconds), Ok(nanos)) => Duration::new(seconds, nanos),
        _ => Duration::ZERO,
    }
}
