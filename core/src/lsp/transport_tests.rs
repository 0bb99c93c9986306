//! The transport as an LSP meets it: bytes in, bytes out.

use super::*;
use crate::checkpoint::tests::{keys, load};
use crate::store::Rows;
use crate::testing::Random;
use lightning::ln::peer_handler::CustomMessageHandler;
use std::sync::OnceLock;
use std::time::Duration;

pub(crate) struct Lsp {
    pub transport: LspTransport,
    _loaded: Loaded,
}

/// A transport on a loaded wallet, connected to its LSP.
pub(crate) fn connected() -> Lsp {
    let loaded = load(&keys(false), &Rows::new()).unwrap();
    let transport = LspTransport::new(lsp_id());
    transport.attach(&loaded).unwrap();
    transport.peer_connected(lsp_id(), &init(), false).unwrap();
    Lsp { transport, _loaded: loaded }
}

fn lsp_id() -> PublicKey {
    static ID: OnceLock<PublicKey> = OnceLock::new();
    *ID.get_or_init(|| keys(true).node_id())
}

fn init() -> Init {
    Init { features: InitFeatures::empty(), networks: None, remote_network_address: None }
}

impl Lsp {
    /// What the wallet sends now.
    pub fn hears(&self) -> Vec<String> {
        let sent = self.transport.get_and_clear_pending_msg();
        assert!(sent.iter().all(|(to, _)| *to == lsp_id()));
        sent.into_iter().map(|(_, message)| message.payload).collect()
    }

    pub fn id(&self) -> PublicKey {
        lsp_id()
    }

    /// The connection ends and another begins.
    pub fn reconnect(&self) {
        self.transport.peer_disconnected(lsp_id());
        self.transport.peer_connected(lsp_id(), &init(), false).unwrap();
    }

    pub fn says(&self, payload: &str) {
        let result = self.transport.handle_custom_message(RawLSPSMessage { payload: payload.to_owned() }, lsp_id());
        if let Err(error) = result {
            assert!(
                !matches!(error.action, lightning::ln::msgs::ErrorAction::DisconnectPeer { .. }),
                "{payload} ends the connection"
            );
        }
    }
}

pub(crate) fn id(request: &str) -> String {
    serde_json::from_str::<Value>(request).unwrap()["id"].as_str().unwrap().to_owned()
}

fn no_params() -> Value {
    serde_json::json!({})
}

#[test]
fn a_request_is_byte_for_byte_what_an_ldk_client_sends() {
    let lsp = connected();
    drop(lsp.transport.request("lsps4.register_node", &no_params()));
    drop(lsp.transport.request("lsps0.list_protocols", &no_params()));
    let sent = lsp.hears();
    let ids: Vec<String> = sent.iter().map(|request| id(request)).collect();
    assert!(ids
        .iter()
        .all(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))));
    assert_ne!(ids[0], ids[1]);
    assert_eq!(
        sent[0].replace(&ids[0], "ID"),
        r#"{"jsonrpc":"2.0","id":"ID","method":"lsps4.register_node","params":{}}"#
    );
    assert_eq!(
        sent[1].replace(&ids[1], "ID"),
        r#"{"jsonrpc":"2.0","id":"ID","method":"lsps0.list_protocols","params":{}}"#
    );
    assert!(lsp.hears().is_empty(), "said once");
}

