//! Reading JavaScript values that may be anything: Proxies, objects with throwing getters, strings that are no text.
//!
//! What must hold: reading never leaves an exception pending (the next Node-API call would fail because of it), never coerces
//! (a coercion runs foreign code and makes `"5"` a number), and never copies a string before its length is known.

use std::ptr;

use napi::bindgen_prelude::{FromNapiValue, Function, JsValuesTupleIntoVec, Object, Unknown};
use napi::{sys, Env, JsString, JsValue, ValueType};

/// No argument or option of ours is longer, in UTF-16 units; copying more would block the JavaScript thread.
const MAX_TEXT: usize = 16_384;

/// A longer key is no misspelt name of ours (none has 20 characters) but a text in the wrong place, perhaps a secret: twelve
/// words have 47 characters and more.
const MAX_NAME: usize = 32;

/// What is wrong with a value; the end of a sentence that begins with the value's name.
pub type Fault = String;

/// `undefined`, or nothing given.
pub fn is_absent(value: &Unknown<'_>) -> bool {
    matches!(value.get_type(), Ok(ValueType::Undefined))
}

/// `null`.
pub fn is_null(value: &Unknown<'_>) -> bool {
    matches!(value.get_type(), Ok(ValueType::Null))
}

/// A function.
pub fn function<'v, A: JsValuesTupleIntoVec, R: FromNapiValue>(
    value: &Unknown<'v>,
) -> Result<Function<'v, A, R>, Fault> {
    match kind(value) {
        // SAFETY: the type was just checked.
        ValueType::Function => unsafe { value.cast::<Function<'v, A, R>>() }.map_err(|_| "can't be read".to_owned()),
        other => Err(format!("must be a function, not {}", name(other))),
    }
}

/// A number, as it is.
pub fn number(value: &Unknown<'_>) -> Result<f64, Fault> {
    match kind(value) {
        // SAFETY: the type was just checked.
        ValueType::Number => unsafe { value.cast::<f64>() }.map_err(|_| "can't be read".to_owned()),
        other => Err(format!("must be a number, not {}", name(other))),
    }
}

/// A boolean.
pub fn boolean(value: &Unknown<'_>) -> Result<bool, Fault> {
    match kind(value) {
        // SAFETY: the type was just checked.
        ValueType::Boolean => unsafe { value.cast::<bool>() }.map_err(|_| "can't be read".to_owned()),
        other => Err(format!("must be a boolean, not {}", name(other))),
    }
}

/// A string that is valid Unicode: a lone surrogate has no UTF-8, and replacing it would change the caller's text.
pub fn text(value: &Unknown<'_>) -> Result<String, Fault> {
    match kind(value) {
        ValueType::String => {}
        other => return Err(format!("must be a string, not {}", name(other))),
    }
    // SAFETY: the type was just checked.
    let string = unsafe { value.cast::<JsString>() }.map_err(|_| "can't be read".to_owned())?;
    if string.utf16_len().map_or(true, |len| len > MAX_TEXT) {
        return Err(format!("is longer than {MAX_TEXT} characters"));
    }
    let units = string.into_utf16().map_err(|_| "can't be read".to_owned())?;
    units.as_str().map_err(|_| "holds a lone surrogate: it is no valid Unicode text".to_owned())
}

/// An object that is neither null, an array nor a function.
pub fn object<'v>(value: &Unknown<'v>) -> Result<Object<'v>, Fault> {
    match kind(value) {
        ValueType::Object if value.is_array().unwrap_or(false) => Err("must be an object, not an array".to_owned()),
        // SAFETY: the type was just checked.
        ValueType::Object => unsafe { value.cast::<Object<'v>>() }.map_err(|_| "can't be read".to_owned()),
        other => Err(format!("must be an object, not {}", name(other))),
    }
}

/// A property, from the object or its prototypes; `None` when it is undefined.
pub fn property<'v>(env: &Env, object: &Object<'v>, key: &str) -> Result<Option<Unknown<'v>>, Fault> {
    match object.get::<Unknown<'v>>(key) {
        Ok(value) => Ok(value),
        Err(_) => {
            clear_exception(env);
            Err("can't be read: its getter throws".to_owned())
        }
    }
}

/// The object's own enumerable string keys.
pub fn own_keys(env: &Env, object: &Object<'_>) -> Result<Vec<String>, Fault> {
    let list = || -> napi::Result<Vec<String>> {
        let filter = sys::KeyFilter::enumerable | sys::KeyFilter::skip_symbols;
        let mut names = ptr::null_mut();
        // SAFETY: `object` is a live object of this environment; the out pointer outlives the call.
        let status = unsafe {
            sys::napi_get_all_property_names(
                env.raw(),
                object.raw(),
                sys::KeyCollectionMode::own_only,
                filter,
                sys::KeyConversion::numbers_to_strings,
                &mut names,
            )
        };
        napi::check_status!(status)?;
        // SAFETY: Node-API returned an array of strings.
        unsafe { Vec::<String>::from_napi_value(env.raw(), names) }
    };
    list().map_err(|_| {
        clear_exception(env);
        "can't be read: listing its keys throws".to_owned()
    })
}

/// Whether an error may name a key that is unknown.
pub fn is_name(key: &str) -> bool {
    key.chars().count() <= MAX_NAME
}

/// What is wrong with an object that has a key which no error may name.
pub fn unknown_key(key: &str, known: &[&str]) -> Fault {
    format!(
        "has a key of {} characters (not shown), which is no option; known: {}",
        key.chars().count(),
        known.join(", ")
    )
}

fn clear_exception(env: &Env) {
    let mut exception = ptr::null_mut();
    // SAFETY: with nothing pending it answers undefined.
    unsafe { sys::napi_get_and_clear_last_exception(env.raw(), &mut exception) };
}

fn kind(value: &Unknown<'_>) -> ValueType {
    value.get_type().unwrap_or(ValueType::Unknown)
}

fn name(kind: ValueType) -> &'static str {
    match kind {
        ValueType::Undefined => "undefined",
        ValueType::Null => "null",
        ValueType::Boolean => "a boolean",
        ValueType::Number => "a number",
        ValueType::String => "a string",
        ValueType::Symbol => "a symbol",
        ValueType::Object => "an object",
        ValueType::Function => "a function",
        ValueType::External => "an external value",
        ValueType::BigInt => "a bigint",
        ValueType::Unknown => "an unknown value",
    }
}
