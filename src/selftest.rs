//! What the tests need and no user may have: it exists in the dev profile only.

use std::collections::HashMap;

use mayfly_core::error::{Code, Error};
use mayfly_core::failpoint;
use napi::Env;
use napi_derive::napi;

use crate::entry::entry;

/// Panics, as a bug would.
#[napi(skip_typescript)]
#[allow(clippy::panic, reason = "to prove that a panic does not leave")]
pub fn selftest_panic(env: &Env) -> napi::Result<()> {
    entry(env, || panic!("as asked"))
}

/// Arms failpoints, as `MAYFLY_FAILPOINT` does for a process that begins.
#[napi(skip_typescript)]
pub fn selftest_arm(env: &Env, failpoints: String) -> napi::Result<()> {
    entry(env, || failpoint::arm(&failpoints).map_err(|problem| Error::argument("failpoints", problem)))
}

/// The codes of this build, and whether each is retryable.
#[napi(skip_typescript)]
pub fn selftest_codes(env: &Env) -> napi::Result<HashMap<&'static str, bool>> {
    entry(env, || Ok(Code::ALL.iter().map(|code| (code.as_str(), code.retryable())).collect()))
}

/// The failpoints of this build.
#[napi(skip_typescript)]
pub fn selftest_failpoints(env: &Env) -> napi::Result<Vec<String>> {
    entry(env, || Ok(failpoint::names().iter().map(ToString::to_string).collect()))
}
