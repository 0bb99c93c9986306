//! LDK assembled: manager, monitors and the gates around them, and the cut that freezes all of it at one instant.

use super::monitors::{self, Found, MonitorRows, Stored};
use super::queues::Parcel;
use super::rows::{self, corrupt_row, loaded};
use super::{BroadcastGate, Fault, MessageGate, PersistQueue, Recovery};
use crate::clock;
use crate::error::{Code, Error, Result};
use crate::ldk::{ChainMonitor, ChannelManager, ChannelMonitor, Fees, MessageRouter, NetworkGraph, Router, Scorer};
use crate::lease::Lease;
use crate::log::LdkLog;
use crate::onchain::Signer;
use crate::store::{Batch, Rows};
use bitcoin::{BlockHash, Network, Transaction};
use lightning::chain::chainmonitor::Persist;
use lightning::chain::BestBlock;
use lightning::ln::channelmanager::{ChainParameters, ChannelManagerReadArgs};
use lightning::ln::types::ChannelId;
use lightning::routing::scoring::{ProbabilisticScoringDecayParameters, ProbabilisticScoringFeeParameters};
use lightning::sign::NodeSigner;
use lightning::util::config::UserConfig;
use lightning::util::ser::{ReadableArgs, Writeable};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// What an engine is made of.
pub struct EngineParams {
    /// The network of the wallet.
    pub network: Network,
    /// Fresh keys of this start (LDK wants unique times per start).
    pub keys: Arc<Signer>,
    /// Fee estimates.
    pub fees: Fees,
    /// Where LDK logs.
    pub log: Arc<LdkLog>,
    /// LDK's settings for new channels.
    pub user_config: UserConfig,
}

/// The parts that exist before the wallet is loaded, and LDK's own once it is.
pub struct Engine {
    params: EngineParams,
    wake: Arc<Notify>,
    fault: Fault,
    queue: Arc<PersistQueue>,
    stored: MonitorRows,
    broadcasts: Arc<BroadcastGate>,
    messages: Arc<MessageGate>,
    monitors: Arc<ChainMonitor>,
}

/// An engine with its wallet's state. Clones are the same engine.
#[derive(Clone)]
pub struct Loaded {
    engine: Arc<Engine>,
    manager: Arc<ChannelManager>,
    set_aside: Arc<[String]>,
}

/// Manager, changed monitors and held outputs at one instant. Its outputs go only through [`Loaded::open_gate`], after the
/// commit of its batch.
#[must_use = "a cut that is neither committed nor dropped with the node loses its outputs"]
pub struct Cut {
    /// The transaction to commit.
    pub batch: Batch,
    messages: Parcel,
    broadcasts: Vec<Transaction>,
}

impl Cut {
    /// Whether a peer learns a preimage by it.
    pub fn fulfils(&self) -> bool {
        self.messages.fulfils()
    }
}

impl Engine {
    /// Everything that does not depend on the wallet's state. `wake` is notified whenever the run loop should look.
    pub fn new(params: EngineParams, wake: Arc<Notify>) -> Self {
        Engine::under(params, wake, Lease::of_process())
    }

    /// The same of a node whose lease may end before its process.
    pub fn under(params: EngineParams, wake: Arc<Notify>, lease: Arc<Lease>) -> Self {
        let fault = Fault::new(Arc::clone(&wake));
        let queue = Arc::new(PersistQueue::new(Arc::clone(&wake)));
        let broadcasts = Arc::new(BroadcastGate::new(Arc::clone(&wake)));
        let recovery = Recovery::new(Arc::clone(&broadcasts));
        let messages =
            Arc::new(MessageGate::new(Arc::clone(&queue), recovery, fault.clone(), Arc::clone(&wake), lease));
        let monitors = Arc::new(ChainMonitor::new(
            None,
            Arc::clone(&broadcasts),
            Arc::clone(&params.log),
            Arc::clone(&params.fees),
            Arc::clone(&queue),
            Arc::clone(&params.keys),
            params.keys.get_peer_storage_key(),
        ));
        Engine { params, wake, fault, queue, stored: MonitorRows::default(), broadcasts, messages, monitors }
    }

    /// The channel message handler for the peer manager.
    pub fn messages(&self) -> Arc<MessageGate> {
        Arc::clone(&self.messages)
    }

    /// The send-only message handler for the peer manager.
    pub fn monitors(&self) -> Arc<ChainMonitor> {
        Arc::clone(&self.monitors)
    }

    /// Why this engine is over, if it is.
    pub fn fault(&self) -> &Fault {
        &self.fault
    }

