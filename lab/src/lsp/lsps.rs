//! What LDK-based LSPs answer to LSPS requests, byte for byte: LSPS0 `list_protocols` and LSPS4 `register_node`.
//!
//! Real ones are stricter than LSPS0 says: after anything that they don't understand (an unknown method, a numeric id, a
//! response to nothing) they answer a parse error with a null id and then ignore that peer until it disconnects. A client
//! must survive exactly that, so this does the same.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// What such an LSP sends before it goes deaf.
pub const PARSE_ERROR: &str =
    r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error","data":null}}"#;

/// A request that is understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The client's id, echoed.
    pub id: String,
    /// What it wants.
    pub method: Method,
}

/// The methods of this LSP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// LSPS0.
    ListProtocols,
    /// LSPS4; a `fee_claim` is accepted and not looked at.
    RegisterNode,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    jsonrpc: &'a str,
    id: String,
    // Borrowed, as LDK reads it: an escaped method name is an unknown one.
    method: &'a str,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct NoParams {}

#[derive(Deserialize)]
struct RegisterParams {
    #[serde(default, rename = "fee_claim")]
    _fee_claim: Option<String>,
}

/// Reads a message; `None` is what mutes its sender.
pub fn read(json: &str) -> Option<Request> {
    let envelope: Envelope = serde_json::from_str(json).ok()?;
    let params = envelope.params.map_or("{}", RawValue::get);
    let method = match envelope.method {
        "lsps0.list_protocols" => serde_json::from_str::<NoParams>(params).ok().map(|_| Method::ListProtocols)?,
        "lsps4.register_node" => serde_json::from_str::<RegisterParams>(params).ok().map(|_| Method::RegisterNode)?,
        _ => return None,
    };
    (envelope.jsonrpc == "2.0").then_some(Request { id: envelope.id, method })
}

#[derive(Serialize)]
struct Response<'a, T> {
    jsonrpc: &'a str,
    id: &'a str,
    result: T,
}

fn respond<T: Serialize>(id: &str, result: T) -> String {
    // Strings and integers always serialise.
    serde_json::to_string(&Response { jsonrpc: "2.0", id, result }).unwrap_or_default()
}

/// The answer to `lsps0.list_protocols`: LSPS4 alone.
pub fn protocols(id: &str) -> String {
    #[derive(Serialize)]
    struct Protocols {
        protocols: [u16; 1],
    }
    respond(id, Protocols { protocols: [4] })
}

/// The answer to `lsps4.register_node`.
pub fn registered(id: &str, scid: u64, cltv_expiry_delta: u16) -> String {
    #[derive(Serialize)]
    struct Registered {
        jit_channel_scid: String,
        lsp_cltv_expiry_delta: u32,
    }
    let registered =
        Registered { jit_channel_scid: scid_text(scid), lsp_cltv_expiry_delta: u32::from(cltv_expiry_delta) };
    respond(id, registered)
}

/// `<block>x<transaction>x<output>`, in decimal.
pub fn scid_text(scid: u64) -> String {
    format!("{}x{}x{}", scid >> 40, (scid >> 16) & 0xff_ffff, scid & 0xffff)
}

#[cfg(test)]
#[path = "lsps_tests.rs"]
mod tests;
