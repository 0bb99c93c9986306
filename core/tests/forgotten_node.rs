//! A node that nobody holds any more ends its thread by itself. Alone in its process, so that the thread can be counted.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "tests")]

use mayfly_core::config::{Config, RawConfig, RawTimeouts};
use mayfly_core::error::Code;
use mayfly_core::keys::generate_mnemonic;
use mayfly_core::node::{Call, Node, Origin};
use mayfly_core::reply::Reply;
use std::sync::mpsc;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(20);

/// Threads of nodes in this process.
fn node_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.trim() == "mayfly").count()
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} does not happen");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_node_that_is_dropped_ends_its_thread_whatever_it_is_doing() {
    // Accepts, and never answers: a start hangs in its first request.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let config = Config::parse(RawConfig {
        network: "regtest".to_owned(),
        mnemonic: generate_mnemonic(12).unwrap(),
        esplora_url: format!("http://{address}"),
        lsp_node_id: "027cf7c81dc777e46572ff964f17650a0f6f783319fcc140fb9a69425e2fbdc93c".to_owned(),
        lsp_address: address.to_string(),
        store: "memory:".to_owned(),
        timeouts: RawTimeouts { chain_ms: Some(60_000.0), ..RawTimeouts::default() },
        ..RawConfig::default()
    })
    .unwrap();
    assert_eq!(node_threads(), 0);
    for starts in [false, true] {
        let node = Node::new(config.clone(), Origin::default()).unwrap();
        assert_eq!(node_threads(), 0, "a new node has no thread");
        let (sender, answer) = mpsc::channel();
        if starts {
            node.start(Call::default(), Reply::new(move |result| sender.send(result.err().map(|e| e.code)).unwrap()));
        } else {
            let reply = Reply::new(move |result: Result<_, mayfly_core::error::Error>| {
                sender.send(result.err().map(|e| e.code)).unwrap();
            });
            node.next_event(LONG * 10, Call::default(), reply);
        }
        until("a thread", || node_threads() == 1);
        drop(node);
        assert_eq!(answer.recv_timeout(LONG).unwrap(), Some(Code::NodeDestroyed));
        until("the thread's end", || node_threads() == 0);
    }
}
