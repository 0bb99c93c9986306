//! Who is told that the idle limit ended a node: one callback per environment, which prints Node's warning.
//!
//! Weak: it never keeps the process alive. It is forgotten before its environment is gone.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mayfly_core::error::Result;
use napi::bindgen_prelude::{Function, Unknown};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Status};
use napi_derive::napi;

use crate::entry::entry;
use crate::{env, errors};

type Callback = ThreadsafeFunction<IdleEnd, Unknown<'static>, IdleEnd, Status, false, true>;

/// A node that the idle limit ended.
/// @internal
#[napi(object, object_from_js = false)]
pub struct IdleEnd {
    /// Where it was made, if that is known.
    pub created_at: Option<String>,
    /// The limit, in milliseconds.
    pub idle_ms: f64,
}

/// See the module's head.
#[derive(Default)]
pub struct IdleListener(Mutex<Option<Callback>>);

impl IdleListener {
    /// From any thread.
    pub fn tell(&self, created_at: Option<&str>, limit: Duration) {
        let end = IdleEnd { created_at: created_at.map(str::to_owned), idle_ms: limit.as_secs_f64() * 1_000.0 };
        if let Some(callback) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            callback.call(end, ThreadsafeFunctionCallMode::NonBlocking);
        }
    }

    /// Nobody is told any more.
    pub fn forget(&self) {
        self.set(None);
    }

    fn set(&self, callback: Option<Callback>) {
        // The old one is released outside the lock: that calls into Node.
        let old = std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), callback);
        drop(old);
    }
}

/// Tells `callback` of each node of this environment that the idle limit ended.
/// @internal
#[napi]
pub fn set_idle_listener(env: &Env, callback: Function<'_, IdleEnd, Unknown<'static>>) -> napi::Result<()> {
    entry(env, || {
        let callback = weak(callback)?;
        env::registry(env)?.idle_listener().set(Some(callback));
        Ok(())
    })
}

fn weak(callback: Function<'_, IdleEnd, Unknown<'static>>) -> Result<Callback> {
    callback.build_threadsafe_function::<IdleEnd>().weak::<true>().build().map_err(errors::from_napi)
}
