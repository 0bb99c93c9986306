//! The options that bound waits: the lease's, `destroyTimeoutMs`, and the `timeouts` table.

use super::numbers::safe_integer;
use super::shown::{shown, stray};
use super::{LeasePolicy, RawLease, RawTimeouts, TakeOver};
use crate::error::{Error, Result};
use crate::timeouts::{Timeouts, DEFAULTS};
use std::ops::RangeInclusive;
use std::time::Duration;

/// Fifteen minutes: no function of the big platforms lives longer, so a longer wait is a mistake in the unit.
const LONGEST_MS: u64 = 900_000;

/// From two renewals (a holder renews every second, and one may come late) to ten minutes (how long a holder that died
/// may keep others out).
const LEASE_TTL_MS: RangeInclusive<u64> = 2_000..=600_000;

/// `destroy()` is synchronous: for so long the JavaScript thread may stand still, so seconds, not minutes.
const DESTROY_MS: RangeInclusive<u64> = 1..=10_000;
const DESTROY_DEFAULT: Duration = Duration::from_millis(250);

/// A day: longer is `0`, for ever.
const MAX_IDLE_MS: RangeInclusive<u64> = 0..=86_400_000;
/// Longer than any pause inside one request, shorter than what a second instance should wait for.
const MAX_IDLE_DEFAULT: Duration = Duration::from_secs(30);

pub(super) fn lease(raw: &RawLease) -> Result<LeasePolicy> {
    let attempts = match raw.attempts {
        None => 8,
        Some(value) => u32::try_from(safe_integer("lease.attempts", value, 1..=1_000)?)
            .map_err(|_| Error::option("lease.attempts", "lease.attempts is too big"))?,
    };
    Ok(LeasePolicy {
        ttl: milliseconds("lease.ttlMs", raw.ttl_ms, LEASE_TTL_MS, Duration::from_millis(8_000))?,
        attempts,
        base_delay: milliseconds("lease.baseDelayMs", raw.base_delay_ms, 1..=60_000, Duration::from_millis(250))?,
        // 0 is "try, don't wait".
        max_wait: milliseconds("lease.maxWaitMs", raw.max_wait_ms, 0..=LONGEST_MS, Duration::from_millis(10_000))?,
        take_over: match raw.take_over.as_deref() {
            None | Some("unrenewed") => TakeOver::Unrenewed,
            Some("expired") => TakeOver::Expired,
            Some(other) => {
                let value = shown(other);
                let message = format!("lease.takeOver is {value}; it must be 'expired' or 'unrenewed'{}", stray(other));
                return Err(Error::option("lease.takeOver", message));
            }
        },
    })
}

pub(super) fn destroy_timeout(raw: Option<f64>) -> Result<Duration> {
    milliseconds("destroyTimeoutMs", raw, DESTROY_MS, DESTROY_DEFAULT)
}

/// 0 is never.
pub(super) fn max_idle(raw: Option<f64>) -> Result<Option<Duration>> {
    let idle = milliseconds("maxIdleMs", raw, MAX_IDLE_MS, MAX_IDLE_DEFAULT)?;
    Ok(Some(idle).filter(|idle| !idle.is_zero()))
}

/// The table, with its order kept: a wait inside another is never longer than that one.
pub(super) fn timeouts(raw: &RawTimeouts) -> Result<Timeouts> {
    let wait = |name, value, default| milliseconds(name, value, 1..=LONGEST_MS, default);
    let lsp = wait("timeouts.lspMs", raw.lsp_ms, DEFAULTS.lsp)?;
    let commit = wait("timeouts.commitMs", raw.commit_ms, DEFAULTS.commit)?;
    // Who gives requests more time than a whole sync has, and says nothing of the sync, means both.
    let chain = wait("timeouts.chainMs", raw.chain_ms, DEFAULTS.chain)?;
    let sync = wait("timeouts.syncMs", raw.sync_ms, DEFAULTS.sync.max(chain))?;
    Ok(Timeouts {
        chain: inside("timeouts.chainMs", raw.chain_ms, DEFAULTS.chain, "timeouts.syncMs", sync)?,
        sync,
        store: inside("timeouts.storeMs", raw.store_ms, DEFAULTS.store, "timeouts.commitMs", commit)?,
        connect: inside("timeouts.connectMs", raw.connect_ms, DEFAULTS.connect, "timeouts.lspMs", lsp)?,
        lsp,
        lsp_request: inside("timeouts.lspRequestMs", raw.lsp_request_ms, DEFAULTS.lsp_request, "timeouts.lspMs", lsp)?,
        stop: wait("timeouts.stopMs", raw.stop_ms, DEFAULTS.stop)?,
        commit,
    })
}

/// A wait within a longer one: its default shrinks to fit, a value that does not fit is an error.
fn inside(name: &str, value: Option<f64>, default: Duration, outer_name: &str, outer: Duration) -> Result<Duration> {
    let wait = milliseconds(name, value, 1..=LONGEST_MS, default.min(outer))?;
    if wait > outer {
        let (wait, outer) = (wait.as_millis(), outer.as_millis());
        return Err(Error::option(
            name,
            format!(
                "{name} is {wait}, longer than {outer_name} ({outer}) which contains it; lower it or raise the other"
            ),
        ));
    }
    Ok(wait)
}

fn milliseconds(name: &str, value: Option<f64>, range: RangeInclusive<u64>, default: Duration) -> Result<Duration> {
    match value {
        None => Ok(default),
        Some(value) => safe_integer(name, value, range).map(Duration::from_millis),
    }
}
