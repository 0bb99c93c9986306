//! The other side: an LSP that opens channels, pays and is paid, and always knows exactly where it stands.
//!
//! It is LDK behind mayfly's gates, used without waiting: each of its changes is in `rows` before anybody can look.

use crate::bank::Bank;
use crate::keys::{keys, Who};
use crate::wire;
use crate::world::World;
use bitcoin::secp256k1::PublicKey;
use bitcoin::Network;
use lightning::chain::chaininterface::{ConfirmationTarget, FeeEstimator};
use lightning::events::{Event, EventsProvider, PaymentPurpose};
use lightning::ln::channel_state::ChannelDetails;
use lightning::ln::channelmanager::{PaymentId, RecipientOnionFields};
use lightning::ln::msgs::{BaseMessageHandler, MessageSendEvent};
use lightning::ln::types::ChannelId;
use lightning::routing::router::{Path, Route, RouteHop};
use lightning::sign::{NodeSigner, Recipient};
use lightning::types::features::{ChannelFeatures, NodeFeatures};
use lightning::types::payment::{PaymentHash, PaymentSecret};
use lightning::util::config::UserConfig;
use mayfly_core::checkpoint::{Engine, EngineParams, Loaded};
use mayfly_core::ldk::ChannelManager;
use mayfly_core::mutation;
use mayfly_core::store::{Batch, Rows};
use std::cell::RefCell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;
use tokio::sync::Notify;

/// The relay minimum; what an LSP's peers must at least accept.
const FLOOR: u32 = 253;

/// What the LSP keeps when it restarts.
#[derive(Clone)]
pub struct Kept {
    /// Manager and monitors.
    pub rows: Rows,
    /// What it believes that a block costs, in sat/kw.
    pub feerate: u32,
}

impl Kept {
    /// Of an LSP that has not begun.
    pub fn nothing() -> Self {
        Kept { rows: Rows::new(), feerate: FLOOR }
    }
}

/// See the module's head.
pub struct Peer {
    pub loaded: Loaded,
    rows: Rows,
    fees: Arc<Feerate>,
}

/// One feerate for everything; the least for what is asked of others.
struct Feerate(AtomicU32);

impl FeeEstimator for Feerate {
    fn get_est_sat_per_1000_weight(&self, target: ConfirmationTarget) -> u32 {
        match target {
            ConfirmationTarget::MinAllowedAnchorChannelRemoteFee
            | ConfirmationTarget::MinAllowedNonAnchorChannelRemoteFee
            | ConfirmationTarget::ChannelCloseMinimum => FLOOR,
            // A ceiling, not an estimate: an LSP does not let a wallet burn its money.
            ConfirmationTarget::MaximumFeeEstimate => 100_000,
            _ => self.0.load(Ordering::Relaxed),
        }
    }
}

impl Peer {
    /// Restarts an LSP, and tells it of the chain.
    pub fn start(kept: &Kept, start: u32, world: &World) -> Peer {
        let mut config = UserConfig::default();
        config.channel_handshake_limits.force_announced_channel_preference = false;
        config.channel_handshake_config.max_inbound_htlc_value_in_flight_percent_of_channel = 100;
        let fees = Arc::new(Feerate(AtomicU32::new(kept.feerate)));
        let params = EngineParams {
            network: Network::Regtest,
            keys: keys(Who::Peer, start),
            fees: Arc::clone(&fees) as mayfly_core::ldk::Fees,
            log: crate::log::of(Who::Peer),
            user_config: config,
        };
        let loaded = Engine::new(params, Arc::new(Notify::new())).load(&kept.rows, world.best());
        let loaded = loaded.expect("an LSP's own rows load");
        loaded.messages().answer_unknown_channels();
        world.tell(loaded.manager().as_ref(), loaded.monitors());
        Peer { loaded, rows: kept.rows.clone(), fees }
    }

    /// What would be left of it.
    pub fn kept(&self) -> Kept {
        Kept { rows: self.rows.clone(), feerate: self.fees.0.load(Ordering::Relaxed) }
    }

    /// Its node id.
    pub fn id(&self) -> PublicKey {
        self.loaded.keys().get_node_id(Recipient::Node).expect("a signer with a node id")
    }

    /// LDK's channel manager.
    pub fn manager(&self) -> &Arc<ChannelManager> {
        self.loaded.manager()
    }

    /// Fees on the chain change; the next timer tick tells the wallet.
    pub fn set_feerate(&self, sat_per_kw: u32) {
        self.fees.0.store(sat_per_kw, Ordering::Relaxed);
    }

    /// Works until it rests, keeps what came of it, and returns what it says.
    pub fn work(&mut self, world: &mut World, bank: &mut Bank) -> Vec<MessageSendEvent> {
        loop {
            let manager = self.manager();
            let forwards = manager.needs_pending_htlc_processing();
            if forwards {
                manager.process_pending_htlc_forwards();
            }
            let events = RefCell::new(Vec::new());
            let collect = |event: Event| {
                events.borrow_mut().push(event);
                Ok(())
            };
            manager.process_pending_events(&collect);
            self.loaded.monitors().process_pending_events(&collect);
            let events = events.into_inner();
            if events.is_empty() && !forwards {
                break;
            }
            events.into_iter().for_each(|event| self.handle(event, world, bank));
        }
        self.keep(world);
        let said = self.loaded.messages().get_and_clear_pending_msg_events();
        // Taking messages may have changed monitors.
        self.keep(world);
        said.into_iter().flat_map(wire::split).collect()
    }

