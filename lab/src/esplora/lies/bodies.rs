//! Bodies that no honest server sends: without an end, of a gigabyte, by the byte, or shorter than announced.
//!
//! They are made as they are read: the lab's own memory stays small, and a client that hangs up ends them.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{ready, Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::Frame;
use tokio::time::{sleep, Sleep};

/// More than any process that reads it whole could hide.
pub(super) const HUGE: u64 = 1 << 30;

const CHUNK: usize = 64 << 10;

/// Between two bytes of a slow body: each comes well before a client that counts idle time only would give up.
const DRIP: Duration = Duration::from_millis(50);

/// The same bytes again and again.
struct Flood {
    chunk: Bytes,
    left: Option<u64>,
    pause: Option<Pin<Box<Sleep>>>,
}

pub(super) fn endless() -> Body {
    flood(CHUNK, None)
}

pub(super) fn huge() -> Body {
    flood(CHUNK, Some(HUGE))
}

pub(super) fn slow() -> Body {
    Body::new(Flood { chunk: Bytes::from_static(b"0"), left: None, pause: Some(Box::pin(sleep(DRIP))) })
}

/// The first half of what was to come, and no more: the connection can't go on after it, since more was announced.
pub(super) fn broken_off(truth: &[u8]) -> Body {
    let chunk = Bytes::copy_from_slice(half(truth));
    let left = Some(chunk.len() as u64);
    // A pause before the end: hyper would tear the connection before it has sent anything.
    Body::new(Flood { chunk, left, pause: Some(Box::pin(sleep(DRIP))) })
}

pub(super) fn half(truth: &[u8]) -> &[u8] {
    &truth[..truth.len() / 2]
}

fn flood(chunk: usize, left: Option<u64>) -> Body {
    // Hex digits: what they are of is judged only at the end.
    Body::new(Flood { chunk: vec![b'0'; chunk].into(), left, pause: None })
}

impl hyper::body::Body for Flood {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(pause) = self.pause.as_mut() {
            ready!(pause.as_mut().poll(cx));
            pause.set(sleep(DRIP));
        }
        if self.left == Some(0) {
            return Poll::Ready(None);
        }
        self.left = self.left.map(|left| left.saturating_sub(self.chunk.len() as u64));
        Poll::Ready(Some(Ok(Frame::data(self.chunk.clone()))))
    }
}
