//! `learn_route` against LSPs of all kinds, on a paused clock.

use super::*;
use crate::lsp::transport::tests::{connected, id, Lsp};
use crate::testing::Random;
use lightning::ln::peer_handler::CustomMessageHandler;
use std::cell::Cell;
use tokio::time::Instant;

const EACH: Duration = Duration::from_secs(5);

/// Learns from an LSP that answers each request as `answer` says: the members after the id, or nothing.
async fn learn(answer: impl Fn(&str) -> Option<String>) -> Result<JitRoute> {
    let lsp = connected();
    let transport = &lsp.transport;
    learn_route(transport, EACH, || serve(&lsp, &answer)).await
}

fn serve(lsp: &Lsp, answer: impl Fn(&str) -> Option<String>) {
    for request in lsp.hears() {
        let method = if request.contains("list_protocols") { "list" } else { "register" };
        if let Some(members) = answer(method) {
            lsp.says(&format!(r#"{{"jsonrpc":"2.0","id":"{}",{members}}}"#, id(&request)));
        }
    }
}

fn listing(protocols: &str) -> Option<String> {
    Some(format!(r#""result":{{"protocols":{protocols}}}"#))
}

#[tokio::test(start_paused = true)]
async fn the_route_is_what_the_lsp_answers() {
    let asked = Cell::new(0);
    let route = learn(|method| {
        asked.set(asked.get() + 1);
        match method {
            "list" => listing("[2,4,5]"),
            _ => {
                Some(r#""result":{"jit_channel_scid":"512345x1203x5","lsp_cltv_expiry_delta":72,"new":{}}"#.to_owned())
            }
        }
    });
    let route = route.await.unwrap();
    assert_eq!(route, JitRoute { scid: 512_345 << 40 | 1_203 << 16 | 5, cltv_expiry_delta: 72 });
    assert_eq!(asked.get(), 2, "two round trips");
}

#[tokio::test(start_paused = true)]
async fn an_lsp_without_lsps4_is_never_asked_for_it_and_named_with_what_it_speaks() {
    for (listed, shown) in [("[2,5]", "[2, 5]"), ("[]", "[]"), (r#"[1,"4",4.5,-4,65540,null]"#, "[1]")] {
        let error = learn(|method| {
            assert_eq!(method, "list", "an LDK LSP would ignore us from here on");
            listing(listed)
        });
        let error = error.await.unwrap_err();
        assert_eq!(error.code, Code::LspRejected);
        assert!(error.message.contains(shown) && error.message.contains("LSPS4"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_of_protocols_that_is_none_is_lsp_rejected() {
    for members in
        [r#""result":{}"#, r#""result":[4]"#, r#""result":{"protocols":4}"#, r#""error":{"code":1,"message":"x"}"#]
    {
        assert_eq!(learn(|_| Some(members.to_owned())).await.unwrap_err().code, Code::LspRejected, "{members}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_lsp_that_does_not_answer_is_lsp_unavailable_after_the_bound() {
    for silent in ["list", "register"] {
        let began = Instant::now();
        let error = learn(|method| if method == silent { None } else { listing("[4]") }).await.unwrap_err();
        assert_eq!(error.code, Code::LspUnavailable);
        assert!(error.message.contains(silent) && error.message.contains("5000 ms"), "{error}");
        assert_eq!(began.elapsed().as_millis(), EACH.as_millis());
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_is_lsp_unavailable_at_once() {
    let lsp = connected();
    let transport = &lsp.transport;
    let lsp_id = crate::checkpoint::tests::keys(true).node_id();
    let began = Instant::now();
    let error = learn_route(transport, EACH, || transport.peer_disconnected(lsp_id)).await.unwrap_err();
    assert_eq!(error.code, Code::LspUnavailable);
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_parse_error_ends_the_request_at_once_with_what_the_lsp_said() {
    let lsp = connected();
    let refusal = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error","data":null}}"#;
    let error = learn_route(&lsp.transport, EACH, || lsp.says(refusal)).await.unwrap_err();
    assert_eq!(error.code, Code::LspRejected);
    assert!(error.message.contains("-32700"), "{error}");
}

#[test]
fn a_registration_with_a_number_out_of_bounds_is_refused() {
    for result in [
        json!({ "jit_channel_scid": "1x2x3" }),
        json!({ "lsp_cltv_expiry_delta": 72 }),
        json!({ "jit_channel_scid": "1x2x3", "lsp_cltv_expiry_delta": 0 }),
        json!({ "jit_channel_scid": "1x2x3", "lsp_cltv_expiry_delta": 2017 }),
        json!({ "jit_channel_scid": "1x2x3", "lsp_cltv_expiry_delta": 65608 }),
        json!({ "jit_channel_scid": "1x2x3", "lsp_cltv_expiry_delta": -72 }),
        json!({ "jit_channel_scid": "1x2x3", "lsp_cltv_expiry_delta": 72.5 }),
        json!({ "jit_channel_scid": "1x2x3", "lsp_cltv_expiry_delta": "72" }),
        json!({ "jit_channel_scid": "16777216x2x3", "lsp_cltv_expiry_delta": 72 }),
        json!({ "jit_channel_scid": 123, "lsp_cltv_expiry_delta": 72 }),
        json!(null),
        json!([]),
    ] {
        assert_eq!(parse_registration(&result).unwrap_err().code, Code::LspRejected, "{result}");
    }
    for delta in [1, 2016] {
        let result = json!({ "jit_channel_scid": "1x2x3", "lsp_cltv_expiry_delta": delta });
        assert_eq!(u64::from(parse_registration(&result).unwrap().cltv_expiry_delta), delta);
    }
}

#[test]
fn no_json_panics_and_what_is_taken_is_in_bounds() {
    let mut random = Random::new("no_json_panics_and_what_is_taken_is_in_bounds");
    for _ in 0..20_000 {
        let scid = random.json(1);
        let delta = random.json(1);
        for text in [random.json(3), format!(r#"{{"jit_channel_scid":{scid},"lsp_cltv_expiry_delta":{delta}}}"#)] {
            let Ok(value) = serde_json::from_str::<Value>(&text) else { continue };
            let _ = parse_protocols(&value);
            match parse_registration(&value) {
                Ok(route) => assert!(CLTV_DELTAS.contains(&u64::from(route.cltv_expiry_delta)), "{text}"),
                Err(error) => assert!(error.code == Code::LspRejected && error.message.len() < 1_200, "{error}"),
            }
        }
    }
}
