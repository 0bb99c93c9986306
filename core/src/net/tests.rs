#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::dns::Resolver;
use super::tcp::connect;
use super::NetError;
use crate::error::Code;
use hickory_resolver::config::{NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::{rdata, RData, Record, RecordType};
use hickory_resolver::proto::xfer::Protocol;
use hickory_resolver::Hosts;
use std::future::Future;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::{TcpSocket, UdpSocket};

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(test)
}

/// A resolver whose configuration must not be needed.
fn no_servers() -> Resolver {
    Resolver::with(
        Box::new(|| panic!("the system's configuration was read")),
        Hosts::default,
    )
}

/// A resolver that asks the name server at an address.
fn asking(server: SocketAddr) -> Resolver {
    let read = move || {
        let mut config = ResolverConfig::new();
        config.add_name_server(NameServerConfig::new(server, Protocol::Udp));
        Ok((config, ResolverOpts::default()))
    };
    Resolver::with(Box::new(read), hosts)
}

fn hosts() -> Hosts {
    let mut hosts = Hosts::default();
    hosts
        .read_hosts_conf(&b"# comment\n192.0.2.7 listed.example\n2001:db8::7 Listed.example\n"[..])
        .unwrap();
    hosts
}

/// A name server: what it does with a query for a name and a family, or nothing.
async fn name_server(
    answer: impl Fn(&str, RecordType) -> Option<Result<Vec<RData>, ResponseCode>> + Send + 'static,
) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 1_500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let asked = Message::from_vec(&buffer[..length]).unwrap();
            let query = asked.queries()[0].clone();
            let Some(answer) = answer(&query.name().to_ascii(), query.query_type()) else {
                continue;
            };
            let mut reply = Message::new();
            reply
                .set_id(asked.id())
                .set_message_type(MessageType::Response)
                .set_recursion_available(true)
                .add_query(query.clone());
            match answer {
                Ok(all) => all.into_iter().for_each(|data| {
                    reply.add_answer(Record::from_rdata(query.name().clone(), 60, data));
                }),
                Err(code) => {
                    reply.set_response_code(code);
                }
            }
            socket.send_to(&reply.to_vec().unwrap(), from).await.unwrap();
        }
    });
    address
}

fn v4(text: &str) -> RData {
    RData::A(rdata::A(text.parse().unwrap()))
}

fn v6(text: &str) -> RData {
    RData::AAAA(rdata::AAAA(text.parse().unwrap()))
}

fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn literals_and_localhost_need_no_configuration() {
    run(async {
        let resolver = no_servers();
        for (host, found) in [
            ("127.0.0.1", &["127.0.0.1:9735"][..]),
            ("::1", &["[::1]:9735"]),
            ("[2001:db8::1]", &["[2001:db8::1]:9735"]),
            ("localhost", &["127.0.0.1:9735", "[::1]:9735"]),
            ("LocalHost.", &["127.0.0.1:9735", "[::1]:9735"]),
            ("lsp.localhost", &["127.0.0.1:9735", "[::1]:9735"]),
        ] {
            assert_eq!(resolver.resolve(host, 9735).await.unwrap(), addresses(found), "{host}");
        }
    });
}

#[test]
fn names_of_the_hosts_file_are_not_asked_for() {
    run(async {
        let resolver = Resolver::with(Box::new(|| panic!("the system's configuration was read")), hosts);
        let found = resolver.resolve("LISTED.example", 1).await.unwrap();
        assert_eq!(found, addresses(&["192.0.2.7:1", "[2001:db8::7]:1"]));
    });
}

#[test]
fn both_families_are_asked_for_and_ipv4_comes_first() {
    run(async {
        let server = name_server(|name, kind| {
            assert_eq!(name, "lsp.example.");
            Some(Ok(vec![if kind == RecordType::A {
                v4("192.0.2.1")
            } else {
                v6("2001:db8::1")
            }]))
        })
        .await;
        let found = asking(server).resolve("lsp.example", 5).await.unwrap();
        assert_eq!(found, addresses(&["192.0.2.1:5", "[2001:db8::1]:5"]));
    });
}

#[test]
fn a_family_that_is_never_answered_does_not_hold_up_the_other() {
    for silent in [RecordType::A, RecordType::AAAA] {
        run(async move {
            let server = name_server(move |_, kind| {
                (kind != silent).then(|| {
                    Ok(vec![if kind == RecordType::A {
                        v4("192.0.2.1")
                    } else {
                        v6("2001:db8::1")
                    }])
                })
            })
            .await;
            let found = asking(server).resolve("lsp.example", 5).await.unwrap();
            assert_eq!(found.len(), 1, "{silent}");
        });
    }
}

