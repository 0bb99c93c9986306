//! The native half of `shutdownWorker`: nothing new starts, every live node ends within one deadline, and what could not be
//! finished is told in one record. `wrapper/shutdown.js` has the order of the whole.
//!
//! What must hold: from the first call on, no call starts a node or begins to wait for a lock, on any thread that the shutdown is
//! for. The count is raised before the nodes are collected: one that was adopted before is among them, and one that is adopted
//! later finds the count raised. The JavaScript thread is not blocked meanwhile, so that callers hear of their end. Minting with a
//! known route goes on in new nodes: it starts nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use mayfly_core::error::{Code, Error, Result};
use mayfly_core::node::{destroy_together, Node};
use napi::bindgen_prelude::{Object, Unknown};
use napi::Env;
use napi_derive::napi;

use crate::entry::entry;
use crate::env::{self, Registry};
use crate::{args, kill_timer, panics, promise};

/// The environments of this process.
static ENVIRONMENTS: Mutex<Vec<Weak<Registry>>> = Mutex::new(Vec::new());
/// How many shutdowns of the whole process are under way. More than one when several copies of the wrapper are loaded.
static OF_THE_PROCESS: AtomicUsize = AtomicUsize::new(0);

/// A shutdown of the process is one of this environment, too.
pub fn known(registry: &Arc<Registry>) {
    let mut all = environments();
    all.retain(|other| other.strong_count() > 0);
    all.push(Arc::downgrade(registry));
}

/// `NODE_DESTROYED` while a shutdown is under way that concerns this environment.
pub fn refuse_during(registry: &Registry) -> Result<()> {
    if OF_THE_PROCESS.load(Ordering::SeqCst) == 0 && registry.shutdowns().load(Ordering::SeqCst) == 0 {
        return Ok(());
    }
    Err(Error::new(
        Code::NodeDestroyed,
        "the process is shutting down (shutdownWorker was called), so nothing starts any more; what is left to do belongs to the next process",
    ))
}

/// Arms the kill timer: the process has so many milliseconds to end.
/// @internal
#[napi]
pub fn shutdown_arm(env: &Env, kill_after_ms: Unknown) -> napi::Result<()> {
    entry(env, || {
        let after = Duration::from_millis(args::integer("killAfterMs", &kill_after_ms)?);
        if let Err(error) = kill_timer::arm(after) {
            // The shutdown itself needs no timer.
            tracing::warn!(%error, "no kill timer: the operating system refuses a thread");
        }
        Ok(())
    })
}

/// Ends the nodes of the process (or of this environment only) side by side. Resolves when that is over; until `shutdownEnd`
/// nothing starts.
/// @internal
#[napi]
pub fn shutdown_nodes<'e>(env: &'e Env, whole_process: bool, destroy_timeout_ms: Unknown) -> napi::Result<Object<'e>> {
    entry(env, || {
        let within = Duration::from_millis(args::integer("destroyTimeoutMs", &destroy_timeout_ms)?);
        let own = env::registry(env)?;
        let concerned = if whole_process {
            OF_THE_PROCESS.fetch_add(1, Ordering::SeqCst);
            environments().iter().filter_map(Weak::upgrade).collect()
        } else {
            own.shutdowns().fetch_add(1, Ordering::SeqCst);
            vec![Arc::clone(&own)]
        };
        let nodes: Vec<Node> = concerned.iter().flat_map(|registry| registry.everything()).collect();
        promise::bare(
            env,
            |()| (),
            |reply| {
                on_a_thread(&own, move || {
                    end(&nodes, within);
                    reply.send(Ok(()));
                });
            },
        )
    })
}

/// The process (or this environment) lives on: nodes may start again, and the kill timer is disarmed with the last shutdown.
/// @internal
#[napi]
pub fn shutdown_end(env: &Env, whole_process: bool) -> napi::Result<()> {
    entry(env, || {
        if !whole_process {
            lower(env::registry(env)?.shutdowns());
        } else if lower(&OF_THE_PROCESS) == 0 {
            kill_timer::disarm();
        }
        Ok(())
    })
}

/// Never below nothing: a begin that failed is ended as well. What is left comes back.
fn lower(count: &AtomicUsize) -> usize {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| Some(n.saturating_sub(1))).unwrap_or(0).saturating_sub(1)
}

fn end(nodes: &[Node], within: Duration) {
    let reports = destroy_together(nodes, Some(within));
    let durations = reports.iter().map(|report| report.duration_us).max().unwrap_or(0);
    let duration_ms = durations as f64 / 1_000.0;
    let unfinished: Vec<_> = reports.into_iter().flat_map(|report| report.unfinished).collect();
    if unfinished.is_empty() {
        tracing::info!(nodes = nodes.len(), duration_ms, "the worker's nodes have ended");
    } else {
        let unfinished = unfinished.join("; ");
        tracing::warn!(
            nodes = nodes.len(),
            duration_ms,
            unfinished,
            "the worker's nodes have ended, but not all was finished"
        );
    }
}

/// On a thread that this environment joins; in place when there is none to be had.
fn on_a_thread(own: &Registry, work: impl FnOnce() + Send + 'static) {
    let work = Arc::new(Mutex::new(Some(work)));
    let theirs = Arc::clone(&work);
    #[allow(clippy::disallowed_methods, reason = "the registry joins it when its environment ends")]
    match thread::Builder::new().name("mayfly-end".to_owned()).spawn(move || run(&theirs)) {
        Ok(thread) => own.owns(thread),
        Err(_) => run(&work),
    }
}

fn run(work: &Mutex<Option<impl FnOnce()>>) {
    let work = work.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(work) = work {
        // A bug in there must not unwind out of a thread; whoever waits is answered by the drop of what owes it.
        let _ = panics::caught(|| {
            work();
            Ok(())
        });
    }
}

fn environments() -> MutexGuard<'static, Vec<Weak<Registry>>> {
    ENVIRONMENTS.lock().unwrap_or_else(PoisonError::into_inner)
}
