//! Arguments of methods: checked here, so that core gets values of the right type; ranges with a meaning are core's.
//! Every failure is `INVALID_ARGUMENT` with `option` set to the argument's name, and nothing has happened.

use std::time::Duration;

use mayfly_core::config::{safe_argument, MAX_SAFE_INTEGER};
use mayfly_core::error::{Error, Result};
use mayfly_core::log::Levels;
use mayfly_core::node::{Call, Query, ReceiveLimits};
use napi::bindgen_prelude::{Object, Unknown};
use napi::Env;

use crate::cancel::CancelToken;
use crate::js;

/// `receivePayment`: how long to wait for a first payment. An LSP that forwards by a timer of one second is heard, and a wake
/// with nothing behind it is over within two.
const RECEIVE_MIN: Duration = Duration::from_millis(1_500);
/// `receivePayment`: how long nothing must happen after the last one.
const RECEIVE_QUIET: Duration = Duration::from_millis(50);
/// `receivePayment`: when to give up; below the 60 s of most platforms, with time left to stop.
const RECEIVE_DEADLINE: Duration = Duration::from_millis(45_000);

/// `listPayments`: what one screen or one line of a report shows.
const PAGE: u64 = 100;

/// A string.
pub fn text(name: &str, value: &Unknown<'_>) -> Result<String> {
    js::text(value).map_err(|fault| wrong(name, &fault))
}

/// A safe integer from 0.
pub fn integer(name: &str, value: &Unknown<'_>) -> Result<u64> {
    let number = js::number(value).map_err(|fault| wrong(name, &fault))?;
    safe_argument(name, number, 0..=MAX_SAFE_INTEGER)
}

/// A safe integer from 0 that fits 32 bits.
pub fn integer32(name: &str, value: &Unknown<'_>) -> Result<u32> {
    let number = js::number(value).map_err(|fault| wrong(name, &fault))?;
    let number = safe_argument(name, number, 0..=u32::MAX.into())?;
    u32::try_from(number).map_err(|_| wrong(name, &format!("is {number}; it must be at most {}", u32::MAX)))
}

/// An integer, or `default` when it is not given.
pub fn integer_or(name: &str, value: &Unknown<'_>, default: u64) -> Result<u64> {
    if js::is_absent(value) {
        Ok(default)
    } else {
        integer(name, value)
    }
}

/// Milliseconds, or `default` when they are not given.
pub fn millis_or(name: &str, value: &Unknown<'_>, default: Duration) -> Result<Duration> {
    if js::is_absent(value) {
        Ok(default)
    } else {
        integer(name, value).map(Duration::from_millis)
    }
}

/// The last argument of every asynchronous method, `{ signal?, timeoutMs? }`. The wrapper has made `cancel` of the signal;
/// one that has fired already ends the call here, after the other arguments were checked and before anything starts.
pub fn call(env: &Env, options: &Unknown<'_>, cancel: Option<&CancelToken>) -> Result<Call> {
    let mut call = Call { timeout: None, cancel: token(cancel) };
    if let Some(object) = record(env, options, &["signal", "timeoutMs"])? {
        call.timeout = millis(env, &object, "timeoutMs")?;
    }
    not_aborted(cancel)?;
    Ok(call)
}

/// A number that core judges, if it is given.
pub fn rate_or(name: &str, value: &Unknown<'_>) -> Result<Option<f64>> {
    if js::is_absent(value) {
        return Ok(None);
    }
    js::number(value).map(Some).map_err(|fault| wrong(name, &fault))
}

/// The options of `closeChannel`, `{ force?, signal?, timeoutMs? }`.
pub fn close(env: &Env, options: &Unknown<'_>, cancel: Option<&CancelToken>) -> Result<(bool, Call)> {
    let mut call = Call { timeout: None, cancel: token(cancel) };
    let mut force = false;
    if let Some(object) = record(env, options, &["force", "signal", "timeoutMs"])? {
        if let Some(value) = js::property(env, &object, "force").map_err(|fault| wrong("force", &fault))? {
            force = js::boolean(&value).map_err(|fault| wrong("force", &fault))?;
        }
        call.timeout = millis(env, &object, "timeoutMs")?;
    }
    not_aborted(cancel)?;
    Ok((force, call))
}

