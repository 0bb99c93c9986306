//! LSPS4, the client's side: `register_node` gives a wallet its JIT route, stable per (LSP, node id).

use super::transport::LspTransport;
use super::{scid, JitRoute};
use crate::error::{shown, Code, Error, Result};
use serde_json::{json, Value};
use std::time::Duration;
use tokio::time::timeout;

/// LDK's floor for a forwarding node's `cltv_expiry_delta`, and a bound that no sane LSP exceeds (two weeks of blocks).
const CLTV_DELTAS: std::ops::RangeInclusive<u64> = 1..=2016;

/// Learns the JIT route: asks which protocols the LSP speaks, then registers. `send` lets the peer manager send what is
/// queued. Two round trips, once in a wallet's life.
pub async fn learn_route(transport: &LspTransport, each: Duration, send: impl Fn()) -> Result<JitRoute> {
    let protocols = ask(transport, "lsps0.list_protocols", each, &send).await?;
    let protocols = parse_protocols(&protocols)?;
    if !protocols.contains(&4) {
        return Err(Error::new(
            Code::LspRejected,
            format!("the LSP speaks LSPS {protocols:?}, not LSPS4; use an LSP with continuous JIT channels (LSPS4)"),
        ));
    }
    parse_registration(&ask(transport, "lsps4.register_node", each, &send).await?)
}

async fn ask(transport: &LspTransport, method: &str, each: Duration, send: &impl Fn()) -> Result<Value> {
    let answer = transport.request(method, &json!({}));
    send();
    match timeout(each, answer).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(unavailable(format!("closed the connection before it answered {method}"))),
        Err(_) => Err(unavailable(format!("did not answer {method} within {} ms", each.as_millis()))),
    }
}

/// `{ "protocols": [2, 4, 5] }`. Numbers that are no protocol's are passed over.
pub(crate) fn parse_protocols(result: &Value) -> Result<Vec<u16>> {
    let Some(listed) = result.get("protocols").and_then(Value::as_array) else {
        return Err(senseless("list_protocols", result));
    };
    Ok(listed.iter().filter_map(Value::as_u64).filter_map(|number| u16::try_from(number).ok()).collect())
}

/// `{ "jit_channel_scid": "bxtxo", "lsp_cltv_expiry_delta": 72 }`; additional fields are ignored.
pub(crate) fn parse_registration(result: &Value) -> Result<JitRoute> {
    let text = result.get("jit_channel_scid").and_then(Value::as_str);
    let delta = result.get("lsp_cltv_expiry_delta").and_then(Value::as_u64).filter(|d| CLTV_DELTAS.contains(d));
    let parsed = text.and_then(|text| scid::parse(text).ok()).zip(delta.and_then(|delta| u16::try_from(delta).ok()));
    let Some((scid, cltv_expiry_delta)) = parsed else {
        return Err(senseless("register_node", result));
    };
    Ok(JitRoute { scid, cltv_expiry_delta })
}

fn senseless(method: &str, result: &Value) -> Error {
    let shown = shown(&result.to_string(), 200);
    Error::new(Code::LspRejected, format!("the LSP's {method} answer makes no sense: {shown}"))
}

fn unavailable(what: String) -> Error {
    Error::new(Code::LspUnavailable, format!("the LSP {what}; try again"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#[path = "lsps4_tests.rs"]
mod tests;
