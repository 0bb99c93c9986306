//! The way in: every function that JavaScript can call runs through `entry`, so that no panic and no untyped error leaves.

use mayfly_core::error::Result;
use napi::Env;

use crate::{errors, panics};

/// Runs the body of a binding: a panic is `INTERNAL`, a core error is thrown with its properties.
pub fn entry<T>(env: &Env, body: impl FnOnce() -> Result<T>) -> napi::Result<T> {
    panics::caught(body).map_err(|error| errors::throw(env, &error))
}
