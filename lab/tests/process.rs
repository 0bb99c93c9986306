//! The lab as its users run it: a child process, one line, HTTP, and gone.

use serde_json::{json, Value};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Instant;

struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    ready: Value,
}

fn start(args: &[&str]) -> Running {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mayfly-lab"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdin = child.stdin.take();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    Running { child, stdin, ready: serde_json::from_str(&line).unwrap() }
}

impl Running {
    /// One HTTP request to the control API: its status and its JSON.
    fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let address = self.ready["controlUrl"].as_str().unwrap().strip_prefix("http://").unwrap();
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let mut stream = TcpStream::connect(address).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap())
    }

    /// Closes its standard input and waits.
    fn end(mut self) {
        drop(self.stdin.take());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A failed assertion must not leave a lab behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_lab_says_where_everything_is_and_answers() {
    let lab = start(&[]);
    assert_eq!((&lab.ready["ready"], &lab.ready["network"]), (&json!(true), &json!("regtest")));
    let (status, channels) = lab.ask("GET", "/lsp/channels", None);
    assert_eq!(status, 200);
    assert_eq!((&channels[0]["sats"], &channels[0]["usable"]), (&json!(16_000_000), &json!(true)));
    let height = lab.ask("GET", "/chain", None).1["height"].as_u64().unwrap();
    assert_eq!(lab.ask("POST", "/mine", Some(json!({ "blocks": 3 }))), (200, json!({ "height": height + 3 })));
    let (status, index) = lab.ask("GET", "/", None);
    assert!(status == 200 && index.as_array().unwrap().len() > 10);
    assert_eq!(lab.ask("POST", "/lsp/restart", Some(json!({ "kill": true }))).0, 200);
    for faults in [
        json!({ "link": "lsp", "latencyMs": 1 }),
        json!({ "link": "lsp", "roundTripMs": 1, "jitterMs": 1, "jitterSeed": 5, "halfOpen": true }),
        json!({ "link": "esplora", "blackhole": true, "reset": true, "drop": "up" }),
        json!({ "link": "webhook", "drop": "down" }),
        json!({ "link": "webhook", "drop": null }),
    ] {
        assert_eq!(lab.ask("POST", "/faults", Some(faults)), (200, json!({})));
    }
    let (_, stats) = lab.ask("GET", "/stats", None);
    assert!(["lsp", "esplora", "webhook"].iter().all(|link| stats[link]["connections"].is_array()), "{stats}");
    lab.end();
}

#[test]
fn what_is_wrong_with_a_request_is_said() {
    let lab = start(&[]);
    for (path, body, part) in [
        ("/pay", json!({}), "missing field `bolt11`"),
        ("/pay", json!({ "bolt11": "lnbc1" }), "bolt11 is not an invoice"),
        ("/mine", json!({ "blocks": -1 }), "invalid value"),
        ("/mine", json!({ "blocks": 1_000_000 }), "at most 10000"),
        ("/reorg", json!({}), "give either depth, or undo: true"),
        ("/reorg", json!({ "depth": 1, "undo": true }), "give either depth, or undo: true"),
        ("/reorg", json!({ "depth": 0 }), "depth is 0: 1 to 11"),
        ("/reorg", json!({ "depth": 12 }), "depth is 12: 1 to 11. Deeper lies the funding of the payer's channels"),
        ("/reorg", json!({ "depth": 1, "transactions": "gone" }), "unknown variant `gone`"),
        ("/reorg", json!({ "undo": true }), "no reorg to undo"),
        ("/mempool/evict", json!({ "txid": "zz" }), "64 hex"),
        ("/mempool/evict", json!({ "txid": "00".repeat(32) }), "is not in the mempool"),
        ("/mempool/replace", json!({ "txid": "00".repeat(32), "feeRate": 5.0 }), "is not in the mempool"),
        ("/mempool/replace", json!({ "txid": "00".repeat(32), "feeRate": -1.0 }), "feeRate is -1"),
        ("/fees", json!({ "0": 1.0 }), "\"0\" is no target"),
        ("/fees", json!({ "soon": 1.0 }), "\"soon\" is no target"),
        ("/fees", json!({ "1": 1e9 }), "1 is 1000000000"),
        ("/lsp/close", json!({ "nodeId": "02" }), "66 hex"),
        ("/lsp/close", json!({ "nodeId": lab.ready["lspNodeId"] }), "the LSP has no channel with"),
        ("/payer/channels", json!({ "sats": 1 }), "sats is 1: 20000 to 16000000"),
        ("/webhooks", json!({ "nodeId": "02", "url": "http://127.0.0.1:1/" }), "66 hex"),
        ("/webhooks", json!({ "nodeId": lab.ready["lspNodeId"], "url": "http://example.com/" }), "not on loopback"),
        ("/lsp/options", json!({ "skimPpm": 1_000_001 }), "skimPpm is 1000001"),
        ("/lsp/options", json!({ "skim": 1 }), "unknown field `skim`"),
        ("/faults", json!({ "link": "store" }), "unknown variant `store`"),
        ("/faults", json!({ "link": "lsp", "drop": "both" }), "unknown variant `both`"),
        ("/faults", json!({ "link": "lsp", "latencyMs": 1, "roundTripMs": 2 }), "give one of them"),
        ("/faults", json!({ "link": "lsp", "jitterMs": u64::MAX }), "jitterMs is more than a day"),
        ("/esplora", json!({ "lie": "fairyTale" }), "unknown variant `fairyTale`"),
        ("/esplora", json!({ "lie": "html", "path": "tx" }), "begin with a slash"),
    ] {
        let (status, answer) = lab.ask("POST", path, Some(body));
        assert_eq!(status, 400, "{path}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains(part), "{path}: {answer}");
    }
    assert_eq!(lab.ask("GET", "/nowhere", None).0, 404);
    lab.end();
}

#[test]
fn the_chain_turns_back_and_forth_and_the_fee_table_is_what_was_set() {
    let lab = start(&["--payer-channels=2"]);
    let (_, channels) = lab.ask("GET", "/payer/channels", None);
    assert_eq!(channels.as_array().unwrap().len(), 2);
    assert_eq!((&channels[1]["sats"], &channels[1]["usable"]), (&json!(16_000_000), &json!(true)));
    let chain = || lab.ask("GET", "/chain", None).1;
    let (old, height) = (chain()["tip"].clone(), chain()["height"].as_u64().unwrap());
    let (status, after) = lab.ask("POST", "/reorg", Some(json!({ "depth": 6, "transactions": "dropped" })));
    assert_eq!((status, &after["height"], &after["tip"]), (200, &json!(height + 1), &chain()["tip"]));
    assert_ne!(after["tip"], old);
    let (_, undone) = lab.ask("POST", "/reorg", Some(json!({ "undo": true })));
    assert_eq!(undone["height"], json!(height + 2));
    assert_eq!(lab.ask("POST", "/mine", Some(json!({ "blocks": 20 }))).0, 200);
    assert_eq!(lab.ask("POST", "/reorg", Some(json!({ "depth": 30 }))).0, 200, "mined for more");

    let (_, more) = lab.ask("POST", "/payer/channels", Some(json!({ "sats": 100_000 })));
    assert_eq!((more.as_array().unwrap().len(), &more[2]["usable"]), (3, &json!(true)));
    let (_, fees) = lab.ask("POST", "/fees", Some(json!({ "1": 5.5, "144": 2 })));
    assert_eq!(fees, json!({ "1": 5.5, "144": 2.0 }));
    assert_eq!(lab.ask("GET", "/fees", None).1, fees);
    assert_eq!(lab.ask("POST", "/fees", Some(json!({}))).1, json!({}));
    lab.end();
}

#[test]
fn options_change_at_runtime_and_null_turns_the_deadline_off() {
    let lab = start(&["--hold-ms=1000", "--progress-deadline", "500"]);
    let (_, options) = lab.ask("GET", "/lsp/options", None);
    assert_eq!((&options["holdMs"], &options["progressDeadlineMs"]), (&json!(1000), &json!(500)));
    lab.ask("POST", "/lsp/options", Some(json!({ "skimPpm": 5 })));
    let (_, options) = lab.ask("POST", "/lsp/options", Some(json!({ "progressDeadlineMs": null })));
    assert_eq!((&options["skimPpm"], &options["progressDeadlineMs"]), (&json!(5), &json!(null)));
    lab.end();
}

#[test]
fn a_kept_folder_is_the_same_network_again_after_an_end_and_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["--dir", dir.path().to_str().unwrap()];
    let seen = |lab: &Running| {
        let channels = lab.ask("GET", "/lsp/channels", None).1;
        let height = lab.ask("GET", "/chain", None).1["height"].clone();
        (lab.ready["lspNodeId"].clone(), channels[0]["fundingTxid"].clone(), height)
    };
    let lab = start(&args);
    let first = seen(&lab);
    lab.end();
    let lab = start(&args);
    assert_eq!(seen(&lab), first);
    drop(lab);
    let lab = start(&args);
    assert_eq!(seen(&lab), first);
    lab.end();
}

#[test]
fn it_ends_on_sigterm_and_leaves_no_folder() {
    let scratch = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_mayfly-lab"))
        .env("TMPDIR", scratch.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 1);
    let asked = Instant::now();
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert!(child.wait().unwrap().success());
    eprintln!("ended {} ms after SIGTERM", asked.elapsed().as_millis());
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
}

#[test]
fn a_wrong_argument_is_named() {
    let output = Command::new(env!("CARGO_BIN_EXE_mayfly-lab")).arg("--skim").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("\"--skim\" is no option"));
}
