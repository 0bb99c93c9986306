//! What the handle asks of the worker, and how a caller stops waiting.

use super::view::{Balance, ChannelSummary};
use crate::error::{Code, Error, Result};
use crate::events::PaymentEvent;
use crate::invoice::{Invoice, MintRequest};
use crate::lsp::JitRoute;
use crate::reply::Reply;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{oneshot, Notify};

/// A caller's way to end a wait: cloned into the call, cancelled from any thread.
#[derive(Clone, Default)]
pub struct CancelToken(Arc<Notify>);

impl CancelToken {
    /// Ends the call that carries this token with `ABORTED`.
    pub fn cancel(&self) {
        self.0.notify_one();
    }
}

/// How long a call may take, and how it is aborted.
#[derive(Clone, Default)]
pub struct Call {
    /// `timeoutMs`: `TIMEOUT` after it.
    pub timeout: Option<Duration>,
    /// `signal`: `ABORTED` when it fires.
    pub cancel: Option<CancelToken>,
}

/// When a `receivePayment` is over.
#[derive(Debug, Clone, Copy)]
pub struct ReceiveLimits {
    /// How long to wait for a first payment.
    pub min: Duration,
    /// How long nothing may have happened before leaving.
    pub quiet: Duration,
    /// The end, whatever happens.
    pub deadline: Duration,
}

/// One request to the worker.
pub enum Command {
    Start { receiving: bool, pending: Pending<()> },
    Stop { pending: Pending<()> },
    Route { pending: Pending<JitRoute> },
    Mint { request: MintRequest, pending: Pending<Invoice> },
    NextEvent { wait: Duration, pending: Pending<Option<PaymentEvent>> },
    Ack { id: String, pending: Pending<()> },
    ReceiveBegin { limits: ReceiveLimits, pending: Pending<()> },
    ReceiveNext { pending: Pending<Option<PaymentEvent>> },
    Balance { pending: Pending<Balance> },
    Channels { pending: Pending<Vec<ChannelSummary>> },
}

impl Command {
    /// Answers with an error, whatever was asked.
    pub fn fail(self, error: Error) {
        match self {
            Command::Start { pending, .. }
            | Command::Stop { pending }
            | Command::Ack { pending, .. }
            | Command::ReceiveBegin { pending, .. } => pending.send(Err(error)),
            Command::Route { pending } => pending.send(Err(error)),
            Command::Mint { pending, .. } => pending.send(Err(error)),
            Command::NextEvent { pending, .. } | Command::ReceiveNext { pending } => pending.send(Err(error)),
            Command::Balance { pending } => pending.send(Err(error)),
            Command::Channels { pending } => pending.send(Err(error)),
        }
    }
}

/// An answer that the worker owes. Until `arm`, which happens on the worker's runtime, only the reply exists.
pub struct Pending<T> {
    state: State<T>,
}

enum State<T> {
    Fresh {
        reply: Reply<T>,
        call: Call,
    },
    /// The reply is shared with the task that watches the caller's bounds: whoever takes it first answers.
    Armed {
        slot: Slot<T>,
        watch: oneshot::Sender<()>,
    },
}

type Slot<T> = Arc<Mutex<Option<Reply<T>>>>;

fn answer<T>(slot: &Slot<T>, result: Result<T>) {
    let reply = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(reply) = reply {
        reply.send(result);
    }
}

impl<T: Send + 'static> Pending<T> {
    /// From a caller's reply and bounds.
    pub fn new(reply: Reply<T>, call: Call) -> Self {
        Pending { state: State::Fresh { reply, call } }
    }

    /// Starts the caller's clock and listens to its signal. On the worker's runtime.
    pub fn arm(self) -> Self {
        let State::Fresh { reply, call } = self.state else { return self };
        let slot: Slot<T> = Arc::new(Mutex::new(Some(reply)));
        let (watch, answered) = oneshot::channel();
        let watched = Arc::clone(&slot);
        tokio::spawn(async move {
            let error = tokio::select! {
                biased;
                _ = answered => return,
                () = cancelled(call.cancel) => Error::new(Code::Aborted, "the caller's signal fired"),
                () = elapsed(call.timeout) => timed_out(call.timeout.unwrap_or_default()),
            };
            answer(&watched, Err(error));
        });
        Pending { state: State::Armed { slot, watch } }
    }

    /// Answers, on this thread, before anything else happens.
    pub fn send(self, result: Result<T>) {
        match self.state {
            State::Fresh { reply, .. } => reply.send(result),
            State::Armed { slot, .. } => answer(&slot, result),
        }
    }

    /// Whether the caller no longer waits.
    pub fn is_abandoned(&self) -> bool {
        match &self.state {
            State::Fresh { .. } => false,
            State::Armed { watch, .. } => watch.is_closed(),
        }
    }

    /// Ready when the caller no longer waits.
    pub fn poll_abandoned(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.state {
            State::Fresh { .. } => Poll::Pending,
            State::Armed { watch, .. } => watch.poll_closed(cx),
        }
    }
}

async fn cancelled(token: Option<CancelToken>) {
    match token {
        Some(token) => token.0.notified().await,
        None => std::future::pending().await,
    }
}

async fn elapsed(after: Option<Duration>) {
    match after {
        Some(after) => tokio::time::sleep(after).await,
        None => std::future::pending().await,
    }
}

fn timed_out(after: Duration) -> Error {
    Error::new(Code::Timeout, format!("the call did not finish within its timeoutMs of {} ms", after.as_millis()))
}
