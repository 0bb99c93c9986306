//! LSPS4, the client's side: `register_node` gives a wallet its JIT route, stable per (LSP, node id).

use super::transport::LspTransport;
use super::{scid, JitRoute};
use crate::error::{Code, Error, Result};
use serde_json::{json, Value};
use std::time::Duration;
use tokio::time::timeout;

/// LDK's floor for a forwarding node's `cltv_expiry_delta`, and a bound that no sane LSP exceeds (two weeks of blocks).
const CLTV_DELTAS: std::ops::RangeInclusive<u64> = 1..=2016;

/// Learns the JIT route: asks which protocols the LSP speaks, then registers. `send` lets the peer manager send what is
/// queued. Two round trips, once in a wallet's life.
pub async fn learn_route(transport: &LspTransport, each: Duration, send: impl Fn()) -> Result<JitRoute> {
    let protocols = transport.list_protocols()?;
    send();
    let protocols = timeout(each, protocols).await.map_err(|_| silent("lsps0.list_protocols", each))?;
    let protocols = protocols.map_err(|_| gone())?;
    if !protocols.contains(&4) {
        return Err(Error::new(
            Code::LspRejected,
            format!("the LSP speaks LSPS {protocols:?}, not LSPS4; use an LSP with continuous JIT channels (LSPS4)"),
        ));
    }
    let answer = transport.request("lsps4.register_node", &json!({}));
    send();
    let answer = timeout(each, answer).await.map_err(|_| silent("lsps4.register_node", each))?;
    parse_registration(&answer.map_err(|_| gone())??)
}

/// `{ "jit_channel_scid": "bxtxo", "lsp_cltv_expiry_delta": 72 }`; additional fields are ignored.
pub(super) fn parse_registration(result: &Value) -> Result<JitRoute> {
    let text = result.get("jit_channel_scid").and_then(Value::as_str);
    let delta = result.get("lsp_cltv_expiry_delta").and_then(Value::as_u64).filter(|d| CLTV_DELTAS.contains(d));
    let parsed = text.and_then(|text| scid::parse(text).ok()).zip(delta.and_then(|delta| u16::try_from(delta).ok()));
    let Some((scid, cltv_expiry_delta)) = parsed else {
        let shown: String = result.to_string().chars().take(200).collect();
        return Err(Error::new(Code::LspRejected, format!("the LSP's register_node answer makes no sense: {shown}")));
    };
    Ok(JitRoute { scid, cltv_expiry_delta })
}

fn silent(method: &str, each: Duration) -> Error {
    Error::new(Code::LspUnavailable, format!("the LSP did not answer {method} within {} ms", each.as_millis()))
}

fn gone() -> Error {
    Error::new(Code::LspUnavailable, "the LSP closed the connection before it answered")
}
