//! `tracing` records → JavaScript listeners, one per environment.
//!
//! What must hold: without a listener a record costs one comparison; a listener never keeps the process alive and never slows
//! a node down (its queue is bounded, and a full one drops); the last record goes nowhere rather than into an environment
//! that has ended. The subscriber is ours alone: this library's statics are not shared with another addon's.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once, PoisonError, RwLock};

use mayfly_core::clock;
use mayfly_core::error::Result;
use napi::bindgen_prelude::{Either3, Function, Unknown};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::Status;
use napi_derive::napi;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;

use crate::errors;

/// From the most to the least.
pub const LEVELS: [&str; 5] = ["trace", "debug", "info", "warn", "error"];

/// How many records may wait for the JavaScript thread.
const QUEUE: usize = 1024;

type Callback = ThreadsafeFunction<LogRecord, Unknown<'static>, LogRecord, Status, false, true, QUEUE>;

struct Listener {
    environment: usize,
    level: LevelFilter,
    callback: Callback,
}

static LISTENERS: RwLock<Vec<Arc<Listener>>> = RwLock::new(Vec::new());
/// The widest level that any listener wants, as an index: 0 is off.
static WANTED: AtomicUsize = AtomicUsize::new(0);
static SUBSCRIBER: Once = Once::new();

/// One log record.
#[napi(object, object_from_js = false)]
pub struct LogRecord {
    /// How bad it is.
    #[napi(ts_type = "LogLevel")]
    pub level: &'static str,
    /// The part of the node that speaks.
    pub target: String,
    /// What it says.
    pub message: String,
    /// The record's own values.
    #[napi(ts_type = "Record<string, string | number | boolean>")]
    pub fields: HashMap<String, Either3<String, f64, bool>>,
    /// When, in milliseconds since 1970.
    pub timestamp_ms: f64,
}

/// The level of that name.
pub fn level(name: &str) -> Option<LevelFilter> {
    match name {
        "trace" => Some(LevelFilter::TRACE),
        "debug" => Some(LevelFilter::DEBUG),
        "info" => Some(LevelFilter::INFO),
        "warn" => Some(LevelFilter::WARN),
        "error" => Some(LevelFilter::ERROR),
        _ => None,
    }
}

/// Makes `callback` the environment's listener.
pub fn listen(
    environment: usize,
    level: LevelFilter,
    callback: Function<'_, LogRecord, Unknown<'static>>,
) -> Result<()> {
    let callback = callback
        .build_threadsafe_function::<LogRecord>()
        .weak::<true>()
        .max_queue_size::<QUEUE>()
        .build()
        .map_err(errors::from_napi)?;
    replace(environment, Some(Listener { environment, level, callback }));
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
    WANTED.store(kept.iter().map(|listener| index(listener.level)).max().unwrap_or(0), Ordering::Release);
    *listeners = kept;
    drop(listeners);
    !gone.is_empty()
}

struct ToListeners;

impl<S: Subscriber> Layer<S> for ToListeners {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        index(LevelFilter::from_level(*metadata.level())) <= WANTED.load(Ordering::Acquire)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let all = [LevelFilter::OFF, LevelFilter::ERROR, LevelFilter::WARN, LevelFilter::INFO, LevelFilter::DEBUG];
        Some(all.get(WANTED.load(Ordering::Acquire)).copied().unwrap_or(LevelFilter::TRACE))
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        // Cloned out of the lock: a call into Node may wait for a lock that an ending environment holds.
        let listeners = LISTENERS.read().unwrap_or_else(PoisonError::into_inner).clone();
        for listener in listeners.iter().filter(|listener| listener.level >= level) {
            listener.callback.call(record(level, event), ThreadsafeFunctionCallMode::NonBlocking);
        }
    }
}

fn record(level: Level, event: &Event<'_>) -> LogRecord {
    let mut fields = Fields::default();
    event.record(&mut fields);
    LogRecord {
        level: level_name(level),
        target: event.metadata().target().to_owned(),
        message: fields.message,
        fields: fields.values,
        timestamp_ms: clock::now_ms() as f64,
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    values: HashMap<String, Either3<String, f64, bool>>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Either3<String, f64, bool>) {
        self.values.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" {
            self.message = text;
        } else {
            self.put(field, Either3::A(text));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = value.to_owned();
        } else {
            self.put(field, Either3::A(value.to_owned()));
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, Either3::B(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Either3::B(value as f64));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, Either3::B(value as f64));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Either3::C(value));
    }
}

fn index(level: LevelFilter) -> usize {
    match level.into_level() {
        None => 0,
        Some(Level::ERROR) => 1,
        Some(Level::WARN) => 2,
        Some(Level::INFO) => 3,
        Some(Level::DEBUG) => 4,
        Some(Level::TRACE) => 5,
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}
