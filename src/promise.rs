//! A promise per call, settled once, from the node's own thread.
//!
//! `Reply` rejects with `NODE_DESTROYED` when the task that owes the answer is dropped. The deferred lives with environments
//! that end: napi registers a cleanup hook for each, after the hook of its threadsafe function and of our registry, so (hooks
//! run in reverse order) a pending deferred is disarmed first; what `destroy()` then answers goes nowhere, and never into a
//! freed environment.

use std::sync::Arc;

use mayfly_core::error::Result;
use mayfly_core::reply::Reply;
use napi::bindgen_prelude::{Object, ToNapiValue};
use napi::Env;

use crate::env::Handle;
use crate::{errors, shutdown};

type Resolver<J> = Box<dyn FnOnce(Env) -> napi::Result<J> + Send>;

/// A promise of what `run` answers, as `J`. Holds the node until then: a promise in flight is a reason to live. `NODE_DESTROYED`
/// while `shutdownWorker` is at work.
pub fn promise<'e, T, J>(env: &'e Env, node: &Arc<Handle>, run: impl FnOnce(Reply<T>)) -> Result<Object<'e>>
where
    T: Send + 'static,
    J: From<T> + ToNapiValue + 'static,
{
    mapped(env, node, J::from, run)
}

/// The same, with the way from `T` to `J` given.
pub fn mapped<'e, T, J>(
    env: &'e Env,
    node: &Arc<Handle>,
    map: fn(T) -> J,
    run: impl FnOnce(Reply<T>),
) -> Result<Object<'e>>
where
    T: Send + 'static,
    J: ToNapiValue + 'static,
{
    shutdown::refuse_during(node.registry())?;
    let holder = Arc::clone(node);
    bare(env, map, |reply| {
        run(Reply::new(move |answer| {
            reply.send(answer);
            drop(holder);
        }));
    })
}

/// The same for what belongs to no node.
pub fn bare<T, J>(env: &Env, map: fn(T) -> J, run: impl FnOnce(Reply<T>)) -> Result<Object<'_>>
where
    T: Send + 'static,
    J: ToNapiValue + 'static,
{
    let (deferred, promise) = env.create_deferred::<J, Resolver<J>>().map_err(errors::from_napi)?;
    run(Reply::new(move |answer: Result<T>| {
        deferred.resolve(Box::new(move |env| answer.map(map).map_err(|error| errors::to_js(&env, error))));
    }));
    Ok(promise)
}
