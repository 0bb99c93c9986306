use super::server::{ok, run, serve, short, Reply, Server};
use crate::chain::http::Http;
use crate::error::{Code, Error};
use crate::net::dns::Resolver;
use crate::timeouts::{Timeouts, DEFAULTS};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

fn client(server: &Server) -> Http {
    Http::new(&server.url(), &DEFAULTS, Resolver::new()).unwrap()
}

async fn refused(reply: Reply, limit: usize) -> Error {
    let server = Server::start(move |_| reply.clone()).await;
    let error = client(&server).get("/x", limit).await.unwrap_err();
    assert_eq!(error.code, Code::ChainUnavailable, "{error}");
    assert!(error.code.retryable());
    assert!(error.message.contains("/x") && error.message.contains(&server.url()), "{error}");
    error
}

#[test]
fn an_answer_comes_with_its_status_and_its_body() {
    run(async {
        let server = Server::start(|_| ok("hello")).await;
        let answer = client(&server).get("/a/b", 5).await.unwrap();
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"hello"[..]));
        assert_eq!(server.paths(), ["/a/b"]);
    });
}

#[test]
fn the_path_of_the_url_comes_before_that_of_the_endpoint() {
    run(async {
        let server = Server::start(|_| ok("")).await;
        let http = Http::new(&format!("{}/api/v1/", server.url()), &DEFAULTS, Resolver::new()).unwrap();
        http.get("/x", 1).await.unwrap();
        assert_eq!(server.paths(), ["/api/v1/x"]);
    });
}

#[test]
fn a_body_at_the_limit_passes_and_one_byte_more_is_refused() {
    run(async {
        let server = Server::start(|_| ok("12345678")).await;
        assert_eq!(client(&server).get("/x", 8).await.unwrap().body.len(), 8);
        let error = client(&server).get("/x", 7).await.unwrap_err();
        assert_eq!(error.code, Code::ChainUnavailable);
        assert!(error.message.contains("answered more than 7 bytes"), "{error}");
    });
}

#[test]
fn a_body_without_an_end_is_cut_off_at_the_limit() {
    let error = run(refused(Reply::Endless, 10_000));
    assert!(error.message.contains("answered more than 10000 bytes"), "{error}");
}

#[test]
fn a_body_that_breaks_off_is_refused() {
    let error = run(refused(Reply::Truncated(b"abc".to_vec()), 100));
    assert!(error.message.contains("broke off"), "{error}");
}

#[test]
fn statuses_that_mean_a_service_is_down_are_errors_with_its_words() {
    for status in [429, 500, 502, 503] {
        let error = run(refused(Reply::Answer(status, b"try\nlater".to_vec()), 100));
        assert!(error.message.contains(&status.to_string()) && error.message.contains("try\\nlater"), "{error}");
        assert_eq!(error.retry_after, None);
    }
}

#[test]
fn a_server_that_says_when_to_retry_is_quoted() {
    let error = run(refused(Reply::WithHeader(429, "Retry-After: 17\r\n", Vec::new()), 100));
    assert_eq!(error.retry_after, Some(Duration::from_secs(17)));
    let error = run(refused(Reply::WithHeader(503, "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\n", Vec::new()), 100));
    assert_eq!(error.retry_after, None);
}

#[test]
fn not_found_is_an_answer_unless_it_is_a_web_page() {
    run(async {
        let server = Server::start(|_| Reply::Answer(404, b"Transaction not found".to_vec())).await;
        assert!(client(&server).get("/x", 100).await.unwrap().is_absent());
    });
    let error = run(refused(Reply::Answer(404, b" <!DOCTYPE HTML><p>no such page".to_vec()), 100));
    assert!(error.message.contains("HTML"), "{error}");
}

#[test]
fn a_redirect_is_not_followed() {
    run(async {
        let server = Server::start(|_| Reply::WithHeader(302, "Location: /y\r\n", Vec::new())).await;
        let error = client(&server).get("/x", 100).await.unwrap_err();
        assert_eq!(error.code, Code::ChainUnavailable);
        assert!(error.message.contains("302"), "{error}");
        assert_eq!(server.paths(), ["/x"]);
    });
}

