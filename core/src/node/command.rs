//! What the handle asks of the worker, and how a caller stops waiting.

use super::flight::Boarding;
use super::handle::Handle;
use super::watch::WatchReport;
use crate::error::{Code, Error, Result};
use crate::events::PaymentEvent;
use crate::guard::{self, guarded_work};
use crate::invoice::{Invoice, MintRequest};
use crate::lsp::JitRoute;
use crate::reply::Due;
use crate::wallet::ledger::{LedgerEntry, Query};
use crate::wallet::view::{Balance, ChannelSummary};
use bitcoin::{Address, ScriptBuf, Txid};
use lightning::ln::types::ChannelId;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{oneshot, Notify};
use tokio::time::Instant;

/// A caller's way to end a wait: cloned into the call, cancelled from any thread.
#[derive(Clone, Default)]
pub struct CancelToken(Arc<Token>);

#[derive(Default)]
struct Token {
    heard: Notify,
    unheard: Mutex<Unheard>,
}

/// While nobody can hear it: what its caller is then told.
#[derive(Default)]
struct Unheard {
    fired: bool,
    tell: Option<Box<dyn FnOnce() + Send>>,
}

impl CancelToken {
    /// Ends the call that carries this token with `ABORTED`.
    pub fn cancel(&self) {
        let mut unheard = self.unheard();
        unheard.fired = true;
        let tell = unheard.tell.take();
        drop(unheard);
        self.0.heard.notify_one();
        if let Some(tell) = tell {
            tell();
        }
    }

    /// The call is parked: when it is cancelled (or was), `tell` is called.
    fn unheard_by(&self, tell: impl FnOnce() + Send + 'static) {
        let mut unheard = self.unheard();
        if unheard.fired {
            drop(unheard);
            return tell();
        }
        unheard.tell = Some(Box::new(tell));
    }

    fn unheard(&self) -> MutexGuard<'_, Unheard> {
        self.0.unheard.lock().unwrap_or_else(PoisonError::into_inner)
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

/// What `sendAllOnchain` asks for.
#[derive(Debug, Clone)]
pub struct SendAll {
    /// Where to.
    pub to: ScriptBuf,
    /// `None`: what is usual now.
    pub sat_per_kw: Option<u32>,
}

/// What `sendAllOnchain` sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// The transaction.
    pub txid: Txid,
    /// What arrives, in satoshi.
    pub amount_sats: u64,
    /// What the miner gets, in satoshi.
    pub fee_sats: u64,
}

/// One request to the worker.
pub enum Command {
    Start {
        receiving: bool,
        pending: Pending<Ready>,
    },
    Stop {
        pending: Pending<()>,
    },
    /// Something changed that is no command.
    Look,
    Route {
        pending: Pending<JitRoute>,
    },
    Mint {
        request: MintRequest,
        pending: Pending<Invoice>,
    },
    NextEvent {
        /// `None`: for ever.
        wait: Option<Duration>,
        pending: Pending<Option<PaymentEvent>>,
    },
    Ack {
        id: String,
        pending: Pending<()>,
    },
    /// Leads the wallet's flight, or joins it.
    ReceiveBegin {
        boarding: Boarding,
    },
    ReceiveNext {
        pending: Pending<Option<PaymentEvent>>,
    },
    Watch {
        pending: Pending<WatchReport>,
    },
    Close {
        channel: ChannelId,
        force: bool,
        pending: Pending<()>,
    },
    Address {
        pending: Pending<Address>,
    },
    SendAll {
        send: SendAll,
        pending: Pending<Sent>,
    },
    Balance {
        pending: Pending<Balance>,
    },
    Channels {
        pending: Pending<Vec<ChannelSummary>>,
    },
    /// What was received.
    Payments {
        query: Query,
        pending: Pending<Vec<LedgerEntry>>,
    },
}

impl Command {
    /// Answers with an error, whatever was asked.
    pub fn fail(self, error: Error) {
        match self {
            Command::Start { pending, .. } => pending.send(Err(error)),
            Command::Stop { pending } | Command::Ack { pending, .. } | Command::Close { pending, .. } => {
                pending.send(Err(error));
            }
            Command::Address { pending } => pending.send(Err(error)),
            Command::SendAll { pending, .. } => pending.send(Err(error)),
            Command::Look => {}
            Command::ReceiveBegin { boarding } => boarding.send(Err(error)),
            Command::Route { pending } => pending.send(Err(error)),
            Command::Mint { pending, .. } => pending.send(Err(error)),
            Command::NextEvent { pending, .. } | Command::ReceiveNext { pending } => pending.send(Err(error)),
            Command::Watch { pending } => pending.send(Err(error)),
            Command::Balance { pending } => pending.send(Err(error)),
            Command::Channels { pending } => pending.send(Err(error)),
            Command::Payments { pending, .. } => pending.send(Err(error)),
        }
    }

