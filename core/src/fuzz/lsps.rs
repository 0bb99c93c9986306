//! What an LSP says: the bytes of a custom message, from the wire's reader to the JIT route.

use super::{refused, Target};
use crate::error::Code;
use crate::lsp::lsps4::{parse_protocols, parse_registration};
use crate::lsp::transport::tests::{connected, id, Lsp};
use lightning::ln::msgs::{ErrorAction, LightningError};
use lightning::ln::peer_handler::CustomMessageHandler;
use lightning::ln::wire::CustomMessageReader;
use serde_json::{json, Value};

/// LSPS0's message type (bLIP 50).
const LSPS: u16 = 37_913;

/// BOLT 8: no message is longer, its type included.
const LONGEST: usize = 65_533;

/// Stands for the id of the request that waits.
const ID: &[u8] = b"%ID%";

pub(super) fn targets() -> Vec<Target> {
    let lsp = connected();
    vec![
        Target::new("lsps-messages", 60_000, &MESSAGES, move |input| message(&lsp, input)),
        Target::new("lsps-results", 70_000, &RESULTS, result),
    ]
}

const MESSAGES: [&str; 14] = [
    r#"{"jsonrpc":"2.0","id":"%ID%","result":{"protocols":[2,4,5]}}"#,
    r#"{"jsonrpc":"2.0","id":"%ID%","result":{"jit_channel_scid":"512345x1203x5","lsp_cltv_expiry_delta":72}}"#,
    r#"{"result":{"of":2},"error":null,"id":"%ID%","jsonrpc":"2.0","more":[1]}"#,
    r#"{"jsonrpc":"2.0","id":"%ID%","error":{"code":-32601,"message":"Method not found","data":{"a":1}}}"#,
    r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error","data":null}}"#,
    r#"{"jsonrpc":"2.0","id":"%ID%","result":{"opening_fee_params_menu":[{"min_fee_msat":"1","proportional":2,"valid_until":"2033-01-01T00:00:00.000Z","min_lifetime":3,"max_client_to_self_delay":4,"min_payment_size_msat":"5","max_payment_size_msat":"6","promise":"x"}]}}"#,
    r#"{"jsonrpc":"2.0","id":"00112233445566778899aabbccddeeff","result":{}}"#,
    r#"{"jsonrpc":"2.0","id":7,"result":{}}"#,
    r#"{"jsonrpc":"2.0","method":"lsps5.payment_incoming","params":{}}"#,
    r#"{"jsonrpc":"2.0","id":"x","method":"lsps0.list_protocols","params":{}}"#,
    r#"{"jsonrpc":"2.0","id":"x","method":"lsps2.buy","params":{"opening_fee_params":{},"payment_size_msat":"1"}}"#,
    r#"{"jsonrpc":"2.0","id":"%ID%","error":{}}"#,
    "[]",
    "",
];

const RESULTS: [&str; 6] = [
    r#"{"protocols":[2,4,5]}"#,
    r#"{"protocols":[]}"#,
    r#"{"protocols":[1,"4",4.5,-4,65540,null]}"#,
    r#"{"jit_channel_scid":"512345x1203x5","lsp_cltv_expiry_delta":72}"#,
    r#"{"jit_channel_scid":"16777215x16777215x65535","lsp_cltv_expiry_delta":2016,"new":{}}"#,
    r#"{"jit_channel_scid":"1x1x1","lsp_cltv_expiry_delta":1}"#,
];

/// A message while a request waits.
fn message(lsp: &Lsp, input: &[u8]) -> bool {
    let mut answer = lsp.transport.request("lsps4.register_node", &json!({}));
    let id = id(&lsp.hears()[0]);
    let bytes = replaced(input, ID, id.as_bytes());
    let bytes = &bytes[..bytes.len().min(LONGEST)];
    if let Ok(Some(read)) = lsp.transport.read(LSPS, &mut &*bytes) {
        if let Err(LightningError { action: ErrorAction::DisconnectPeer { .. }, err }) =
            lsp.transport.handle_custom_message(read, lsp.id())
        {
            panic!("ends the connection: {err}");
        }
    }
    assert!(lsp.hears().is_empty(), "is answered");
    match answer.try_recv() {
        Ok(Ok(value)) => result(value.to_string().as_bytes()),
        Ok(Err(error)) => refused(&error, &[Code::LspRejected]),
        // As when the request's time is over.
        Err(_) => {
            lsp.reconnect();
            false
        }
    }
}

/// A route is taken only with numbers that mean something.
fn result(input: &[u8]) -> bool {
    let Ok(value) = serde_json::from_slice::<Value>(input) else { return false };
    let listed = match parse_protocols(&value) {
        Ok(protocols) => {
            let listed = value["protocols"].as_array().unwrap();
            assert!(protocols.iter().all(|number| listed.contains(&json!(number))));
            true
        }
        Err(error) => refused(&error, &[Code::LspRejected]),
    };
    let registered = match parse_registration(&value) {
        Ok(route) => {
            assert!((1..=2016).contains(&route.cltv_expiry_delta));
            assert_eq!(value["lsp_cltv_expiry_delta"], json!(route.cltv_expiry_delta));
            assert_eq!(crate::lsp::scid::parse(value["jit_channel_scid"].as_str().unwrap()), Ok(route.scid));
            true
        }
        Err(error) => refused(&error, &[Code::LspRejected]),
    };
    listed || registered
}

fn replaced(input: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(input.len());
    let mut rest = input;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}
