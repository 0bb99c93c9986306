//! Many `receivePayment`s of one wallet at once, where no network answers.

use super::handle::{ask, claim, code, limits, node, raw, receiver, silent_server, wallet, LONG};
use crate::config::{RawConfig, RawLease, RawTimeouts};
use crate::error::{Code, Result};
use crate::node::{Call, CancelToken, Node, Ready, State};
use std::net::TcpListener;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// A wallet whose boot waits for Esplora, for ever. Its lease may be waited for: a destroyed leader gives it back a moment later.
fn waits() -> (RawConfig, TcpListener) {
    let server = silent_server();
    let esplora_url = format!("http://{}", server.local_addr().unwrap());
    let timeouts = RawTimeouts { chain_ms: Some(60_000.0), ..RawTimeouts::default() };
    (RawConfig { esplora_url, timeouts, lease: RawLease::default(), ..raw() }, server)
}

fn receive(node: &Node, bounds: Call) -> Receiver<Result<Ready>> {
    receiver(|call, reply| node.receive_begin(limits(), call, reply), bounds)
}

/// Waits until the node is in that state.
fn until(node: &Node, state: State) {
    let deadline = Instant::now() + LONG;
    while node.state() != state {
        assert!(Instant::now() < deadline, "the node is {:?} and never {state:?}", node.state());
        std::thread::yield_now();
    }
}

#[test]
fn a_thousand_calls_are_one_wake_and_its_failure_is_that_of_all() {
    let (raw, server) = waits();
    let nodes: Vec<Node> = (0..1_000).map(|_| node(raw.clone())).collect();
    let answers: Vec<_> = nodes.iter().map(|node| receive(node, Call::default())).collect();
    until(&nodes[0], State::Starting);
    // Until every call is made, Esplora only listens.
    drop(server);
    for answer in answers {
        assert_eq!(code(answer.recv_timeout(LONG).unwrap()), Some(Code::ChainUnavailable));
    }
    assert!(nodes.iter().all(|node| node.state() == State::Idle));
    let (_store, position) = claim(&wallet(&raw)).unwrap();
    assert_eq!(position.epoch.0, 2, "one claim for all of them, and this one");
}

#[test]
fn when_the_leader_is_destroyed_the_others_wait_on_and_nothing_begins_anew() {
    let (raw, _server) = waits();
    let nodes: Vec<Node> = (0..4).map(|_| node(raw.clone())).collect();
    let answers: Vec<_> = nodes.iter().map(|node| receive(node, Call::default())).collect();
    for (i, node) in nodes.iter().enumerate() {
        until(node, State::Starting);
        node.destroy();
        assert_eq!(code(answers[i].recv_timeout(LONG).unwrap()), Some(Code::NodeDestroyed));
        assert!(answers[i + 1..].iter().all(|answer| answer.try_recv().is_err()), "the others wait");
    }
    let (_store, position) = claim(&wallet(&raw)).unwrap();
    assert_eq!(position.epoch.0, 2, "one claim for all of them, and this one");
}

#[test]
fn when_the_leader_gives_up_another_call_leads() {
    let (raw, _server) = waits();
    let (first, second) = (node(raw.clone()), node(raw));
    let token = CancelToken::default();
    let leading = receive(&first, Call { timeout: None, cancel: Some(token.clone()) });
    until(&first, State::Starting);
    let joined = receive(&second, Call::default());
    token.cancel();
    assert_eq!(code(leading.recv_timeout(LONG).unwrap()), Some(Code::Aborted));
    until(&second, State::Starting);
    assert_eq!(ask(|call, reply| second.stop(call, reply)), Ok(()));
    assert_eq!(code(joined.recv_timeout(LONG).unwrap()), Some(Code::Aborted));
}

#[test]
fn a_call_that_joined_keeps_its_own_bounds() {
    let (raw, _server) = waits();
    let first = node(raw.clone());
    let leading = receive(&first, Call::default());
    until(&first, State::Starting);

    let aborted = node(raw.clone());
    let token = CancelToken::default();
    let answer = receive(&aborted, Call { timeout: None, cancel: Some(token.clone()) });
    token.cancel();
    assert_eq!(code(answer.recv_timeout(LONG).unwrap()), Some(Code::Aborted));

    let destroyed = node(raw.clone());
    let answer = receive(&destroyed, Call::default());
    destroyed.destroy();
    assert_eq!(code(answer.recv_timeout(LONG).unwrap()), Some(Code::NodeDestroyed));

    let late = node(raw);
    let mut limits = limits();
    limits.deadline = Duration::from_millis(20);
    let answer = receiver(|call, reply| late.receive_begin(limits, call, reply), Call::default());
    assert_eq!(answer.recv_timeout(LONG).unwrap(), Ok(Ready::Served), "its deadline passed: nothing came");

    assert_eq!(first.state(), State::Starting, "the leader is undisturbed");
    // A second call on the leader itself joins, too, and ends with it.
    let again = receive(&first, Call::default());
    first.destroy();
    for answer in [leading, again] {
        assert_eq!(code(answer.recv_timeout(LONG).unwrap()), Some(Code::NodeDestroyed));
    }
}