    /// Reads monitors, then the manager. `best` is where a wallet without a manager begins. `STATE_CORRUPT` when the rows
    /// do not load; nothing was sent or changed. With the user's word to give channels up, what does not load is set aside
    /// ([`Loaded::set_aside`]), and a manager that does not load takes all its channels with it.
    pub fn load(self, rows: &Rows, best: BestBlock) -> Result<Loaded> {
        let may_lose = self.messages.recovery().is_allowed();
        let mut set_aside = Vec::new();
        let mut monitors = Vec::new();
        let monitor_rows = rows.range(rows::MONITOR_PREFIX.to_owned()..);
        for (key, bytes) in monitor_rows.take_while(|(key, _)| key.starts_with(rows::MONITOR_PREFIX)) {
            match self.read_monitor(rows, key, bytes) {
                Ok((monitor, stored)) => {
                    self.stored.remember(&monitor.persistence_key().to_string(), stored);
                    monitors.push(monitor);
                }
                Err(error) if may_lose => {
                    tracing::warn!(reason = %error.message, "a channel monitor is lost");
                    set_aside.extend(monitors::keys_of(rows, key));
                }
                Err(error) => return Err(error),
            }
        }
        let orphans = monitors::orphans(rows);
        match orphans.first() {
            Some(key) if !may_lose => return Err(corrupt_row(key, "its monitor is missing")),
            _ => set_aside.extend(orphans),
        }
        let read = match rows.get(rows::MANAGER) {
            Some(bytes) => self.read_manager(bytes, &monitors),
            None if monitors.is_empty() => Ok(self.new_manager(best)),
            None => Err(Error::new(
                Code::StateCorrupt,
                "the store has channel monitors and no channel manager; restore the store from where it was written as a whole",
            )),
        };
        let mut given_up = Vec::new();
        let manager = match read {
            Ok(manager) => manager,
            Err(error) if may_lose => {
                tracing::warn!(reason = %error.message, "the channel manager is lost: all channels are given up");
                set_aside.extend(rows.contains_key(rows::MANAGER).then(|| rows::MANAGER.to_owned()));
                given_up.extend(monitors.iter().map(ChannelMonitor::channel_id));
                self.new_manager(best)
            }
            Err(error) => return Err(error),
        };
        for monitor in monitors {
            let channel = monitor.channel_id();
            self.broadcasts.doubt(monitor.get_funding_txo().into_bitcoin_outpoint());
            self.monitors.load_existing_monitor(channel, monitor).map_err(|()| {
                Error::new(Code::StateCorrupt, format!("the store has two monitors for channel {channel}"))
            })?;
        }
        let manager = Arc::new(manager);
        self.messages.attach(Arc::clone(&manager), Arc::clone(&self.monitors));
        for channel in given_up {
            self.messages.recovery().remember(channel, &self.monitors);
        }
        Ok(Loaded { engine: Arc::new(self), manager, set_aside: set_aside.into() })
    }

    /// A monitor as of the last commit. What a replayed update publishes waits at the gate.
    fn read_monitor(&self, rows: &Rows, key: &str, bytes: &[u8]) -> Result<(ChannelMonitor, Stored)> {
        let EngineParams { keys, fees, log, .. } = &self.params;
        let Found { monitor, updates, stored } = monitors::read(rows, key, bytes, keys)?;
        let funding = monitor.get_funding_txo().into_bitcoin_outpoint();
        for (key, update) in updates {
            let applied = loaded(&key, || Ok(monitor.update_monitor(&update, &self.broadcasts, fees, log)));
            if !matches!(applied, Ok(Ok(()))) {
                // What earlier updates published is no better than the state that is lost.
                self.broadcasts.never_spend(funding);
                return Err(corrupt_row(&key, "its monitor refuses it"));
            }
        }
        Ok((monitor, stored))
    }

    fn routers(&self) -> (Arc<Router>, Arc<MessageRouter>) {
        let (log, keys) = (&self.params.log, &self.params.keys);
        let graph = Arc::new(NetworkGraph::new(self.params.network, Arc::clone(log)));
        let scorer = Arc::new(Mutex::new(Scorer::new(
            ProbabilisticScoringDecayParameters::default(),
            Arc::clone(&graph),
            Arc::clone(log),
        )));
        let scoring = ProbabilisticScoringFeeParameters::default();
        let router = Router::new(Arc::clone(&graph), Arc::clone(log), Arc::clone(keys), scorer, scoring);
        (Arc::new(router), Arc::new(MessageRouter::new(graph, Arc::clone(keys))))
    }