/// The options of `receivePayment`, `{ minMs?, quietMs?, deadlineMs?, signal? }`.
pub fn receive(env: &Env, options: &Unknown<'_>, cancel: Option<&CancelToken>) -> Result<(ReceiveLimits, Call)> {
    let mut limits = ReceiveLimits { min: RECEIVE_MIN, quiet: RECEIVE_QUIET, deadline: RECEIVE_DEADLINE };
    if let Some(object) = record(env, options, &["minMs", "quietMs", "deadlineMs", "signal"])? {
        limits.min = millis(env, &object, "minMs")?.unwrap_or(limits.min);
        limits.quiet = millis(env, &object, "quietMs")?.unwrap_or(limits.quiet);
        limits.deadline = millis(env, &object, "deadlineMs")?.unwrap_or(limits.deadline);
    }
    // A short deadline alone is no mistake: it bounds the first wait too.
    limits.min = limits.min.min(limits.deadline);
    not_aborted(cancel)?;
    Ok((limits, Call { timeout: None, cancel: token(cancel) }))
}

/// The options of `listPayments`, `{ limit?, before?, signal?, timeoutMs? }`.
pub fn list_payments(env: &Env, options: &Unknown<'_>, cancel: Option<&CancelToken>) -> Result<(Query, Call)> {
    let mut call = Call { timeout: None, cancel: token(cancel) };
    let (mut limit, mut before) = (PAGE, None);
    if let Some(object) = record(env, options, &["limit", "before", "signal", "timeoutMs"])? {
        let given = |name: &str| js::property(env, &object, name).map_err(|fault| wrong(name, &fault));
        limit = given("limit")?.map(|value| integer("limit", &value)).transpose()?.unwrap_or(limit);
        before = given("before")?.map(|value| text("before", &value)).transpose()?;
        call.timeout = millis(env, &object, "timeoutMs")?;
    }
    let query = Query::page(limit, before.as_deref())?;
    not_aborted(cancel)?;
    Ok((query, call))
}

/// The least levels of a log listener: one for all, or an object of them by target.
pub fn levels(env: &Env, value: &Unknown<'_>) -> Result<Levels> {
    let name = "minLevel";
    if js::is_absent(value) {
        return Ok(Levels::default());
    }
    let Ok(object) = js::object(value) else {
        let fault = |_| wrong(name, "must be a level, or an object of levels by target");
        return Levels::of_all(&js::text(value).map_err(fault)?);
    };
    let mut levels = Levels::default();
    for key in js::own_keys(env, &object).map_err(|fault| wrong(name, &fault))? {
        let name = Levels::name_of(&key)?;
        if let Some(level) = js::property(env, &object, &key).map_err(|fault| wrong(&name, &fault))? {
            levels.set(&key, &js::text(&level).map_err(|fault| wrong(&name, &fault))?)?;
        }
    }
    Ok(levels)
}

/// A call that can be aborted but has no options of its own.
pub fn abortable(cancel: Option<&CancelToken>) -> Result<Call> {
    not_aborted(cancel)?;
    Ok(Call { timeout: None, cancel: token(cancel) })
}

fn token(cancel: Option<&CancelToken>) -> Option<mayfly_core::node::CancelToken> {
    cancel.map(CancelToken::core)
}

fn not_aborted(cancel: Option<&CancelToken>) -> Result<()> {
    match cancel {
        Some(token) => token.check(),
        None => Ok(()),
    }
}

fn record<'v>(env: &Env, options: &Unknown<'v>, known: &[&str]) -> Result<Option<Object<'v>>> {
    if js::is_absent(options) {
        return Ok(None);
    }
    let object = js::object(options).map_err(|fault| wrong("options", &fault))?;
    let keys = js::own_keys(env, &object).map_err(|fault| wrong("options", &fault))?;
    match keys.iter().find(|key| !known.contains(&key.as_str())) {
        Some(key) if js::is_name(key) => {
            Err(Error::argument(key, format!("there is no option {key:?} here; known: {}", known.join(", "))))
        }
        Some(key) => Err(wrong("options", &js::unknown_key(key, known))),
        None => Ok(Some(object)),
    }
}

fn millis(env: &Env, object: &Object<'_>, name: &str) -> Result<Option<Duration>> {
    let value = js::property(env, object, name).map_err(|fault| wrong(name, &fault))?;
    value.map(|value| integer(name, &value).map(Duration::from_millis)).transpose()
}

fn wrong(name: &str, fault: &str) -> Error {
    Error::argument(name, format!("{name} {fault}"))
}
