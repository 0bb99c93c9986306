//! A record as JavaScript gets it, made of what `tracing` knows.

use std::collections::HashMap;

use mayfly_core::clock;
use mayfly_core::error::Error;
use mayfly_core::log::targets::target_of;
use napi::bindgen_prelude::Either3;
use napi_derive::napi;
use tracing::field::{Field, Visit};
use tracing::{Level, Metadata};

/// One log record, or the end of a phase: then its fields say how long it took (`durationMs`) and how it went (`outcome`).
#[napi(object, object_from_js = false)]
pub struct LogRecord {
    /// How bad it is.
    #[napi(ts_type = "LogLevel")]
    pub level: &'static str,
    /// The part of the node that speaks.
    #[napi(ts_type = "LogTarget")]
    pub target: &'static str,
    /// What it says.
    pub message: String,
    /// The record's own values, and the `session` and `epoch` that it belongs to.
    #[napi(ts_type = "Record<string, string | number | boolean>")]
    pub fields: HashMap<String, Value>,
    /// When, in milliseconds since 1970.
    pub timestamp_ms: f64,
}

/// A field's value.
pub type Value = Either3<String, f64, bool>;

/// The values of an event or a span.
#[derive(Default, Clone)]
pub struct Fields {
    message: String,
    values: HashMap<String, Value>,
}

impl Fields {
    /// Instead of a record that could not be made.
    pub fn of_failure(error: &Error) -> Self {
        let code = ("code".to_owned(), Either3::A(error.code.as_str().to_owned()));
        Fields { message: format!("a log record is lost: {}", error.message), values: HashMap::from([code]) }
    }

    /// The value of that name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// Sets one, if it is not there.
    pub fn or_put(&mut self, name: &str, value: Value) {
        self.values.entry(name.to_owned()).or_insert(value);
    }

    /// As a record of now. What has no message, as a span, is called by its name.
    pub fn into_record(self, metadata: &Metadata<'_>) -> LogRecord {
        let message = if self.message.is_empty() { metadata.name().to_owned() } else { self.message };
        LogRecord {
            level: level_name(level_of(metadata)),
            target: target_of(metadata.target()),
            message,
            fields: self.values,
            timestamp_ms: clock::now_ms() as f64,
        }
    }

    fn put(&mut self, field: &Field, value: Value) {
        self.values.insert(camel_case(field.name()), value);
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

/// As everything in JavaScript is called.
fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |text, word| {
        let mut letters = word.chars();
        let head = letters.next().map(|letter| letter.to_ascii_uppercase());
        text + &head.into_iter().collect::<String>() + letters.as_str()
    })
}

/// How important it is to our listeners: a library's `debug` is nobody's but when everything is wanted.
pub fn level_of(metadata: &Metadata<'_>) -> Level {
    match *metadata.level() {
        Level::DEBUG if target_of(metadata.target()) == "other" => Level::TRACE,
        level => level,
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
