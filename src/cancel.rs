//! An `AbortSignal`'s native end. The wrapper makes one per call and cancels it when the signal fires.

use std::cell::Cell;

use mayfly_core::error::{Code, Error, Result};
use mayfly_core::node;
use napi::Env;
use napi_derive::napi;

use crate::entry::entry;

/// Ends the call that it was given to with `ABORTED`.
/// @internal
#[napi]
pub struct CancelToken {
    core: node::CancelToken,
    fired: Cell<bool>,
}

#[napi]
impl CancelToken {
    /// A token that has not fired.
    #[napi(constructor)]
    #[allow(clippy::new_without_default, reason = "JavaScript's constructor")]
    pub fn new() -> Self {
        CancelToken { core: node::CancelToken::default(), fired: Cell::new(false) }
    }

    /// Ends the call.
    #[napi]
    pub fn cancel(&self, env: &Env) -> napi::Result<()> {
        entry(env, || {
            self.fired.set(true);
            self.core.cancel();
            Ok(())
        })
    }
}

impl CancelToken {
    /// What core waits on.
    pub fn core(&self) -> node::CancelToken {
        self.core.clone()
    }

    /// `ABORTED` when it has fired.
    pub fn check(&self) -> Result<()> {
        if self.fired.get() {
            Err(Error::new(Code::Aborted, "the signal had fired before the call began; nothing was started"))
        } else {
            Ok(())
        }
    }
}
