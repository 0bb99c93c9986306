//! `tracing` records and the ends of spans → JavaScript listeners, one per environment.
//!
//! What must hold: without a listener a record costs one comparison, and a span is not made; a listener never keeps the process
//! alive and never slows a node down (its queue is bounded, and a full one drops); the last record goes nowhere rather than into
//! an environment that has ended. The subscriber is ours alone: this library's statics are not shared with another addon's.

mod record;

use std::sync::{Arc, Once, PoisonError, RwLock};

use mayfly_core::clock::Stopwatch;
use mayfly_core::error::Result;
use mayfly_core::failpoint::{self, Point};
use mayfly_core::log::targets::target_of;
use mayfly_core::log::{Levels, LABELS, SESSION};
use napi::bindgen_prelude::{Either3, Function, Unknown};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::Status;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry, Scope};

use crate::{errors, panics};
use record::{level_of, Fields};

pub use record::LogRecord;

/// How many records may wait for the JavaScript thread.
const QUEUE: usize = 1024;

type Callback = ThreadsafeFunction<LogRecord, Unknown<'static>, LogRecord, Status, false, true, QUEUE>;

struct Listener {
    environment: usize,
    levels: Levels,
    callback: Callback,
}

impl Listener {
    fn hears(&self, metadata: &Metadata<'_>) -> bool {
        self.levels.of(target_of(metadata.target())) >= level_of(metadata)
    }
}

static LISTENERS: RwLock<Vec<Arc<Listener>>> = RwLock::new(Vec::new());
static SUBSCRIBER: Once = Once::new();

/// Makes `callback` the environment's listener.
pub fn listen(environment: usize, levels: Levels, callback: Function<'_, LogRecord, Unknown<'static>>) -> Result<()> {
    let callback = callback
        .build_threadsafe_function::<LogRecord>()
        .weak::<true>()
        .max_queue_size::<QUEUE>()
        .build()
        .map_err(errors::from_napi)?;
    replace(environment, Some(Listener { environment, levels, callback }));
    SUBSCRIBER.call_once(|| {
        // It fails only when someone was first, and nobody else is in this library.
        let _ = tracing::subscriber::set_global_default(Registry::default().with(ToListeners));
    });
    tracing::callsite::rebuild_interest_cache();
    Ok(())
}

/// Takes the environment's listener away.
pub fn forget(environment: usize) {
    if replace(environment, None) {
        tracing::callsite::rebuild_interest_cache();
    }
}

/// Whether there was one. A listener that goes is released outside the lock: that calls into Node.
fn replace(environment: usize, with: Option<Listener>) -> bool {
    let mut listeners = LISTENERS.write().unwrap_or_else(PoisonError::into_inner);
    let (gone, mut kept): (Vec<_>, Vec<_>) =
        listeners.drain(..).partition(|listener| listener.environment == environment);
    kept.extend(with.map(Arc::new));
    *listeners = kept;
    drop(listeners);
    !gone.is_empty()
}

/// Cloned out of the lock: a call into Node may wait for a lock that an ending environment holds.
fn listeners() -> Vec<Arc<Listener>> {
    LISTENERS.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// What is kept of an open span.
struct Open {
    since: Stopwatch,
    fields: Fields,
}

struct ToListeners;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for ToListeners {
    /// Asked once for each place in the code whenever the listeners change, so it may look closely. A session is followed even
    /// if its end is not told: what happens in it carries its labels.
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let listeners = listeners();
        let is_label = metadata.is_span() && metadata.name() == SESSION && !listeners.is_empty();
        is_label || listeners.iter().any(|listener| listener.hears(metadata))
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let widest = listeners().iter().map(|listener| listener.levels.widest()).max();
        // At least that of a session's span.
        Some(widest.map_or(LevelFilter::OFF, |widest| widest.max(LevelFilter::INFO)))
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        apart(event.metadata(), || {
            failpoint::reached(Point::MidLogRecord);
            let mut fields = Fields::default();
            event.record(&mut fields);
            tell(event.metadata(), labelled(fields, context.event_scope(event)));
        });
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        apart(span.metadata(), || {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().replace(Open { since: Stopwatch::start(), fields });
        });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        apart(span.metadata(), || {
            if let Some(open) = span.extensions_mut().get_mut::<Open>() {
                values.record(&mut open.fields);
            };
        });
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        apart(span.metadata(), || {
            let Some(Open { since, mut fields }) = span.extensions_mut().remove::<Open>() else { return };
            fields.or_put("durationMs", Either3::B(since.elapsed_ms()));
            // A call that waited for a session is told with the one that it ends in.
            let around = span.parent().or_else(|| context.lookup_current());
            tell(span.metadata(), labelled(fields, around.map(|around| around.scope())));
        });
    }
}

/// A bug in here, or in how a value shows itself, must not unwind into whoever logs: it would end a node that is well, and the process
/// if that one is unwinding already. The record is lost, and another one says so.
fn apart(metadata: &Metadata<'_>, work: impl FnOnce()) {
    if let Err(error) = panics::caught_in(work) {
        let _ = panics::caught_in(|| tell(metadata, Fields::of_failure(&error)));
    }
}

/// With the labels of the session that it happened in.
fn labelled<'a, S: LookupSpan<'a>>(mut fields: Fields, scope: Option<Scope<'a, S>>) -> Fields {
    for span in scope.into_iter().flatten().filter(|span| span.name() == SESSION) {
        if let Some(open) = span.extensions().get::<Open>() {
            for label in LABELS {
                if let Some(value) = open.fields.get(label) {
                    fields.or_put(label, value.clone());
                }
            }
        }
    }
    fields
}

fn tell(metadata: &Metadata<'_>, fields: Fields) {
    for listener in listeners().iter().filter(|listener| listener.hears(metadata)) {
        listener.callback.call(fields.clone().into_record(metadata), ThreadsafeFunctionCallMode::NonBlocking);
    }
}
