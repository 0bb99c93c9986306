//! Panics: a bug of ours or of LDK's ends the node, never the process, and is told as `INTERNAL` with its place.
//!
//! What must hold: nothing is printed, because stderr belongs to the host; and what a panic says is shown without what could be
//! a secret, because it is a text that nobody wrote for others' eyes.
//!
//! Where a panic happened is known to the panic hook only, so [`install_hook`] keeps the last one of each thread. Without the
//! hook (in a program that is not the addon) the text is known, and the place is not.

use crate::error::{shown, Code, Error, Result};
use std::any::Any;
use std::cell::Cell;
use std::future::{poll_fn, Future};
use std::panic::{catch_unwind, AssertUnwindSafe, Location};
use std::sync::Once;
use std::task::Poll;

/// A line of a log, roughly.
const MAX_SHOWN: usize = 200;
/// Keys, seeds and preimages are 64 hex characters; nothing as long as half of that says where a bug is.
const MAX_HEX: usize = 31;

thread_local! {
    static LAST: Cell<Option<Panic>> = const { Cell::new(None) };
}

/// What is known of a panic.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Panic {
    place: Option<String>,
    text: String,
}

/// From now on a panic of this library prints nothing and is remembered for its thread. For the addon, whose standard library
/// is its own; elsewhere the hook is the program's.
pub fn install_hook() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            let panic = Panic { place: info.location().map(place), text: text(info.payload()).to_owned() };
            // A thread that is past its thread-locals has nobody left to tell.
            let _ = LAST.try_with(|last| last.set(Some(panic)));
        }));
    });
}

/// Runs `call`, which may enter LDK; a panic in it becomes `INTERNAL`. `what`: where in the life of a node that is, in words.
pub fn guarded<T>(what: &str, call: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| explain(what, payload))
}

/// The same for a future, each time that it is polled.
pub(crate) async fn guarded_future<F: Future>(what: &str, future: F) -> Result<F::Output> {
    let mut future = Box::pin(future);
    poll_fn(move |cx| match guarded(what, || future.as_mut().poll(cx)) {
        Ok(poll) => poll.map(Ok),
        Err(error) => Poll::Ready(Err(error)),
    })
    .await
}

/// The same for one that can fail.
pub(crate) async fn guarded_work<T>(what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    guarded_future(what, work).await?
}

/// `INTERNAL` for what [`catch_unwind`] caught on this thread.
pub(crate) fn explain(what: &str, payload: Box<dyn Any + Send>) -> Error {
    let said = text(payload.as_ref());
    // What was remembered may be an earlier panic's, if no hook is installed by now.
    let panic = last().filter(|last| last.text == said);
    let error = panic.unwrap_or_else(|| Panic { place: None, text: said.to_owned() }).error(what);
    // A payload whose drop panics would unwind out of the handler: leak it, it is small.
    std::mem::forget(payload);
    error
}

/// `INTERNAL` for whoever is let down by the panic that unwinds this thread.
pub(crate) fn unwinding() -> Error {
    let unknown = || Panic { place: None, text: String::new() };
    last().unwrap_or_else(unknown).error("the node's thread")
}

/// What the payload says.
pub(crate) fn text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

fn last() -> Option<Panic> {
    LAST.try_with(|last| {
        let panic = last.take();
        last.set(panic.clone());
        panic
    })
    .ok()
    .flatten()
}

impl Panic {
    fn error(&self, what: &str) -> Error {
        let place = self.place.as_deref().unwrap_or("an unknown place");
        let said = redacted(&self.text);
        Error::new(
            Code::Internal,
            format!("a bug in mayfly: panic at {place}, in {what}: {said}; nothing that was committed is lost; please report it with this text"),
        )
    }
}

/// `core/src/keys.rs:17`.
fn place(at: &Location<'_>) -> String {
    format!("{}:{}", file_shown(at.file()), at.line())
}

/// A dependency's file begins with its name and version, not with the folder of whoever built the addon.
fn file_shown(file: &str) -> &str {
    file.split_once("/registry/src/").and_then(|(_, rest)| rest.split_once('/')).map_or(file, |(_, shown)| shown)
}

/// The first line, short, without what stands in quotes, in a list, or in long hex: that is where values are.
fn redacted(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.lines().next().unwrap_or_default().chars().peekable();
    while let Some(c) = rest.next() {
        let end = match c {
            '"' => Some('"'),
            '[' => Some(']'),
            _ => None,
        };
        if let Some(end) = end {
            out.extend([c, '…', end]);
            // Without an end, all of the rest stood in it.
            let _ = rest.by_ref().find(|c| *c == end);
            continue;
        }
        let mut run = String::from(c);
        while c.is_ascii_hexdigit() && rest.peek().is_some_and(char::is_ascii_hexdigit) {
            run.extend(rest.next());
        }
        out.push_str(if run.len() > MAX_HEX { "…" } else { &run });
    }
    shown(&out, MAX_SHOWN)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
#[path = "guard_tests.rs"]
mod tests;
