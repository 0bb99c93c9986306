//! The webhook sender: what it posts, and where it refuses to.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::post;
use axum::Router;
use mayfly_lab::faults::{Direction, Fan};
use mayfly_lab::webhook::{post as knock, WebhookError, WebhookUrl};
use tokio::net::TcpListener;

type Heard = Arc<Mutex<Vec<(Uri, HeaderMap, String)>>>;

/// A handler that answers 202 and remembers: (its base URL, what it heard).
async fn handler() -> (String, Heard) {
    let heard = Heard::default();
    let memory = heard.clone();
    let remember = move |uri: Uri, headers: HeaderMap, body: String| async move {
        memory.lock().unwrap().push((uri, headers, body));
        StatusCode::ACCEPTED
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/api/{*rest}", post(remember))).await });
    (base, heard)
}

#[tokio::test]
async fn a_body_is_posted_as_json_with_its_headers() {
    let (base, heard) = handler().await;
    let url: WebhookUrl = format!("{base}/api/mdk?wallet=1").parse().unwrap();
    let headers = vec![("x-lsps5-timestamp".to_string(), "2025-01-01T00:00:00Z".to_string())];
    let status = knock(url, headers, r#"{"jsonrpc":"2.0"}"#).await.unwrap();
    assert_eq!(status, Ok(202));
    let heard = heard.lock().unwrap();
    let (uri, headers, body) = &heard[0];
    assert_eq!((uri.to_string().as_str(), body.as_str()), ("/api/mdk?wallet=1", r#"{"jsonrpc":"2.0"}"#));
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["x-lsps5-timestamp"], "2025-01-01T00:00:00Z");
    assert_eq!(heard.len(), 1, "once");
}

#[tokio::test]
async fn an_error_status_is_an_answer_and_a_closed_port_is_not() {
    let (base, _) = handler().await;
    let url: WebhookUrl = format!("{base}/elsewhere").parse().unwrap();
    assert_eq!(knock(url, vec![], "{}").await.unwrap(), Ok(404));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody: WebhookUrl = format!("http://{}/x", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    assert!(matches!(knock(nobody, vec![], "{}").await.unwrap(), Err(WebhookError::Unreachable(_))));
}

#[tokio::test]
async fn a_header_that_would_break_the_request_is_refused() {
    let (base, heard) = handler().await;
    let url: WebhookUrl = format!("{base}/api/x").parse().unwrap();
    let broken = vec![("x-a".to_string(), "1\r\nhost: elsewhere".to_string())];
    let result = knock(url, broken, "{}").await.unwrap();
    assert_eq!(result, Err(WebhookError::Header { name: "x-a".into() }));
    assert!(heard.lock().unwrap().is_empty());
}

#[test]
fn only_plain_http_on_loopback_is_a_webhook_url() {
    for good in ["http://127.0.0.1:3000/api", "http://127.8.8.8:1/", "http://localhost:3000/a?b=c", "http://[::1]:80/"]
    {
        let url: WebhookUrl = good.parse().unwrap();
        assert_eq!(url.to_string(), good);
    }
    let parse = |url: &str| url.parse::<WebhookUrl>().unwrap_err();
    for url in [
        "http://example.com/",
        "http://10.0.0.1:80/",
        "http://0.0.0.0:80/",
        "http://localhost.example.com/",
        "http://127.0.0.1.example.com/",
        "http://[::ffff:10.0.0.1]:80/",
        "http://2130706433/",
    ] {
        assert!(matches!(parse(url), WebhookError::NotLoopback { .. }), "{url}");
    }
    assert!(matches!(parse("https://127.0.0.1/"), WebhookError::NotHttp { .. }));
    for url in [
        "",
        "/path",
        "127.0.0.1:80",
        "http://",
        "http://127.0.0.1@example.com/",
        "http://a@127.0.0.1:1/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:0/",
    ] {
        assert!(matches!(parse(url), WebhookError::Malformed { .. }), "{url}");
    }
}

/// The way to a handler through a link of its own.
async fn linked(base: &str) -> (Fan, WebhookUrl) {
    let fan = Fan::default();
    let url: WebhookUrl = format!("{base}/api/mdk").parse().unwrap();
    let way = fan.way_to(url.address()).await.unwrap();
    (fan, url.through(way))
}

#[tokio::test]
async fn through_a_link_the_handler_is_still_addressed_by_its_own_name() {
    let (base, heard) = handler().await;
    let (_fan, url) = linked(&base).await;
    assert_eq!(url.to_string(), format!("{base}/api/mdk"));
    assert_eq!(knock(url, vec![], "{}").await.unwrap(), Ok(202));
    assert_eq!(format!("http://{}", heard.lock().unwrap()[0].1["host"].to_str().unwrap()), base);
}

#[tokio::test]
async fn a_lost_answer_leaves_a_handler_that_was_woken_and_a_sender_that_waits() {
    let (base, heard) = handler().await;
    let (fan, url) = linked(&base).await;
    fan.faults().set_drop(Some(Direction::Down));
    let knocking = knock(url, vec![], "{}");
    until(|| heard.lock().unwrap().len() == 1).await;
    assert!(!knocking.is_finished());
    fan.faults().set_drop(None);
    assert_eq!(knocking.await.unwrap(), Ok(202));
    assert_eq!(heard.lock().unwrap().len(), 1, "once");
}

#[tokio::test]
async fn a_reset_link_loses_the_webhook_and_a_black_hole_keeps_it() {
    let (base, heard) = handler().await;
    let (fan, url) = linked(&base).await;
    fan.faults().set_reset(true);
    assert!(matches!(knock(url.clone(), vec![], "{}").await.unwrap(), Err(WebhookError::Unreachable(_))));
    fan.faults().set_reset(false);
    assert_eq!(heard.lock().unwrap().len(), 0);
    fan.faults().set_black_hole(true);
    let knocking = knock(url, vec![], "{}");
    assert!(!knocking.is_finished());
    fan.faults().set_black_hole(false);
    assert_eq!(knocking.await.unwrap(), Ok(202));
    assert_eq!(heard.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn latency_and_jitter_delay_the_webhook() {
    let (base, _) = handler().await;
    let (fan, url) = linked(&base).await;
    fan.faults().set_latency(Duration::from_millis(30));
    fan.faults().set_jitter(Duration::from_millis(10));
    let start = Instant::now();
    assert_eq!(knock(url, vec![], "{}").await.unwrap(), Ok(202));
    // TCP's round trip, and the request's.
    assert!(start.elapsed() >= Duration::from_millis(120));
}

async fn until(done: impl Fn() -> bool) {
    while !done() {
        tokio::task::yield_now().await;
    }
}
