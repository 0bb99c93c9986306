//! The handle, as the addon holds it, where no network answers.

use crate::config::{Config, RawConfig, RawJitRoute, RawLease, RawTimeouts};
use crate::error::{Code, Error, Result};
use crate::invoice::MintRequest;
use crate::keys::{generate_mnemonic, Keys};
use crate::node::{Balance, Call, CancelToken, Node, Origin, ReceiveLimits, State};
use crate::reply::Reply;
use crate::store::memory::MemoryWallet;
use crate::store::{Claimant, Position, Store};
use std::sync::mpsc;
use std::time::Duration;

/// For an answer that must come; no test waits for it to pass.
pub(super) const LONG: Duration = Duration::from_secs(20);

pub(super) fn raw() -> RawConfig {
    RawConfig {
        network: "regtest".to_owned(),
        // Memory wallets are the process's: each test has its own.
        mnemonic: generate_mnemonic(12).unwrap(),
        esplora_url: format!("http://127.0.0.1:{}", dead_port()),
        lsp_node_id: crate::checkpoint::tests::keys(true).node_id().to_string(),
        lsp_address: format!("127.0.0.1:{}", dead_port()),
        store: "memory:".to_owned(),
        lease: RawLease { max_wait_ms: Some(0.0), ..RawLease::default() },
        destroy_timeout_ms: Some(5_000.0),
        timeouts: RawTimeouts { chain_ms: Some(2_000.0), ..RawTimeouts::default() },
        ..RawConfig::default()
    }
}

/// A port on which nothing listens.
fn dead_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(super) fn node(raw: RawConfig) -> Node {
    Node::new(Config::parse(raw).unwrap(), Origin::default()).unwrap()
}

pub(super) fn wallet(raw: &RawConfig) -> MemoryWallet {
    let config = Config::parse(raw.clone()).unwrap();
    MemoryWallet::of(Keys::derive(&config.mnemonic, config.network).unwrap().wallet_id(config.network))
}

pub(super) fn claim(wallet: &MemoryWallet) -> Result<(impl Store, Position)> {
    let mut store = wallet.store();
    let claimant = Claimant { host: Some("elsewhere".to_owned()), ..Claimant::of_process(7) };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let position = runtime.block_on(store.claim_and_load(&claimant))?.position;
    Ok((store, position))
}

/// Calls, and waits for the answer.
pub(super) fn ask<T: Send + 'static>(call: impl FnOnce(Call, Reply<T>)) -> Result<T> {
    receiver(call, Call::default()).recv_timeout(LONG).expect("an answer")
}

pub(super) fn receiver<T: Send + 'static>(
    call: impl FnOnce(Call, Reply<T>),
    bounds: Call,
) -> mpsc::Receiver<Result<T>> {
    let (sender, receiver) = mpsc::channel();
    call(bounds, Reply::new(move |result| drop(sender.send(result))));
    receiver
}

pub(super) fn code<T>(result: Result<T>) -> Option<Code> {
    result.err().map(|error: Error| error.code)
}

fn request() -> MintRequest {
    MintRequest { amount_msat: Some(1_000), description: String::new(), expiry_secs: 60 }
}

pub(super) fn limits() -> ReceiveLimits {
    ReceiveLimits { min: LONG, quiet: LONG, deadline: LONG }
}

/// Every method that can answer with an error.
fn every_method(node: &Node) -> Vec<(&'static str, Option<Code>)> {
    vec![
        ("node_id", code(node.node_id())),
        ("get_invoice", code(ask(|call, reply| node.get_invoice(request(), call, reply)))),
        ("jit_route", code(ask(|call, reply| node.jit_route(call, reply)))),
        ("start", code(ask(|call, reply| node.start(call, reply)))),
        ("start_receiving", code(ask(|call, reply| node.start_receiving(call, reply)))),
        ("stop", code(ask(|call, reply| node.stop(call, reply)))),
        ("next_event", code(ask(|call, reply| node.next_event(LONG, call, reply)))),
        ("ack_event", code(ask(|call, reply| node.ack_event("x".to_owned(), call, reply)))),
        ("receive_begin", code(ask(|call, reply| node.receive_begin(limits(), call, reply)))),
        ("receive_next", code(ask(|call, reply| node.receive_next(call, reply)))),
        ("balance", code(ask(|call, reply| node.balance(call, reply)))),
        ("list_channels", code(ask(|call, reply| node.list_channels(call, reply)))),
    ]
}

#[test]
fn a_destroyed_node_says_so_on_every_method_whether_it_knew_its_route_or_not() {
    let route = RawJitRoute { scid: "1x2x3".to_owned(), cltv_expiry_delta: 72.0 };
    for jit_route in [None, Some(route)] {
        let node = node(RawConfig { jit_route, ..raw() });
        assert_eq!((node.state(), node.last_destroy(), node.wake_by()), (State::Idle, None, None));
        let report = node.destroy();
        assert_eq!(report.unfinished, Vec::<String>::new());
        assert_eq!(node.state(), State::Destroyed);
        for (method, code) in every_method(&node) {
            assert_eq!(code, Some(Code::NodeDestroyed), "{method}");
        }
        assert_eq!(node.destroy(), report, "the second destroy is the first");
        assert_eq!(node.last_destroy(), Some(report));
    }
}