#[test]
fn an_answer_reaches_its_request_whatever_the_order_of_its_fields() {
    let lsp = connected();
    let mut first = lsp.transport.request("a", &no_params());
    let mut second = lsp.transport.request("b", &no_params());
    let sent = lsp.hears();
    lsp.says(&format!(r#"{{"result":{{"of":2}},"id":"{}","jsonrpc":"2.0","more":[1]}}"#, id(&sent[1])));
    assert!(first.try_recv().is_err());
    assert_eq!(second.try_recv().unwrap().unwrap()["of"], 2);
    lsp.says(&format!(r#"{{"jsonrpc":"2.0","id":"{}","result":{{"of":1}},"error":null}}"#, id(&sent[0])));
    assert_eq!(first.try_recv().unwrap().unwrap()["of"], 1);
}

#[test]
fn an_error_is_lsp_rejected_with_its_code_and_text() {
    for (error, shown) in [
        (r#""error":{"code":-32601,"message":"Method not found"}"#, ["-32601", "Method not found"]),
        (r#""error":{"code":400,"message":"no","data":{"any":"object"}}"#, ["400", "no"]),
        (r#""result":null,"error":{"code":1,"message":"busy"}"#, ["1", "busy"]),
        (r#""error":{}"#, ["without a code", "no text"]),
        (r#""error":"words""#, ["without a code", "no text"]),
        (r#""neither":1"#, ["without a code", "no text"]),
    ] {
        let lsp = connected();
        let mut answer = lsp.transport.request("lsps4.register_node", &no_params());
        let id = id(&lsp.hears()[0]);
        lsp.says(&format!(r#"{{"jsonrpc":"2.0","id":"{id}",{error}}}"#));
        let error = answer.try_recv().unwrap().unwrap_err();
        assert_eq!(error.code, Code::LspRejected);
        assert!(shown.iter().all(|part| error.message.contains(part)), "{error}");
    }
}

#[test]
fn an_error_text_is_cut_short() {
    let lsp = connected();
    let mut answer = lsp.transport.request("lsps4.register_node", &no_params());
    let id = id(&lsp.hears()[0]);
    let long = "é".repeat(20_000);
    lsp.says(&format!(r#"{{"id":"{id}","error":{{"code":1,"message":"{long}"}}}}"#));
    assert!(answer.try_recv().unwrap().unwrap_err().message.len() < 600);
}

#[test]
fn a_parse_error_without_an_id_fails_everything_that_is_outstanding() {
    let lsp = connected();
    let mut answers = [lsp.transport.request("a", &no_params()), lsp.transport.request("b", &no_params())];
    lsp.hears();
    lsp.says(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error","data":null}}"#);
    for answer in &mut answers {
        let error = answer.try_recv().unwrap().unwrap_err();
        assert_eq!(error.code, Code::LspRejected);
        assert!(error.message.contains("-32700") && error.message.contains("parse error"), "{error}");
    }
}

/// An LDK peer that is told of a parse error ignores us until disconnect, and so would our own LDK.
#[test]
fn what_nobody_asked_for_is_ignored_and_answered_with_nothing() {
    let lsp = connected();
    let mut answer = lsp.transport.request("lsps4.register_node", &no_params());
    let id = id(&lsp.hears()[0]);
    for payload in [
        r#"{"jsonrpc":"2.0","id":"00112233445566778899aabbccddeeff","result":{}}"#,
        r#"{"jsonrpc":"2.0","id":"00112233445566778899aabbccddeeff","error":{"code":1,"message":"x"}}"#,
        r#"{"jsonrpc":"2.0","id":7,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":["x"],"result":{}}"#,
        r#"{"jsonrpc":"2.0","method":"lsps4.event","params":{}}"#,
        r#"{"jsonrpc":"2.0","id":"x","method":"lsps5.lsp_says","params":{}}"#,
        r#"{"jsonrpc":"2.0","id":"x","method":"lsps0.list_protocols","params":{}}"#,
        r#"{"jsonrpc":"2.0","id":"x","method":7}"#,
        r#"{"jsonrpc":"2.0"}"#,
        r#"{"jsonrpc":"2.0","id":null}"#,
        r#"{"jsonrpc":"2.0","id":null,"result":{},"error":null}"#,
        "[]",
        "null",
        "",
        "{",
        "\u{0}",
    ] {
        lsp.says(payload);
        assert!(lsp.hears().is_empty(), "{payload} is answered");
        assert!(answer.try_recv().is_err(), "{payload} answers a request");
    }
    // A second and a late answer are of that kind, too.
    for _ in 0..2 {
        lsp.says(&format!(r#"{{"jsonrpc":"2.0","id":"{id}","result":{{}}}}"#));
        assert!(lsp.hears().is_empty());
    }
    assert!(answer.try_recv().unwrap().is_ok());
}

#[test]
fn another_peer_can_answer_nothing() {
    let lsp = connected();
    let mut answer = lsp.transport.request("lsps4.register_node", &no_params());
    let id = id(&lsp.hears()[0]);
    let message = RawLSPSMessage { payload: format!(r#"{{"id":"{id}","result":{{}}}}"#) };
    lsp.transport.handle_custom_message(message, keys(false).node_id()).unwrap();
    assert!(answer.try_recv().is_err());
    assert!(lsp.transport.peer_connected(keys(false).node_id(), &init(), false).is_err());
    lsp.transport.peer_disconnected(keys(false).node_id());
    assert!(*lsp.transport.connected().borrow(), "another peer's leave is not the LSP's");
    assert!(lsp.transport.peer_connected(lsp_id(), &init(), true).is_err(), "the LSP does not connect to us");
}

#[test]
fn a_disconnect_answers_those_who_wait_and_forgets_what_was_not_sent() {
    let lsp = connected();
    let mut answer = lsp.transport.request("lsps4.register_node", &no_params());
    lsp.transport.peer_disconnected(lsp_id());
    assert!(matches!(answer.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
    assert!(!*lsp.transport.connected().borrow());
    lsp.transport.peer_connected(lsp_id(), &init(), false).unwrap();
    assert!(lsp.hears().is_empty(), "the next connection begins with nothing to say");
    assert!(*lsp.transport.connected().borrow());
}

#[test]
fn no_bytes_panic_or_move_anything() {
    let mut random = Random::new("no_bytes_panic_or_move_anything");
    let lsp = connected();
    let mut answer = lsp.transport.request("lsps4.register_node", &no_params());
    let valid = lsp.hears().remove(0);
    let began = clock();
    for _ in 0..4_000 {
        let payload = match random.below(3) {
            0 => random.json(4),
            1 => String::from_utf8_lossy(&random.bytes(64)).into_owned(),
            // Ours, broken somewhere.
            _ => {
                let mut bytes = valid.clone().into_bytes();
                for _ in 0..=random.below(3) {
                    let at = random.below(bytes.len() as u64) as usize;
                    bytes[at] = random.next() as u8;
                }
                let cut = random.below(bytes.len() as u64) as usize;
                String::from_utf8_lossy(&bytes[..cut]).into_owned()
            }
        };
        // The one thing without our id that is meant for us.
        if serde_json::from_str::<Value>(&payload).is_ok_and(|message| message["id"].is_null()) {
            continue;
        }
        lsp.says(&payload);
        assert!(lsp.hears().is_empty(), "{payload:?} is answered");
        if let Ok(answered) = answer.try_recv() {
            panic!("{payload:?} answers the request with {answered:?}");
        }
        assert!(began.elapsed() < Duration::from_secs(10), "too slow to be a test");
    }
}

fn clock() -> tokio::time::Instant {
    tokio::time::Instant::now()
}
