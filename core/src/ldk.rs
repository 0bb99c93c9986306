//! LDK's generic types, named once with everything filled in.
//!
//! Each alias is compiled once, here; whoever drives a node (the product, the lab's LSP and payer) shares that compilation.

use crate::checkpoint::{BroadcastGate, MessageGate, PersistQueue};
use crate::log::LdkLog;
use crate::net::peer_socket::PeerSocket;
use crate::onchain::Signer;
use lightning::chain::chaininterface::FeeEstimator;
use lightning::chain::{chainmonitor, channelmonitor, Filter};
use lightning::ln::peer_handler::{self, IgnoringMessageHandler};
use lightning::ln::{channelmanager, peer_handler::MessageHandler};
use lightning::onion_message::messenger::DefaultMessageRouter;
use lightning::routing::gossip;
use lightning::routing::router::DefaultRouter;
use lightning::routing::scoring::{ProbabilisticScorer, ProbabilisticScoringFeeParameters};
use lightning::sign::InMemorySigner;
use std::sync::{Arc, Mutex};

/// Fee estimates, served without I/O.
pub type Fees = Arc<dyn FeeEstimator + Send + Sync>;
/// The gossip graph; empty until sending needs it.
pub type NetworkGraph = gossip::NetworkGraph<Arc<LdkLog>>;
/// The scorer over that graph.
pub type Scorer = ProbabilisticScorer<Arc<NetworkGraph>, Arc<LdkLog>>;
/// The payment router.
pub type Router = DefaultRouter<
    Arc<NetworkGraph>,
    Arc<LdkLog>,
    Arc<Signer>,
    Arc<Mutex<Scorer>>,
    ProbabilisticScoringFeeParameters,
    Scorer,
>;
/// The onion message router.
pub type MessageRouter = DefaultMessageRouter<Arc<NetworkGraph>, Arc<LdkLog>, Arc<Signer>>;
/// One channel's monitor.
pub type ChannelMonitor = channelmonitor::ChannelMonitor<InMemorySigner>;
/// All monitors, persisting into the checkpoint's queue and broadcasting through its gate.
pub type ChainMonitor = chainmonitor::ChainMonitor<
    InMemorySigner,
    Arc<dyn Filter + Send + Sync>,
    Arc<BroadcastGate>,
    Fees,
    Arc<LdkLog>,
    Arc<PersistQueue>,
    Arc<Signer>,
>;
/// The channel state machine.
pub type ChannelManager = channelmanager::ChannelManager<
    Arc<ChainMonitor>,
    Arc<BroadcastGate>,
    Arc<Signer>,
    Arc<Signer>,
    Arc<Signer>,
    Fees,
    Arc<Router>,
    Arc<MessageRouter>,
    Arc<LdkLog>,
>;
/// BOLT 8 and BOLT 1 towards peers; `C` handles custom messages (LSPS), `M` those of channels.
pub type PeerManager<C, M = MessageGate> = peer_handler::PeerManager<
    PeerSocket,
    Arc<M>,
    Arc<IgnoringMessageHandler>,
    Arc<IgnoringMessageHandler>,
    Arc<LdkLog>,
    Arc<C>,
    Arc<Signer>,
    Arc<ChainMonitor>,
>;
/// What a [`PeerManager`] is made of.
pub type PeerHandlers<C, M = MessageGate> =
    MessageHandler<Arc<M>, Arc<IgnoringMessageHandler>, Arc<IgnoringMessageHandler>, Arc<C>, Arc<ChainMonitor>>;
