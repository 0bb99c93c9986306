//! What the tests need and no user may have: it exists in the dev profile only.

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

/// The failpoints of this build.
#[napi(skip_typescript)]
pub fn selftest_failpoints(env: &Env) -> napi::Result<Vec<String>> {
    entry(env, || Ok(failpoint::names().iter().map(ToString::to_string).collect()))
}