    fn read_manager(&self, bytes: &[u8], monitors: &[ChannelMonitor]) -> Result<ChannelManager> {
        let (router, message_router) = self.routers();
        let params = &self.params;
        let args = ChannelManagerReadArgs::new(
            Arc::clone(&params.keys),
            Arc::clone(&params.keys),
            Arc::clone(&params.keys),
            Arc::clone(&params.fees),
            Arc::clone(&self.monitors),
            Arc::clone(&self.broadcasts),
            router,
            message_router,
            Arc::clone(&params.log),
            params.user_config.clone(),
            monitors.iter().collect(),
        );
        let mut bytes = bytes;
        loaded(rows::MANAGER, || <(BlockHash, ChannelManager)>::read(&mut bytes, args)).map(|(_, manager)| manager)
    }

    fn new_manager(&self, best: BestBlock) -> ChannelManager {
        let (router, message_router) = self.routers();
        let params = &self.params;
        let now = u32::try_from(clock::now().as_secs()).unwrap_or(u32::MAX);
        ChannelManager::new(
            Arc::clone(&params.fees),
            Arc::clone(&self.monitors),
            Arc::clone(&self.broadcasts),
            router,
            message_router,
            Arc::clone(&params.log),
            Arc::clone(&params.keys),
            Arc::clone(&params.keys),
            Arc::clone(&params.keys),
            params.user_config.clone(),
            ChainParameters { network: params.network, best_block: best },
            now,
        )
    }
}

impl Loaded {
    /// LDK's channel manager.
    pub fn manager(&self) -> &Arc<ChannelManager> {
        &self.manager
    }

    /// Rows that did not load and were given up: the next commit must move them away, or the next start would stumble again.
    pub fn set_aside(&self) -> &[String] {
        &self.set_aside
    }

    /// LDK's chain monitor.
    pub fn monitors(&self) -> &Arc<ChainMonitor> {
        &self.engine.monitors
    }

    /// The channel message handler.
    pub fn messages(&self) -> &Arc<MessageGate> {
        &self.engine.messages
    }

    /// The broadcaster, to say which broadcasts failed.
    pub fn broadcasts(&self) -> &Arc<BroadcastGate> {
        &self.engine.broadcasts
    }

    /// This start's keys.
    pub fn keys(&self) -> &Arc<Signer> {
        &self.engine.params.keys
    }

    /// Why this engine is over, if it is.
    pub fn fault(&self) -> &Fault {
        &self.engine.fault
    }

    /// Notified whenever the run loop should look.
    pub fn wake(&self) -> &Arc<Notify> {
        &self.engine.wake
    }

    /// The next commit holds that channel's monitor, whole, whether LDK asked for it or not.
    pub fn write_monitor(&self, channel: ChannelId) {
        if let Ok(monitor) = self.engine.monitors.get_monitor(channel) {
            self.engine.queue.update_persisted_channel(monitor.persistence_key(), None, &monitor);
        }
    }

    /// Whether something waits for a commit. A manager that is merely dirty does not: no commit is started that nothing
    /// waits for, and with no monitor changed the last committed manager is as good.
    pub fn wants_commit(&self) -> bool {
        self.engine.messages.pull() | !self.engine.queue.is_empty() | !self.engine.broadcasts.is_empty()
    }

    /// Freezes manager, changed monitors and held outputs into one transaction, beside the caller's own rows in `batch`.
    pub fn cut(&self, mut batch: Batch) -> Cut {
        // Pulled before the encoding: pulling may itself change monitors.
        self.engine.messages.pull();
        let messages = self.engine.messages.take_held();
        let broadcasts = self.engine.broadcasts.take();
        self.manager.get_and_clear_needs_persistence();
        batch.put(rows::MANAGER, self.manager.encode());
        let Engine { queue, stored, monitors, fault, .. } = self.engine.as_ref();
        let quiet = messages.is_empty() && broadcasts.is_empty();
        if let Err(error) = stored.stage(&mut batch, queue.take(), quiet, monitors) {
            fault.raise(error);
        }
        Cut { batch, messages, broadcasts }
    }

    /// Lets a committed cut's messages go, and returns the transactions to broadcast: none if a fault came meanwhile.
    pub fn open_gate(&self, cut: Cut) -> Vec<Transaction> {
        if self.engine.fault.is_raised() {
            return Vec::new();
        }
        self.engine.messages.release(cut.messages);
        cut.broadcasts
    }
}