#[test]
fn a_name_of_one_family_is_found() {
    run(async {
        let server = name_server(|_, kind| {
            Some(if kind == RecordType::A {
                Ok(Vec::new())
            } else {
                Ok(vec![v6("2001:db8::1")])
            })
        })
        .await;
        assert_eq!(
            asking(server).resolve("lsp.example", 5).await.unwrap(),
            addresses(&["[2001:db8::1]:5"])
        );
    });
}

#[test]
fn a_name_that_does_not_exist_is_an_error_that_names_it() {
    run(async {
        let server = name_server(|_, _| Some(Err(ResponseCode::NXDomain))).await;
        let error = asking(server).resolve("nowhere.example", 5).await.unwrap_err();
        assert!(
            matches!(&error, NetError::Resolve { host, .. } if host == "nowhere.example"),
            "{error}"
        );
        let error = error.into_error(Code::LspUnavailable);
        assert_eq!(error.code, Code::LspUnavailable);
        assert!(error.message.contains("can't resolve 'nowhere.example'"), "{error}");
    });
}

#[test]
fn what_is_no_name_is_an_error() {
    run(async {
        for host in ["", ".", "..", "a..b", &"x".repeat(64), &"x.".repeat(200)] {
            let error = no_servers().resolve(host, 5).await.unwrap_err();
            assert!(matches!(error, NetError::Resolve { .. }), "{host}");
        }
    });
}

#[test]
fn an_unreadable_configuration_is_an_error_for_names_only() {
    run(async {
        let resolver = Resolver::with(Box::new(|| Err("can't read the file".to_owned())), hosts);
        let error = resolver.resolve("lsp.example", 5).await.unwrap_err();
        assert!(error.to_string().contains("can't read the file"), "{error}");
        assert!(resolver.resolve("127.0.0.1", 5).await.is_ok());
        assert!(resolver.resolve("listed.example", 5).await.is_ok());
    });
}

#[test]
fn a_silent_name_server_holds_up_neither_the_caller_nor_the_end_of_the_runtime() {
    // 1. A name is asked for, and nobody answers. 2. The caller gives up. 3. The runtime is dropped while the queries are out:
    // a lookup on a pool thread would hold that up for ten seconds and more.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let resolver = asking(silent.local_addr().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let waiting = resolver.resolve("lsp.example", 5);
        tokio::time::timeout(Duration::from_millis(100), waiting)
            .await
            .unwrap_err();
    });
    let dropping = Instant::now();
    drop(runtime);
    assert!(dropping.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_resolver_works_on_the_next_runtime_too() {
    let servers = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let server = servers.block_on(name_server(|_, _| Some(Ok(vec![v4("192.0.2.1")]))));
    let resolver = asking(server);
    for name in ["one.example", "two.example"] {
        assert!(!run(async { resolver.resolve(name, 5).await.unwrap() }).is_empty());
    }
}

#[test]
fn a_connection_has_no_delay_and_goes_to_the_address_that_answers() {
    run(async {
        // Listening on IPv6 only; the same IPv4 port is held, so that nobody else listens there: it refuses, and is tried first.
        let (listener, _held) = loop {
            let Ok(listener) = tokio::net::TcpListener::bind("[::1]:0").await else {
                return;
            };
            let held = TcpSocket::new_v4().unwrap();
            let port = listener.local_addr().unwrap().port();
            if held.bind(SocketAddr::from(([127, 0, 0, 1], port))).is_ok() {
                break (listener, held);
            }
        };
        let port = listener.local_addr().unwrap().port();
        let stream = connect(&no_servers(), "localhost", port).await.unwrap();
        assert!(stream.nodelay().unwrap());
        assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
    });
}

#[test]
fn a_refused_connection_says_what_each_address_answered() {
    run(async {
        let held = TcpSocket::new_v4().unwrap();
        held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = held.local_addr().unwrap().port();
        let error = connect(&no_servers(), "127.0.0.1", port).await.unwrap_err();
        assert!(
            matches!(&error, NetError::Connect { port: p, .. } if *p == port),
            "{error}"
        );
        assert!(error.to_string().contains("127.0.0.1: Connection refused"), "{error}");
    });
}