#[test]
fn destroy_answers_whoever_waits() {
    let node = node(raw());
    let event = receiver(|call, reply| node.next_event(LONG * 10, call, reply), Call::default());
    let other = node.clone();
    let report = other.destroy();
    assert_eq!(report.unfinished, Vec::<String>::new());
    assert_eq!(code(event.recv_timeout(LONG).unwrap()), Some(Code::NodeDestroyed));
    assert_eq!(node.state(), State::Destroyed);
}

#[test]
fn a_wallet_that_no_store_has_yet_has_nothing_and_reading_it_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("not").join("there");
    for store in ["memory:".to_owned(), format!("file:{}", absent.display())] {
        let node = node(RawConfig { store, ..raw() });
        assert_eq!(ask(|call, reply| node.balance(call, reply)), Ok(Balance::default()));
        assert_eq!(ask(|call, reply| node.list_channels(call, reply)), Ok(Vec::new()));
        assert_eq!(ask(|call, reply| node.next_event(Duration::ZERO, call, reply)), Ok(None));
        assert_eq!(ask(|call, reply| node.receive_next(call, reply)), Ok(None));
        assert_eq!(ask(|call, reply| node.stop(call, reply)), Ok(()));
        assert_eq!(node.state(), State::Idle);
        node.destroy();
    }
    assert!(!absent.exists());
}

#[test]
fn an_ack_of_an_unknown_event_names_it_and_gives_the_wallet_back() {
    let raw = raw();
    let node = node(raw.clone());
    let error = ask(|call, reply| node.ack_event("no such event".to_owned(), call, reply)).unwrap_err();
    assert_eq!((error.code, error.option.as_deref()), (Code::InvalidArgument, Some("eventId")));
    assert!(error.message.contains("no such event"), "{error}");
    claim(&wallet(&raw)).unwrap();
    let long = ask(|call, reply| node.ack_event("é".repeat(10_000), call, reply)).unwrap_err();
    assert!(long.message.len() < 400, "{}", long.message.len());
}

#[test]
fn a_held_wallet_is_wallet_locked_with_its_holder_and_can_be_had_afterwards() {
    let raw = raw();
    let (mut store, position) = claim(&wallet(&raw)).unwrap();
    let node = node(raw);
    for result in [
        ask(|call, reply| node.start(call, reply)),
        ask(|call, reply| node.start_receiving(call, reply)),
        ask(|call, reply| node.receive_begin(limits(), call, reply)).map(drop),
        ask(|call, reply| node.ack_event("x".to_owned(), call, reply)),
    ] {
        let error = result.unwrap_err();
        assert_eq!(error.code, Code::WalletLocked);
        assert_eq!(error.holder.as_ref().and_then(|holder| holder.pid), Some(7));
        assert!(error.retry_after.is_some());
    }
    assert_eq!(node.state(), State::Idle);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(store.check(position)).unwrap(), crate::store::Standing::Held(position.seq));
    drop(store);
    assert_eq!(code(ask(|call, reply| node.start(call, reply))), Some(Code::ChainUnavailable));
}

#[test]
fn a_start_without_esplora_is_chain_unavailable_and_holds_nothing_afterwards() {
    let raw = raw();
    let node = node(raw.clone());
    for _ in 0..2 {
        assert_eq!(code(ask(|call, reply| node.start(call, reply))), Some(Code::ChainUnavailable));
        drop(claim(&wallet(&raw)).unwrap());
        assert_eq!(node.state(), State::Idle);
    }
    assert_eq!(wallet(&raw).position().seq.0, 0, "nothing was written");
    assert_eq!(node.destroy().unfinished, Vec::<String>::new());
}

/// Accepts and says nothing.
pub(super) fn silent_server() -> std::net::TcpListener {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap()
}

#[test]
fn a_start_ends_when_its_caller_gives_up_its_time_is_up_or_the_node_is_stopped_or_destroyed() {
    let server = silent_server();
    let esplora_url = format!("http://{}", server.local_addr().unwrap());
    let timeouts = RawTimeouts { chain_ms: Some(60_000.0), ..RawTimeouts::default() };
    let raw = RawConfig { esplora_url, timeouts, ..raw() };
    let node = node(raw.clone());

    let timeout = Some(Duration::from_millis(20));
    let timed = receiver(|call, reply| node.start(call, reply), Call { timeout, cancel: None });
    assert_eq!(code(timed.recv_timeout(LONG).unwrap()), Some(Code::Timeout));

    let token = CancelToken::default();
    let cancelled =
        receiver(|call, reply| node.start(call, reply), Call { timeout: None, cancel: Some(token.clone()) });
    token.cancel();
    assert_eq!(code(cancelled.recv_timeout(LONG).unwrap()), Some(Code::Aborted));

    let stopped = receiver(|call, reply| node.start(call, reply), Call::default());
    assert_eq!(ask(|call, reply| node.stop(call, reply)), Ok(()));
    assert_eq!(code(stopped.recv_timeout(LONG).unwrap()), Some(Code::Aborted));
    assert_eq!(node.state(), State::Idle);

    let destroyed = receiver(|call, reply| node.start(call, reply), Call::default());
    assert_eq!(node.destroy().unfinished, Vec::<String>::new());
    assert_eq!(code(destroyed.recv_timeout(LONG).unwrap()), Some(Code::NodeDestroyed));
    drop(claim(&wallet(&raw)).unwrap());
}
