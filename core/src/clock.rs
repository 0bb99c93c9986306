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
