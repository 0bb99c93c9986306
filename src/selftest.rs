//! What the tests need and no user may have: it exists in the dev profile only.

use napi::Env;
use napi_derive::napi;

use crate::entry::entry;

/// Panics, as a bug would.
#[napi(skip_typescript)]
#[allow(clippy::panic, reason = "to prove that a panic does not leave")]
pub fn selftest_panic(env: &Env) -> napi::Result<()> {
    entry(env, || panic!("as asked"))
}
