//! The one place where wall time is read, so that a simulation can own it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Wall time since 1970. A clock set before 1970 reads as 1970.
pub fn now() -> Duration {
    #[allow(clippy::disallowed_methods, reason = "this is the one place")]
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Wall time in milliseconds since 1970.
pub fn now_ms() -> u64 {
    u64::try_from(now().as_millis()).unwrap_or(u64::MAX)
}

/// An instant of wall time as ISO 8601 has it, in UTC and to the millisecond: for messages that people read.
pub fn iso8601(ms_since_1970: u64) -> String {
    const DAY_MS: u64 = 86_400_000;
    let (days, ms) = (ms_since_1970 / DAY_MS, ms_since_1970 % DAY_MS);
    let (year, month, day) = date(days);
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{:03}Z", ms % 1_000)
}

/// Year, month and day of a day since 1970-01-01. Counted in years that begin with March, so that a leap day is the last of its year,
/// and in eras of 400 years, after which the calendar repeats.
fn date(days_since_1970: u64) -> (u64, u64, u64) {
    const DAYS_FROM_MARCH_0000: u64 = 719_468;
    const DAYS_OF_ERA: u64 = 146_097;
    let days = days_since_1970 + DAYS_FROM_MARCH_0000;
    let (era, day) = (days / DAYS_OF_ERA, days % DAYS_OF_ERA);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // 153 days in five months, from March on.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

/// Monotonic time since it was made.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(tokio::time::Instant);

impl Stopwatch {
    /// Begins now.
    pub fn start() -> Self {
        Stopwatch(tokio::time::Instant::now())
    }

    /// In milliseconds.
    pub fn elapsed_ms(&self) -> f64 {
        self.0.elapsed().as_secs_f64() * 1_000.0
    }
}

#[cfg(test)]
#[path = "clock_tests.rs"]
mod tests;