#[test]
fn what_is_no_http_is_refused() {
    run(refused(Reply::Raw(b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n"), 100));
    run(refused(Reply::Raw(b""), 100));
}

#[test]
fn a_server_that_never_answers_costs_no_more_than_the_bound() {
    run(async {
        let server = Server::start(|_| Reply::Silence).await;
        let http = Http::new(&server.url(), &short(), Resolver::new()).unwrap();
        let started = Instant::now();
        let error = http.get("/x", 100).await.unwrap_err();
        assert!(started.elapsed() >= short().chain);
        assert_eq!(error.code, Code::ChainUnavailable);
        assert!(error.message.contains("no answer in 150 ms"), "{error}");
    });
}

#[test]
fn a_refused_connection_names_the_address() {
    run(async {
        // Held, but nobody listens.
        let held = tokio::net::TcpSocket::new_v4().unwrap();
        held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let unused = held.local_addr().unwrap().port();
        let http = Http::new(&format!("http://127.0.0.1:{unused}"), &DEFAULTS, Resolver::new()).unwrap();
        let error = http.get("/x", 100).await.unwrap_err();
        assert_eq!(error.code, Code::ChainUnavailable);
        assert!(error.message.contains("127.0.0.1") && error.message.contains("refused"), "{error}");
    });
}

#[test]
fn a_name_that_does_not_resolve_is_the_services_error() {
    run(async {
        let http = Http::new("http://..", &DEFAULTS, Resolver::new()).unwrap();
        let error = http.get("/x", 100).await.unwrap_err();
        assert_eq!(error.code, Code::ChainUnavailable);
        assert!(error.message.contains("can't resolve '..'"), "{error}");
    });
}

#[test]
fn requests_one_after_the_other_share_a_connection() {
    run(async {
        let server = Server::start(|_| ok("x")).await;
        let http = client(&server);
        for _ in 0..3 {
            http.get("/x", 10).await.unwrap();
        }
        assert_eq!(server.connections.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_get_is_repeated_once_if_the_server_closed_the_idle_connection() {
    run(async {
        let server = Server::start(|_| Reply::AnswerThenHangUp(b"x".to_vec())).await;
        let http = client(&server);
        for _ in 0..4 {
            assert_eq!(&http.get("/x", 10).await.unwrap().body[..], b"x");
        }
    });
}

#[test]
fn a_get_is_repeated_once_if_the_server_hung_up_and_no_more() {
    run(async {
        let first = std::sync::atomic::AtomicBool::new(true);
        let server =
            Server::start(move |_| if first.swap(false, Ordering::SeqCst) { Reply::HangUp } else { ok("x") }).await;
        assert_eq!(&client(&server).get("/x", 10).await.unwrap().body[..], b"x");
        assert_eq!(server.paths(), ["/x", "/x"]);

        let server = Server::start(|_| Reply::HangUp).await;
        assert_eq!(client(&server).get("/x", 10).await.unwrap_err().code, Code::ChainUnavailable);
        // At once, and both again after a moment.
        assert_eq!(server.paths().len(), 4);
    });
}

/// What a GET gets of a server that answers so at first and `then` from the second request on, and how often it asked.
async fn after(first: Reply, then: Reply) -> (crate::error::Result<super::super::http::Answer>, usize) {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let server =
        Server::start(move |_| if asked.fetch_add(1, Ordering::SeqCst) == 0 { first.clone() } else { then.clone() })
            .await;
    (client(&server).get("/x", 10).await, server.paths().len())
}

#[test]
fn a_get_that_fails_in_a_way_that_passes_is_asked_once_more() {
    run(async {
        for passing in [
            Reply::Answer(500, b"oops".to_vec()),
            Reply::Answer(502, b"<html>".to_vec()),
            Reply::Answer(503, Vec::new()),
            Reply::Answer(504, Vec::new()),
            Reply::Truncated(b"x".to_vec()),
        ] {
            let (answer, asked) = after(passing, ok("x")).await;
            assert_eq!((&answer.unwrap().body[..], asked), (&b"x"[..], 2));
        }
        let (answer, asked) = after(Reply::Answer(500, b"oops".to_vec()), Reply::Answer(500, b"again".to_vec())).await;
        assert!(answer.unwrap_err().message.contains("again"));
        assert_eq!(asked, 2);
    });
}

#[test]
fn who_says_later_or_no_is_not_asked_again() {
    run(async {
        for lasting in [
            Reply::WithHeader(429, "Retry-After: 7\r\n", Vec::new()),
            Reply::Answer(429, Vec::new()),
            Reply::WithHeader(503, "Retry-After: 7\r\n", Vec::new()),
            Reply::Answer(401, Vec::new()),
            Reply::Answer(301, Vec::new()),
            Reply::Endless,
        ] {
            let (answer, asked) = after(lasting, ok("x")).await;
            assert_eq!((answer.unwrap_err().code, asked), (Code::ChainUnavailable, 1));
        }
    });
}

#[test]
fn asking_again_keeps_to_the_bound_and_tells_what_was_wrong_at_first() {
    run(async {
        let asked = std::sync::atomic::AtomicUsize::new(0);
        let server = Server::start(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
            0 => Reply::Answer(500, b"what was wrong".to_vec()),
            _ => Reply::Silence,
        })
        .await;
        let timeouts = Timeouts { chain: Duration::from_millis(400), ..DEFAULTS };
        let http = Http::new(&server.url(), &timeouts, Resolver::new()).unwrap();
        let error = tokio::time::timeout(Duration::from_secs(10), http.get("/x", 100)).await.unwrap().unwrap_err();
        assert!(error.message.contains("what was wrong"), "{error}");
        assert_eq!(server.paths().len(), 2);
    });
}

#[test]
fn an_encoding_that_nobody_asked_for_is_refused() {
    run(async {
        let error = refused(Reply::WithHeader(200, "Content-Encoding: gzip\r\n", vec![0x1f, 0x8b]), 100).await;
        assert!(error.message.contains("encoding"), "{error}");
    });
}

#[test]
fn a_post_that_may_have_been_read_is_not_repeated() {
    run(async {
        let server = Server::start(|_| Reply::HangUp).await;
        let error = client(&server).post("/tx", "00".to_owned(), 10).await.unwrap_err();
        assert_eq!(error.code, Code::ChainUnavailable);
        assert_eq!(server.paths(), ["/tx"]);
        assert_eq!(server.asked.lock().unwrap()[0].body, "00");
    });
}

#[test]
fn credentials_are_sent_and_never_shown() {
    run(async {
        let server = Server::start(|_| Reply::Answer(500, Vec::new())).await;
        let url = format!("http://us%65r:p%40ss-word@127.0.0.1:{}/secret-key/", server.port);
        let http = Http::new(&url, &DEFAULTS, Resolver::new()).unwrap();
        let error = http.get("/x", 10).await.unwrap_err();
        let asked = server.asked.lock().unwrap()[0].clone();
        assert_eq!(asked.path, "/secret-key/x");
        // printf 'user:p@ss-word' | base64
        assert!(asked.head.contains("uthorization: Basic dXNlcjpwQHNzLXdvcmQ=\r\n"), "{}", asked.head);
        for hidden in ["user", "us%65r", "ss-word", "secret-key", "dXNlcj"] {
            assert!(!format!("{error} {error:?}").contains(hidden), "{error}");
        }
    });
}

#[test]
fn a_url_that_is_none_names_the_option_and_not_its_content() {
    for url in [
        "",
        "nonsense word",
        "ftp://hunter2@host/",
        "http://",
        "/hunter2",
        "https://host/?key=hunter2",
        "http://%zz@h/",
    ] {
        let error = Http::new(url, &DEFAULTS, Resolver::new()).err().unwrap_or_else(|| panic!("{url} passed"));
        assert_eq!((error.code, error.option.as_deref()), (Code::InvalidOption, Some("esploraUrl")), "{url}");
        assert!(!error.message.contains("hunter2"), "{error}");
    }
}

#[test]
fn dropping_the_runtime_closes_every_connection_though_the_client_lives() {
    // 1. A node's runtime makes a request and keeps the connection for the next. 2. destroy() drops the runtime.
    // 3. The server sees the end of the connection, while the client is still in somebody's hands.
    let servers = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = servers.block_on(Server::start(|_| ok("x")));
    let http = client(&server);
    run(async { http.get("/x", 10).await.unwrap() });
    servers.block_on(async { tokio::time::timeout(Duration::from_secs(10), server.gone.notified()).await }).unwrap();
    // And the client works on another runtime.
    run(async { http.get("/x", 10).await.unwrap() });
}

#[test]
fn tls_is_spoken_to_a_server_whose_certificate_is_trusted_and_to_no_other() {
    use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.key_pair.serialize_der()));
    let certificate = made.cert.der().clone();
    let config = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let trusting = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();

    run(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, &|_| ok("secret"), &Mutex::default()).await;
                    }
                });
            }
        });
        let http = Http::with_tls(&url, &DEFAULTS, Resolver::new(), trusting.clone()).unwrap();
        assert_eq!(&http.get("/x", 10).await.unwrap().body[..], b"secret");

        let elsewhere = url.replace("localhost", "127.0.0.1");
        let other_name = Http::with_tls(&elsewhere, &DEFAULTS, Resolver::new(), trusting.clone()).unwrap();
        let error = other_name.get("/x", 10).await.unwrap_err();
        assert_eq!(error.code, Code::ChainUnavailable);
        assert!(error.message.contains("not valid for name"), "{error}");

        let stranger = Http::new(&url, &DEFAULTS, Resolver::new()).unwrap();
        let error = stranger.get("/x", 10).await.unwrap_err();
        assert_eq!(error.code, Code::ChainUnavailable);
        assert!(error.message.contains("certificate"), "{error}");
    });
}

#[test]
fn tls_to_a_server_that_speaks_none_is_an_error() {
    run(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://127.0.0.1:{}", listener.local_addr().unwrap().port());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            }
        });
        let http = Http::new(&url, &DEFAULTS, Resolver::new()).unwrap();
        assert_eq!(http.get("/x", 10).await.unwrap_err().code, Code::ChainUnavailable);
    });
}
