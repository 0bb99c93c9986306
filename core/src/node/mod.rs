//! A node's life, as the addon drives it.

use crate::config::Config;
use crate::error::{Code, Error, Result};
use crate::events::PaymentEvent;
use crate::invoice::{Invoice, MintRequest};
use crate::lsp::JitRoute;
use crate::reply::Reply;
use bitcoin::secp256k1::PublicKey;
use std::sync::Arc;
use std::time::Duration;

/// Where a node is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Idle,
    Starting,
    Running,
    Stopping,
    Fenced,
    Destroyed,
}

/// A caller's way to end a wait: cloned into the call, cancelled from any thread.
#[derive(Clone, Default)]
pub struct CancelToken(Arc<tokio::sync::Notify>);
impl CancelToken {
    /// Ends the call that carries this token with `ABORTED`.
    pub fn cancel(&self) {
        self.0.notify_one();
    }
}

/// How long a call may take, and how it is aborted.
#[derive(Clone, Default)]
pub struct Call {
    pub timeout: Option<Duration>,
    pub cancel: Option<CancelToken>,
}

/// Run again before `height`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WakeBy {
    pub height: u32,
    pub estimated_at_ms: u64,
}

/// `getBalance()`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Balance {
    pub lightning_msat: u64,
    pub spendable_msat: u64,
    pub onchain_sats: u64,
    pub pending_close_sats: u64,
}

/// One entry of `listChannels()`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelSummary {
    pub channel_id: String,
    pub counterparty_node_id: String,
    pub funding_txid: Option<String>,
    pub funding_vout: Option<u16>,
    pub short_channel_id: Option<String>,
    pub capacity_sats: u64,
    pub inbound_msat: u64,
    pub outbound_msat: u64,
    pub is_ready: bool,
    pub is_usable: bool,
    pub confirmations: Option<u32>,
    pub pending_htlcs: u32,
}

/// When `receivePayment` is over.
#[derive(Debug, Clone, Copy)]
pub struct ReceiveLimits {
    pub min: Duration,
    pub quiet: Duration,
    pub deadline: Duration,
}

/// What `destroy()` could not finish.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DestroyReport {
    pub duration_us: u64,
    pub unfinished: Vec<String>,
}

/// A node. Cheap to clone; all clones are one node. Opened without I/O.
#[derive(Clone)]
pub struct Node {
    #[allow(dead_code)]
    config: Arc<Config>,
}

fn todo_err<T>() -> Result<T> {
    Err(Error::new(Code::Internal, "not wired yet"))
}
impl Node {
    pub fn new(config: Config) -> Self {
        Node { config: Arc::new(config) }
    }
    pub fn state(&self) -> State {
        State::Idle
    }
    pub fn node_id(&self) -> Result<PublicKey> {
        todo_err()
    }
    /// The route to mint with, if it is known without I/O (option, or learnt by this node).
    pub fn known_route(&self) -> Option<JitRoute> {
        None
    }
    /// Pure computation with a known route (P1).
    pub fn mint(&self, _req: &MintRequest, _route: &JitRoute) -> Result<Invoice> {
        todo_err()
    }
    /// Mints; learns the route first if it is not known.
    pub fn get_invoice(&self, _req: MintRequest, _call: Call, reply: Reply<Invoice>) {
        reply.send(todo_err())
    }
    pub fn jit_route(&self, _call: Call, reply: Reply<JitRoute>) {
        reply.send(todo_err())
    }
    pub fn start(&self, _call: Call, reply: Reply<()>) {
        reply.send(todo_err())
    }
    pub fn start_receiving(&self, _call: Call, reply: Reply<()>) {
        reply.send(todo_err())
    }
    pub fn stop(&self, _call: Call, reply: Reply<()>) {
        reply.send(todo_err())
    }
    /// The oldest unacked event, waiting up to `wait` for one.
    pub fn next_event(&self, _wait: Duration, _call: Call, reply: Reply<Option<PaymentEvent>>) {
        reply.send(todo_err())
    }
    pub fn ack_event(&self, _id: String, _call: Call, reply: Reply<()>) {
        reply.send(todo_err())
    }
    /// Begins a `receivePayment`: limits count from here.
    pub fn receive_begin(&self, _limits: ReceiveLimits, _call: Call, reply: Reply<()>) {
        reply.send(todo_err())
    }
    /// The next `Received` event, or `None` at protocol quiescence (or the deadline).
    pub fn receive_next(&self, _call: Call, reply: Reply<Option<PaymentEvent>>) {
        reply.send(todo_err())
    }
    pub fn wake_by(&self) -> Option<WakeBy> {
        None
    }
    pub fn balance(&self, _call: Call, reply: Reply<Balance>) {
        reply.send(todo_err())
    }
    pub fn list_channels(&self, _call: Call, reply: Reply<Vec<ChannelSummary>>) {
        reply.send(todo_err())
    }
    /// Synchronous, idempotent, from any state; bounded by `destroyTimeoutMs`.
    pub fn destroy(&self) -> DestroyReport {
        DestroyReport::default()
    }
    pub fn last_destroy(&self) -> Option<DestroyReport> {
        None
    }
}
