//! A node's life, as the addon drives it.
//!
//! [`Node`] is the handle: it validates nothing (its config is valid) and opens nothing. Minting with a known route happens on
//! the caller's thread, without I/O. Everything else goes to the node's worker thread (`worker.rs`), which exists only while
//! there is something to do, and which `destroy()` joins.

mod answer;
mod between;
mod boot;
mod chapter;
mod close;
mod command;
mod flight;
mod handle;
mod idle;
mod leave;
mod link;
mod mailbox;
mod patience;
mod receive;
mod receiving;
mod register;
mod resident;
mod serve;
mod session;
mod stages;
mod tend;
#[cfg(test)]
mod tests;
mod waiting;
mod watch;
mod worker;

pub use crate::wallet::ledger::{LedgerEntry, Query};
pub use crate::wallet::view::{Balance, ChannelSummary, WakeBy};
pub use close::parse_channel_id;
pub use command::{Call, CancelToken, Ready, ReceiveLimits, SendAll, Sent};
pub use handle::{DestroyReport, OnIdle, Origin};
pub use session::Contact;
pub use stages::DestroyStages;
pub use watch::WatchReport;

use crate::config::Config;
use crate::error::Result;
use crate::events::PaymentEvent;
use crate::invoice::{Invoice, MintRequest};
use crate::lsp::JitRoute;
use crate::reply::Reply;
use crate::stats::Figures;
use bitcoin::secp256k1::PublicKey;
use bitcoin::{Address, Network};
use command::{Command, Pending};
use flight::Boarding;
use handle::Handle;
use lightning::ln::types::ChannelId;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Where a node is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing runs.
    Idle,
    /// Taking the lease, loading, connecting.
    Starting,
    /// Connected.
    Running,
    /// Ending a session.
    Stopping,
    /// A newer holder took the wallet: over for ever.
    Fenced,
    /// `destroy()` was called: over for ever.
    Destroyed,
}

/// A node, as one caller has it; nodes of one wallet in one process share what runs. Clones are one node. Opened without I/O; the
/// last clone that is dropped lets go of what still runs, without waiting.
#[derive(Clone)]
pub struct Node(Arc<Owner>);

/// What the last clone drops: a handle itself lives on in calls that are not answered yet.
struct Owner(Arc<Handle>);

impl Drop for Owner {
    /// Signals only: this may run in a garbage collector's finalizer, which must not wait.
    fn drop(&mut self) {
        self.0.forget();
    }
}

impl Node {
    /// A node of these options. `INVALID_OPTION` if another node of the wallet in this process has other ones.
    pub fn new(config: Config, origin: Origin) -> Result<Self> {
        Ok(Node(Arc::new(Owner(Arc::new(Handle::new(config, origin)?)))))
    }

    /// Where it is in its life.
    pub fn state(&self) -> State {
        self.handle().state()
    }

    /// The node id; derived at first use (about 3 ms).
    pub fn node_id(&self) -> Result<PublicKey> {
        Ok(self.handle().live()?.keys()?.node_id())
    }

    /// The route to mint with, if it is known without I/O: from the options, or learnt by this node.
    pub fn known_route(&self) -> Option<JitRoute> {
        self.handle().known_route()
    }

    /// Mints through that route: pure computation (P1).
    pub fn mint(&self, request: &MintRequest, route: &JitRoute) -> Result<Invoice> {
        self.handle().live()?.mint(request, route)
    }

    /// Mints; a route that is not known is learnt from the LSP first.
    pub fn get_invoice(&self, request: MintRequest, call: Call, reply: Reply<Invoice>) {
        match self.known_route() {
            Some(route) => reply.send(self.mint(&request, &route)),
            None => self.send(|pending| Command::Mint { request, pending }, call, reply),
        }
    }

    /// The JIT route: known, read from the store, or learnt from the LSP.
    pub fn jit_route(&self, call: Call, reply: Reply<JitRoute>) {
        match (self.handle().live(), self.known_route()) {
            (Err(error), _) => reply.send(Err(error)),
            (Ok(_), Some(route)) => reply.send(Ok(route)),
            (Ok(_), None) => self.send(|pending| Command::Route { pending }, call, reply),
        }
    }

    /// Takes the lease, boots, connects.
    pub fn start(&self, call: Call, reply: Reply<()>) {
        self.begin(false, call, reply);
    }

    /// `start`, and channels are usable.
    pub fn start_receiving(&self, call: Call, reply: Reply<()>) {
        self.begin(true, call, reply);
    }

    fn begin(&self, receiving: bool, call: Call, reply: Reply<()>) {
        let reply = self.without_trace(reply.of(|_| ()));
        self.send(|pending| Command::Start { receiving, pending }, call, reply);
    }

    /// A beginning that fails leaves no wish behind that the node runs.
    fn without_trace(&self, reply: Reply<Ready>) -> Reply<Ready> {
        let handle = Arc::clone(self.handle());
        Reply::new(move |result: Result<Ready>| {
            if result.is_err() {
                handle.failed_to_start();
            }
            reply.send(result);
        })
    }

    /// Waits for fulfilment, commits, says goodbye to the LSP, gives the lease back; if no other node of the wallet needs it.
    pub fn stop(&self, call: Call, reply: Reply<()>) {
        self.send(|pending| Command::Stop { pending }, call, reply);
    }

    /// Follows the chain once, does what it asks for, and gives the lease back; a node that runs goes on running.
    pub fn watch(&self, call: Call, reply: Reply<WatchReport>) {
        self.send(|pending| Command::Watch { pending }, call, reply);
    }