    fn keep(&mut self, world: &mut World) {
        if !self.loaded.wants_commit() && !self.manager().get_and_clear_needs_persistence() {
            return;
        }
        let cut = self.loaded.cut(Batch::default());
        cut.batch.deletes().iter().for_each(|key| drop(self.rows.remove(key)));
        self.rows.extend(cut.batch.puts().iter().map(|(key, row)| (key.clone(), row.clone())));
        let leaked = mutation::leaked();
        for tx in self.loaded.open_gate(cut).into_iter().chain(leaked) {
            if world.submit(&tx).is_err() {
                self.loaded.broadcasts().forget(&tx.compute_txid());
            }
        }
    }

    fn handle(&self, event: Event, world: &mut World, bank: &mut Bank) {
        let manager = self.manager();
        match event {
            Event::FundingGenerationReady {
                temporary_channel_id,
                counterparty_node_id,
                channel_value_satoshis,
                output_script,
                ..
            } => {
                let funding = world.funding(&output_script, channel_value_satoshis);
                // Refused only when the channel has gone meanwhile.
                let _ = manager.funding_transaction_generated(temporary_channel_id, counterparty_node_id, funding);
            }
            Event::PaymentClaimable { payment_hash, purpose, .. } => match purpose {
                PaymentPurpose::Bolt11InvoicePayment { payment_preimage: Some(preimage), .. }
                    if bank.peer_takes(&payment_hash.0) =>
                {
                    manager.claim_funds(preimage);
                }
                _ => manager.fail_htlc_backwards(&payment_hash),
            },
            Event::PaymentClaimed { payment_hash, amount_msat, .. } => bank.peer_received(payment_hash.0, amount_msat),
            Event::PaymentSent { payment_id, payment_hash, payment_preimage, .. } => {
                let id = payment_id.map_or(payment_hash.0, |id| id.0);
                bank.peer_paid(id, payment_hash.0, payment_preimage.0);
            }
            Event::PaymentFailed { payment_id, payment_hash: Some(hash), .. } if payment_id.0 == hash.0 => {
                bank.peer_failed_to_pay(hash.0);
            }
            Event::ChannelPending { channel_id, funding_txo, .. } => bank.channel_opened(channel_id, funding_txo),
            Event::ChannelClosed { channel_id, reason, .. } => bank.channel_closed(channel_id, reason.to_string()),
            Event::SpendableOutputs { outputs, .. } => bank.peer_may_spend(&outputs),
            _ => {}
        }
    }

    /// The channels that payments pass now.
    pub fn usable(&self) -> Vec<ChannelDetails> {
        self.manager().list_channels().into_iter().filter(|channel| channel.is_usable).collect()
    }

    /// Pays the wallet: one part per channel named, each of so much. False when LDK says at once that it can't.
    pub fn pay(&self, wallet: PublicKey, channels: &[ChannelId], part_msat: u64, onion: &Onion) -> bool {
        let usable = self.usable();
        let hop = |id: &ChannelId| {
            let channel = usable.iter().find(|channel| channel.channel_id == *id)?;
            Some(hop(wallet, channel.get_outbound_payment_scid()?, part_msat, onion.cltv))
        };
        let hops: Option<Vec<RouteHop>> = channels.iter().map(hop).collect();
        hops.is_some_and(|hops| send(self.manager(), hops, onion))
    }
}

/// What all parts of a payment say.
pub struct Onion {
    /// The attempt; LDK's payment id.
    pub id: [u8; 32],
    pub hash: [u8; 32],
    pub secret: [u8; 32],
    pub cltv: u32,
}

/// The last hop of a route: a direct neighbour.
pub fn hop(to: PublicKey, scid: u64, amount_msat: u64, final_cltv: u32) -> RouteHop {
    RouteHop {
        pubkey: to,
        node_features: NodeFeatures::empty(),
        short_channel_id: scid,
        channel_features: ChannelFeatures::empty(),
        fee_msat: amount_msat,
        cltv_expiry_delta: final_cltv,
        maybe_announced_channel: false,
    }
}

/// Sends a payment over one hop per part.
pub fn send(manager: &ChannelManager, hops: Vec<RouteHop>, onion: &Onion) -> bool {
    let paths = hops.into_iter().map(|hop| Path { hops: vec![hop], blinded_tail: None }).collect();
    let route = Route { paths, route_params: None };
    let fields = RecipientOnionFields::secret_only(PaymentSecret(onion.secret));
    manager.send_payment_with_route(route, PaymentHash(onion.hash), fields, PaymentId(onion.id)).is_ok()
}
