//! A node's life, as the addon drives it.
//!
//! [`Node`] is the handle: it validates nothing (its config is valid) and opens nothing. Minting with a known route happens on
//! the caller's thread, without I/O. Everything else goes to the node's worker thread (`worker.rs`), which exists only while
//! there is something to do, and which `destroy()` joins.

mod boot;
mod close;
mod command;
mod flight;
mod link;
mod mailbox;
mod patience;
mod receive;
mod serve;
mod session;
mod shared;
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
pub use session::Contact;
pub use shared::{DestroyReport, State};
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
use lightning::ln::types::ChannelId;
use shared::Shared;
use std::sync::Arc;
use std::time::Duration;

/// A node. Clones are one node. Opened without I/O; the last clone that is dropped ends what still runs, without waiting.
#[derive(Clone)]
pub struct Node(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
}

impl Node {
    /// A node of these options.
    pub fn new(config: Config) -> Self {
        Node(Arc::new(Handle { shared: Arc::new(Shared::new(config)) }))
    }

    /// Where it is in its life.
    pub fn state(&self) -> State {
        self.shared().state()
    }

    /// The node id; derived at first use (about 3 ms).
    pub fn node_id(&self) -> Result<PublicKey> {
        Ok(self.shared().live()?.keys()?.node_id())
    }

    /// The route to mint with, if it is known without I/O: from the options, or learnt by this node.
    pub fn known_route(&self) -> Option<JitRoute> {
        self.shared().known_route()
    }

    /// Mints through that route: pure computation (P1).
    pub fn mint(&self, request: &MintRequest, route: &JitRoute) -> Result<Invoice> {
        self.shared().live()?.mint(request, route)
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
        match (self.shared().live(), self.known_route()) {
            (Err(error), _) => reply.send(Err(error)),
            (Ok(_), Some(route)) => reply.send(Ok(route)),
            (Ok(_), None) => self.send(|pending| Command::Route { pending }, call, reply),
        }
    }

    /// Takes the lease, boots, connects.
    pub fn start(&self, call: Call, reply: Reply<()>) {
        self.shared().set_wanted(true);
        self.send(|pending| Command::Start { receiving: false, pending }, call, reply.of(|_| ()));
    }

    /// `start`, and channels are usable.
    pub fn start_receiving(&self, call: Call, reply: Reply<()>) {
        self.shared().set_wanted(true);
        self.send(|pending| Command::Start { receiving: true, pending }, call, reply.of(|_| ()));
    }

    /// Waits for fulfilment, commits, says goodbye to the LSP, gives the lease back.
    pub fn stop(&self, call: Call, reply: Reply<()>) {
        self.shared().set_wanted(false);
        self.send(|pending| Command::Stop { pending }, call, reply);
    }

    /// Follows the chain once, does what it asks for, and gives the lease back; a node that runs goes on running.
    pub fn watch(&self, call: Call, reply: Reply<WatchReport>) {
        self.send(|pending| Command::Watch { pending }, call, reply);
    }

    /// The oldest unacked event, waiting up to `wait` for one.
    pub fn next_event(&self, wait: Duration, call: Call, reply: Reply<Option<PaymentEvent>>) {
        self.send(|pending| Command::NextEvent { wait, pending }, call, reply);
    }

    /// Resolves after the commit that removes the event.
    pub fn ack_event(&self, id: String, call: Call, reply: Reply<()>) {
        self.send(|pending| Command::Ack { id, pending }, call, reply);
    }

    /// Begins a `receivePayment` (and starts the node): its limits count from here. `Served`: there is nothing more to do,
    /// since another call of the wallet in this process received meanwhile.
    pub fn receive_begin(&self, limits: ReceiveLimits, call: Call, reply: Reply<Ready>) {
        let shared = self.shared();
        Boarding::new(Arc::clone(shared), limits, Pending::new(shared.owed.note(reply), call)).board();
    }

    /// The oldest unacked `Received`, or `None` at protocol quiescence (the LSP has been left by then) or at the deadline.
    pub fn receive_next(&self, call: Call, reply: Reply<Option<PaymentEvent>>) {
        self.send(|pending| Command::ReceiveNext { pending }, call, reply);
    }

    /// The caller failed to act on an event that it was handed: any handle may have it again.
    pub fn give_back(&self, event: &str) {
        self.shared().give_back(event);
    }

    /// When the wallet must run again, as far as this object knows.
    pub fn wake_by(&self) -> Option<WakeBy> {
        self.shared().wake_by()
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
        self.shared().config.network
    }

    /// What the latest session cost so far; `None` before the first.
    pub fn stats(&self) -> Option<Figures> {
        self.shared().figures()
    }

    /// Ends everything, from any state, and joins the thread; bounded by `destroyTimeoutMs`. Idempotent.
    pub fn destroy(&self) -> DestroyReport {
        self.shared().destroy()
    }

    /// What the last destroy could not finish.
    pub fn last_destroy(&self) -> Option<DestroyReport> {
        self.shared().last_destroy()
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    fn send<T: Send + 'static>(&self, command: impl FnOnce(Pending<T>) -> Command, call: Call, reply: Reply<T>) {
        let shared = self.shared();
        match shared.live() {
            Ok(_) => worker::send(shared, command(Pending::new(shared.owed.note(reply), call))),
            Err(error) => reply.send(Err(error)),
        }
    }
}

/// Destroys nodes side by side: all know it at once, then each is waited for, all within `within`; `None`: each within its own
/// `destroyTimeoutMs`. The reports come in the order of the nodes.
pub fn destroy_together(nodes: &[Node], within: Option<Duration>) -> Vec<DestroyReport> {
    let begun: Vec<_> = nodes.iter().map(|node| (node.shared(), node.shared().begin_destroy())).collect();
    let finish = |(shared, ending): (&Arc<Shared>, _)| {
        shared.finish_destroy(ending, within.unwrap_or(shared.config.destroy_timeout))
    };
    begun.into_iter().map(finish).collect()
}

impl Drop for Handle {
    /// A forgotten node ends itself. Signals only: this may run in a garbage collector's finalizer, which must not wait.
    fn drop(&mut self) {
        self.shared.signal_destroy();
    }
}
