//! Core errors → JavaScript errors: real `Error` objects with `code`, `retryable` and what else helps the caller.
//! `index.js` turns them into `MdkError` instances, whose stack then shows the caller's code.

use mayfly_core::error::{Code, Error, Holder};
use napi::bindgen_prelude::{JsObjectValue, Object, ToNapiValue};
use napi::{sys, Env, JsValue, Status};

/// Throws `error`; what it returns tells napi that this is done. JavaScript thread only.
///
/// Not by `to_js`: there napi asks the object for its text, which runs JavaScript (`toString`). Where that throws, as it does
/// near the end of the stack, napi asks the new exception for its text, and so on until the process dies.
pub fn throw(env: &Env, error: &Error) -> napi::Error {
    match build(env, error) {
        Ok(object) => {
            // SAFETY: `object` is a live value of this environment. One that is ending refuses, and then nobody listens.
            unsafe { sys::napi_throw(env.raw(), object.raw()) };
            napi::Error::new(Status::PendingException, error.to_string())
        }
        Err(_) => napi::Error::from_reason(error.to_string()),
    }
}

/// The napi error that rejects with `error`: for what is called by the event loop, where the stack is empty. JavaScript thread
/// only.
pub fn to_js(env: &Env, error: Error) -> napi::Error {
    match build(env, &error) {
        Ok(object) => napi::Error::from(object.to_unknown()),
        // An environment that can't build an object is ending; the text is all that is left.
        Err(_) => napi::Error::from_reason(error.to_string()),
    }
}

/// A failure of napi itself. It is no caller's fault.
pub fn from_napi(error: napi::Error) -> Error {
    Error::new(Code::Internal, format!("the Node-API call failed: {} ({})", error.reason, error.status))
}

fn build<'e>(env: &'e Env, error: &Error) -> napi::Result<Object<'e>> {
    let mut object = env.create_error(napi::Error::from_reason(error.message.as_str()))?;
    object.set_named_property("code", error.code.as_str())?;
    object.set_named_property("retryable", error.code.retryable())?;
    set_some(&mut object, "option", error.option.as_deref())?;
    set_some(&mut object, "retryAfterMs", error.retry_after.map(|after| after.as_millis() as f64))?;
    if let Some(known) = &error.holder {
        object.set_named_property("holder", holder(env, known)?)?;
    }
    Ok(object)
}

fn holder<'e>(env: &'e Env, known: &Holder) -> napi::Result<Object<'e>> {
    let mut object = Object::new(env)?;
    set_some(&mut object, "pid", known.pid)?;
    set_some(&mut object, "host", known.host.as_deref())?;
    object.set_named_property("since", known.since_ms as f64)?;
    object.set_named_property("epoch", known.epoch as f64)?;
    Ok(object)
}

fn set_some<T: ToNapiValue>(object: &mut Object<'_>, name: &str, value: Option<T>) -> napi::Result<()> {
    match value {
        Some(value) => object.set_named_property(name, value),
        None => Ok(()),
    }
}
