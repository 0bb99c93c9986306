//! Bytes as real LSPs and clients put them on the wire.

use super::*;

const ID: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn the_register_request_of_a_real_client_is_understood() {
    let json =
        r#"{"jsonrpc":"2.0","id":"0123456789abcdef0123456789abcdef","method":"lsps4.register_node","params":{}}"#;
    assert_eq!(read(json), Some(Request { id: ID.into(), method: Method::RegisterNode }));
}

#[test]
fn params_may_be_absent_or_carry_a_fee_claim_and_unknown_fields() {
    for tail in [
        "",
        r#","params":{"fee_claim":"00ff"}"#,
        r#","params":{"new_in_a_later_version":1}"#,
        r#","params":{},"extra":[1]"#,
    ] {
        let json = format!(r#"{{"method":"lsps4.register_node","id":"{ID}","jsonrpc":"2.0"{tail}}}"#);
        assert_eq!(read(&json).map(|r| r.method), Some(Method::RegisterNode), "{json}");
    }
}

#[test]
fn the_register_response_has_the_bytes_of_a_real_lsp() {
    let scid = 512_345 << 40 | 1_203 << 16 | 5;
    assert_eq!(
        registered(ID, scid, 72),
        r#"{"jsonrpc":"2.0","id":"0123456789abcdef0123456789abcdef","result":{"jit_channel_scid":"512345x1203x5","lsp_cltv_expiry_delta":72}}"#
    );
}

#[test]
fn list_protocols_is_answered_with_lsps4() {
    let json = format!(r#"{{"jsonrpc":"2.0","id":"{ID}","method":"lsps0.list_protocols","params":{{}}}}"#);
    assert_eq!(read(&json).map(|r| r.method), Some(Method::ListProtocols));
    assert_eq!(protocols("a"), r#"{"jsonrpc":"2.0","id":"a","result":{"protocols":[4]}}"#);
}

#[test]
fn an_id_with_quotes_is_echoed_escaped() {
    assert_eq!(protocols("\"\\"), r#"{"jsonrpc":"2.0","id":"\"\\","result":{"protocols":[4]}}"#);
}

#[test]
fn what_ldk_does_not_understand_mutes_its_sender() {
    for json in [
        "",
        "no json",
        "[]",
        r#"{"jsonrpc":"2.0","id":7,"method":"lsps4.register_node","params":{}}"#,
        r#"{"jsonrpc":"2.0","id":null,"method":"lsps4.register_node","params":{}}"#,
        r#"{"jsonrpc":"1.0","id":"a","method":"lsps4.register_node","params":{}}"#,
        r#"{"jsonrpc":"2.0","id":"a","method":"lsps2.get_info","params":{}}"#,
        r#"{"jsonrpc":"2.0","id":"a","method":"lsps4.register_node","params":{"fee_claim":7}}"#,
        r#"{"jsonrpc":"2.0","id":"a","method":"lsps4.register_node","params":"x"}"#,
        r#"{"jsonrpc":"2.0","id":"a","method":"lsps4.\u0072egister_node","params":{}}"#,
        r#"{"jsonrpc":"2.0","id":"a","result":{}}"#,
    ] {
        assert_eq!(read(json), None, "{json}");
    }
}

#[test]
fn the_parse_error_is_the_one_of_ldk() {
    let error: serde_json::Value = serde_json::from_str(PARSE_ERROR).unwrap();
    assert_eq!(error["error"]["code"], -32700);
    assert!(error["id"].is_null());
}