    /// The oldest unacked event, waiting up to `wait` for one.
    pub fn next_event(&self, wait: Duration, call: Call, reply: Reply<Option<PaymentEvent>>) {
        self.send(|pending| Command::NextEvent { wait: Some(wait), pending }, call, reply);
    }

    /// The same, waiting without end, which is no reason for the node to run on.
    pub fn await_event(&self, call: Call, reply: Reply<Option<PaymentEvent>>) {
        let handle = self.handle();
        let pending = Pending::new(Arc::clone(handle), handle.owed_sometime.note(reply), call);
        handle.send(Command::NextEvent { wait: None, pending });
    }

    /// Resolves after the commit that removes the event.
    pub fn ack_event(&self, id: String, call: Call, reply: Reply<()>) {
        self.send(|pending| Command::Ack { id, pending }, call, reply);
    }

    /// Begins a `receivePayment` (and starts the node): its limits count from here. `Served`: there is nothing more to do,
    /// since another call of the wallet in this process received meanwhile.
    pub fn receive_begin(&self, limits: ReceiveLimits, call: Call, reply: Reply<Ready>) {
        let handle = Arc::clone(self.handle());
        handle.receiving.begins();
        let reply = self.without_trace(reply);
        let reply = Reply::new(move |result: Result<Ready>| {
            if !matches!(result, Ok(Ready::Up)) {
                handle.receiving.ended(&result);
            }
            reply.send(result);
        });
        self.send(|pending| Command::ReceiveBegin { boarding: Boarding::new(limits, pending) }, call, reply);
    }

    /// The oldest unacked `Received`, or `None` at protocol quiescence (the LSP has been left by then) or at the deadline.
    pub fn receive_next(&self, call: Call, reply: Reply<Option<PaymentEvent>>) {
        let handle = Arc::clone(self.handle());
        let reply = Reply::new(move |result| {
            handle.receiving.answered(&result);
            reply.send(result);
        });
        self.send(|pending| Command::ReceiveNext { pending }, call, reply);
    }

    /// The caller failed to act on an event that it was handed: any handle may have it again.
    pub fn give_back(&self, event: &str) {
        self.handle().receiving.thrown();
        self.handle().give_back(event);
    }

    /// When the wallet must run again, as far as this object knows.
    pub fn wake_by(&self) -> Option<WakeBy> {
        self.handle().wake_by()
    }

    /// The balance as of the last commit, or of now while running.
    pub fn balance(&self, call: Call, reply: Reply<Balance>) {
        self.send(|pending| Command::Balance { pending }, call, reply);
    }

    /// The channels as of the last commit, or of now while running.
    pub fn list_channels(&self, call: Call, reply: Reply<Vec<ChannelSummary>>) {
        self.send(|pending| Command::Channels { pending }, call, reply);
    }

    /// What was received, as of the last commit.
    pub fn payments(&self, query: Query, call: Call, reply: Reply<Vec<LedgerEntry>>) {
        self.send(|pending| Command::Payments { query, pending }, call, reply);
    }

    /// Closes a channel: cooperatively, or by force.
    pub fn close_channel(&self, channel: ChannelId, force: bool, call: Call, reply: Reply<()>) {
        self.send(|pending| Command::Close { channel, force, pending }, call, reply);
    }

    /// The address that serves.
    pub fn onchain_address(&self, call: Call, reply: Reply<String>) {
        self.send(|pending| Command::Address { pending }, call, reply.of(|address: Address| address.to_string()));
    }

    /// Sends every confirmed coin to one address.
    pub fn send_all_onchain(&self, send: SendAll, call: Call, reply: Reply<Sent>) {
        self.send(|pending| Command::SendAll { send, pending }, call, reply);
    }

    /// The network that it is on.
    pub fn network(&self) -> Network {
        self.handle().config.network
    }

    /// What the latest session cost so far; `None` before the first.
    pub fn stats(&self) -> Option<Figures> {
        self.handle().figures()
    }

    /// Ends the node, from any state, and joins what no other node of the wallet needs; bounded by `destroyTimeoutMs`. Idempotent.
    pub fn destroy(&self) -> DestroyReport {
        self.handle().finish_destroy(self.handle().begin_destroy(None))
    }

    /// What the last destroy could not finish.
    pub fn last_destroy(&self) -> Option<DestroyReport> {
        self.handle().last_destroy()
    }

    fn handle(&self) -> &Arc<Handle> {
        &self.0 .0
    }

    fn send<T: Send + 'static>(&self, command: impl FnOnce(Pending<T>) -> Command, call: Call, reply: Reply<T>) {
        let handle = self.handle();
        let pending = Pending::new(Arc::clone(handle), handle.owed.note(reply), call);
        handle.send(command(pending));
    }
}

/// For the end of an environment, after which no thread of ours may be left: destroys nodes side by side, and with them what runs for
/// wallets of which no node is left (forgotten ones left it behind). All know it at once, then each is waited for, all within
/// `within`; `None`: each within its own `destroyTimeoutMs`. The reports come in the order of the nodes.
pub fn destroy_together(nodes: &[Node], within: Option<Duration>) -> Vec<DestroyReport> {
    let began = Instant::now();
    let begun: Vec<_> = nodes.iter().map(|node| (node.handle(), node.handle().begin_destroy(within))).collect();
    let orphans = register::orphans();
    let orphans: Vec<_> = orphans.iter().map(|orphan| (orphan, orphan.end(within))).collect();
    let reports = begun.into_iter().map(|(handle, leaving)| handle.finish_destroy(leaving)).collect();
    orphans.into_iter().for_each(|(orphan, ending)| orphan.ended_by(ending, began, within));
    reports
}
