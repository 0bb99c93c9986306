//! A Lightning node of the lab: LDK behind the product's own output commit, on a thread of its own.
//!
//! The LSP, the payer and the clients of the lab's tests differ only in what they do about events: that is a [`Role`].
//! Everything else is here, and nothing leaves a node before the commit that covers it, as in the product (`checkpoint`):
//! a lab node that is killed between two turns comes back as if it had never thought the uncommitted thought.
//!
//! ```text
//! open   claim the store, read monitors and manager          (open)
//! turn   blocks → HTLC forwards → events → act → cut → commit → open the gate   (turn)
//! chain  which blocks the node has not seen                  (follow)
//! port   LSPS messages in and out, who is connected          (port)
//! thread its life: stop, kill, and calls from outside        (thread)
//! ```
//!
//! All of a node's LDK runs on its one thread, between two awaits: the cut relies on it.

mod follow;
mod open;
mod port;
mod settings;
mod socket;
mod thread;
mod turn;
pub mod wire_log;

pub(crate) use follow::bring_to_tip;
pub use open::{Identity, NodeParams};
pub use port::{LspsMessage, Port, RawMessage, Received};
pub(crate) use settings::LabFees;
pub use settings::{client_settings, lsp_settings, payer_settings, LSP_CLTV_EXPIRY_DELTA};
pub use socket::{keep_connected, listen};
pub use thread::{End, NodeThread};
pub use turn::Turn;

use crate::chain::{SharedChain, Tip};
use crate::hostile::{Hostile, Tamper};
use bitcoin::secp256k1::PublicKey;
use lightning::events::Event;
use mayfly_core::checkpoint::{Committer, Loaded};
use mayfly_core::ldk::{ChannelManager, PeerManager};
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What a node does about what LDK and its peers tell it. Called between awaits, on the node's thread.
pub trait Role: 'static {
    /// LDK's events, in order, after LDK handled what led to them.
    fn event(&self, node: &Base, event: Event, turn: &mut Turn);

    /// Once per turn after its events: whatever else there is to do now.
    fn act(&self, node: &Base, turn: &mut Turn);

    /// When `act` wants to run again although nothing happened.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// How often LDK pings its peers; two such ticks without an answer end a connection.
    fn ping_every(&self) -> Duration {
        Duration::from_secs(10)
    }
}

/// LDK, the way to peers, and the chain.
pub struct Base {
    /// Manager, monitors and the gates.
    pub loaded: Loaded,
    /// Connections.
    pub peers: Arc<PeerManager<Port, Tamper>>,
    /// LSPS messages, and who is connected.
    pub port: Arc<Port>,
    /// The lab's chain.
    pub chain: SharedChain,
    /// This node's id.
    pub id: PublicKey,
    /// What it does wrong on purpose; nothing, unless told.
    pub hostile: Hostile,
    /// The tip that LDK was last told of.
    seen: RefCell<Tip>,
}

impl Base {
    /// LDK's channel manager.
    pub fn manager(&self) -> &ChannelManager {
        self.loaded.manager()
    }

    /// Asks for a turn.
    pub fn wake(&self) {
        self.loaded.wake().notify_one();
    }
}

/// A loaded node with its role, before its thread runs it.
pub struct Node<R> {
    /// What every node has.
    pub base: Base,
    /// What makes it an LSP or a payer.
    pub role: R,
    committer: RefCell<Option<Committer>>,
}