    /// The resident that had it is closed. A wait without end goes on, if its node does; anything else is answered by being dropped.
    pub fn resettle(self) {
        match self {
            Command::NextEvent { wait: None, pending } if !pending.is_abandoned() => {
                let (handle, pending) = (Arc::clone(pending.handle()), pending.disarm());
                handle.park(Command::NextEvent { wait: None, pending });
            }
            other => drop(other),
        }
    }
}

/// How a call that needs a connection was served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// The node is up.
    Up,
    /// Another call of the same wallet in this process did what was asked. See `flight.rs`.
    Served,
}

/// An answer that is owed to a call of some node. The caller's clock runs from the call on; it is looked at, and the caller's signal
/// and the node's end heard, from `arm` on, which happens on the worker's runtime. Unanswered, it can be armed again on another's.
pub struct Pending<T> {
    /// Shared with the task that watches the caller's bounds: whoever answers first does.
    due: Due<T>,
    handle: Arc<Handle>,
    call: Call,
    deadline: Option<Instant>,
    watch: Option<oneshot::Sender<()>>,
}

impl<T: Send + 'static> Pending<T> {
    /// From a caller's reply and bounds.
    pub fn new(handle: Arc<Handle>, due: Due<T>, call: Call) -> Self {
        let deadline = call.timeout.map(|timeout| Instant::now() + timeout);
        Pending { due, handle, call, deadline, watch: None }
    }

    /// Whose call it is.
    pub fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }

    /// Listens to the caller's bounds from now on. On the worker's runtime.
    pub fn arm(self) -> Self {
        match self.watch {
            Some(_) => self,
            None => self.arm_with(std::future::pending()),
        }
    }

    /// The same, and `other` may answer, too.
    pub fn arm_with(mut self, other: impl Future<Output = Result<T>> + Send + 'static) -> Self {
        let (watch, answered) = oneshot::channel();
        let (due, cancel, gone) = (self.due.clone(), self.call.cancel.clone(), self.handle.gone());
        let (deadline, timeout) = (self.deadline, self.call.timeout.unwrap_or_default());
        let last_call = Arc::clone(&self.handle.last_call);
        tokio::spawn(async move {
            let result = tokio::select! {
                biased;
                _ = answered => return,
                () = gone => Err(Error::destroyed()),
                () = cancelled(cancel) => Err(aborted()),
                () = passed(deadline) => Err(timed_out(timeout)),
                result = other => result,
            };
            last_call.touch();
            due.send(result);
        });
        self.watch = Some(watch);
        self
    }

    /// Listens to nobody any more, but for the caller's signal, until it is armed again.
    pub fn disarm(mut self) -> Self {
        self.watch = None;
        if let Some(cancel) = &self.call.cancel {
            let answer = self.due.sender();
            cancel.unheard_by(move || answer(Err(aborted())));
        }
        self
    }

    /// Answers, on this thread, before anything else happens.
    pub fn send(self, result: Result<T>) {
        self.handle.touch();
        self.due.send(result);
    }

    /// Answers with what comes of `work`, which ends when the caller no longer waits.
    pub async fn send_of(self, work: impl Future<Output = Result<T>>) {
        let mut pending = self.arm();
        let result = tokio::select! {
            result = guarded_work("a call", work) => result,
            () = std::future::poll_fn(|cx| pending.poll_abandoned(cx)) => return,
        };
        pending.send(result);
    }

    /// Whether the caller no longer waits.
    pub fn is_abandoned(&self) -> bool {
        self.due.is_settled()
    }

    /// Ready when the caller no longer waits.
    pub fn poll_abandoned(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.watch {
            None => Poll::Pending,
            Some(watch) => watch.poll_closed(cx),
        }
    }
}

impl<T> Drop for Pending<T> {
    /// The task that watches the caller's bounds would answer `NODE_DESTROYED` when it finds itself alone, and by then nobody could
    /// tell that a panic was why.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.due.send(Err(guard::unwinding()));
        }
    }
}

async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

async fn cancelled(token: Option<CancelToken>) {
    match token {
        Some(token) => token.0.heard.notified().await,
        None => std::future::pending().await,
    }
}

fn aborted() -> Error {
    Error::new(Code::Aborted, "the caller's signal fired")
}

fn timed_out(after: Duration) -> Error {
    Error::new(Code::Timeout, format!("the call did not finish within its timeoutMs of {} ms", after.as_millis()))
}
