//! A run: the wallet, the LSP, the wire between them, the chain, and the bank that watches; one step at a time.

use crate::bank::{Bank, ToPeer, ToWallet};
use crate::holder::Holder;
use crate::keys::{keys, Who};
use crate::oracle::Oracle;
use crate::owned;
use crate::peer::{Kept, Onion, Peer};
use crate::schedule::{Kind, Step};
use crate::wire::{self, Heard, Wire};
use crate::world::World;
use lightning::ln::channel_state::{ChannelDetails, ChannelShutdownState};
use lightning::ln::inbound_payment;
use lightning::ln::msgs::{BaseMessageHandler, Init};
use lightning::ln::types::ChannelId;
use lightning::sign::NodeSigner;
use mayfly_core::error::Error;
use mayfly_core::store::memory::{Lost, MemoryWallet};
use mayfly_core::store::{Batch, Claimant, Nonce, Outcome, Rows, Store};
use std::collections::BTreeSet;
use std::time::Duration;

/// What an invoice asks for its last hop, and what payers here add to it at most.
const FINAL_CLTV: u32 = 144;
/// How long a secret is good: longer than any run.
const EXPIRY_SECONDS: u32 = 1_000_000;
/// Rounds of turns and messages after which two nodes must have come to rest.
const ROUNDS: usize = 2_000;

/// See the module's head.
pub struct Sim {
    pub world: World,
    pub peer: Peer,
    pub ours: Holder,
    pub store: MemoryWallet,
    pub bank: Bank,
    wire: Wire,
    /// Numbers the starts of both sides, and what must be unlike anything before.
    starts: u32,
}

/// All that is left after a crash of both sides.
#[derive(Clone)]
pub struct Remains {
    pub world: World,
    pub peer: Kept,
    pub rows: Rows,
    pub bank: Bank,
    pub starts: u32,
}

impl Remains {
    /// Of nothing: where a run begins.
    pub fn nothing() -> Self {
        Remains { world: World::new(), peer: Kept::nothing(), rows: Rows::new(), bank: Bank::default(), starts: 0 }
    }
}

impl Sim {
    /// Starts both sides from what is left. `Err`: the wallet does not start.
    pub async fn start(remains: Remains) -> Result<Sim, Error> {
        let Remains { world, peer, rows, bank, starts } = remains;
        let store = MemoryWallet::default();
        if !rows.is_empty() {
            fill(&store, rows).await;
        }
        let mut sim_bank = bank;
        let mut world = world;
        let mut peer = Peer::start(&peer, starts + 1, &world);
        // Alone; what it would say without a connection goes nowhere.
        peer.work(&mut world, &mut sim_bank);
        let ours = Holder::start(&store, peer.id(), starts + 1, &world).await?;
        Ok(Sim { world, peer, ours, store, bank: sim_bank, wire: Wire::default(), starts: starts + 1 })
    }

    /// What would be left if both sides died now.
    pub fn remains(&self) -> Remains {
        Remains {
            world: self.world.clone(),
            peer: self.peer.kept(),
            rows: self.store.rows(),
            bank: self.bank.clone(),
            starts: self.starts,
        }
    }

    /// HTLCs in flight as either side sees it.
    pub fn pending(&self) -> usize {
        let ours = crate::oracle::pending(&self.ours.loaded.manager().list_channels());
        ours + crate::oracle::pending(&self.peer.manager().list_channels())
    }

    /// One step of a schedule.
    pub async fn step(&mut self, step: Step) {
        owned::pass(Duration::from_secs(1));
        match step {
            Step::Turn => self.turn(),
            Step::Store => self.ours.get_on(&mut self.world, &mut self.bank).await,
            Step::Send => self.send(),
            Step::ToPeer => self.peer_hears(),
            Step::ToWallet => self.wallet_hears(),
            Step::Flow => self.flow().await,
            Step::LoseRequest => self.store.lose_commit(Lost::Request),
            Step::LoseReply => self.store.lose_commit(Lost::Reply),
            Step::StoreDies => self.ours.give_up(&mut self.world, &mut self.bank).await,
            Step::Acknowledge => {
                self.ours.listen(&mut self.bank);
                self.ours.acknowledge(&mut self.bank);
            }
            Step::Connect => self.connect().await,
            Step::Disconnect => self.disconnect(),
            Step::KillWallet => self.restart_wallet().await,
            Step::KillPeer => self.restart_peer(),
            Step::TakeOver => self.take_over().await,
            Step::Open { sats } => self.open(sats),
            Step::Close { by, force, which } => self.close(by, force, which),
            Step::Pay { parts, msat, kind } => self.pay(parts, msat, kind),
            Step::PayBack { parts, msat, good } => self.pay_back(parts, msat, good),
            Step::Tick(Who::Wallet) => self.ours.loaded.manager().timer_tick_occurred(),
            Step::Tick(Who::Peer) => self.peer.manager().timer_tick_occurred(),
            Step::Mine { blocks } => self.world.mine(blocks),
            Step::Reorganise { depth, mine_again } => {
                let moved = self.world.reorganise(depth, mine_again);
                self.bank.moved(&moved);
            }
            Step::Follow(who) => self.follow(who),
            Step::Fees { who, sat_per_kw } => self.fees(who, sat_per_kw),
        }
        self.peer_works();
    }

    /// The LSP is never behind itself: whatever touched it, it works, keeps and says at once.
    fn peer_works(&mut self) {
        let said = self.peer.work(&mut self.world, &mut self.bank);
        if self.wire.up {
            self.wire.to_wallet.extend(said);
        }
    }

    fn turn(&mut self) {
        self.ours.turn(&mut self.world, &mut self.bank);
    }

    fn send(&mut self) {
        let said = self.ours.send(&mut self.bank);
        if self.wire.up {
            self.wire.to_peer.extend(said);
        }
    }

    fn peer_hears(&mut self) {
        if let Some(message) = self.wire.to_peer.pop_front() {
            let heard = wire::deliver(self.peer.loaded.messages(), self.ours.id(), message);
            self.hang_up_if(heard);
        }
    }

    fn wallet_hears(&mut self) {
        if let Some(message) = self.wire.to_wallet.pop_front() {
            let heard = wire::deliver(self.ours.loaded.messages(), self.peer.id(), message);
            self.hang_up_if(heard);
        }
    }

    fn hang_up_if(&mut self, heard: Heard) {
        if heard == Heard::AndHungUp {
            self.disconnect();
        }
    }

    async fn flow(&mut self) {
        self.ours.whole_turn(&mut self.world, &mut self.bank).await;
        self.send();
        self.peer_hears();
        self.peer_works();
        self.wallet_hears();
    }

    /// A wallet that is over is started again first, as the next request would.
    async fn connect(&mut self) {
        if self.ours.over().is_some() {
            self.restart_wallet().await;
        }
        if self.wire.up {
            return;
        }
        let (ours, theirs) = (self.ours.id(), self.peer.id());
        let (wallet, lsp) = (self.ours.loaded.messages(), self.peer.loaded.messages());
        let (wallet_init, lsp_init) =
            (init(wallet.provided_init_features(theirs)), init(lsp.provided_init_features(ours)));
        let heard =
            lsp.peer_connected(ours, &wallet_init, true).and_then(|()| wallet.peer_connected(theirs, &lsp_init, false));
        self.wire.up = heard.is_ok();
    }

    fn disconnect(&mut self) {
        if self.wire.up {
            self.wire.cut();
            self.ours.loaded.messages().peer_disconnected(self.peer.id());
            self.peer.loaded.messages().peer_disconnected(self.ours.id());
        }
    }

    /// The process is gone; the LSP sees the connection break, a new process starts from what is committed.
    async fn restart_wallet(&mut self) {
        self.disconnect();
        self.starts += 1;
        match Holder::start(&self.store, self.peer.id(), self.starts, &self.world).await {
            Ok(holder) => self.ours = holder,
            Err(error) => self.bank.wrong(Oracle::Loads, error.to_string()),
        }
    }

    fn restart_peer(&mut self) {
        self.disconnect();
        self.peer_works();
        self.starts += 1;
        self.peer = Peer::start(&self.peer.kept(), self.starts, &self.world);
    }

    /// Another process takes the lease. This one hears what was on its way to it, works on, and must not be heard any more.
    async fn take_over(&mut self) {
        if self.ours.is_written() || self.ours.is_confirming() {
            while self.ours.is_busy() {
                self.ours.get_on(&mut self.world, &mut self.bank).await;
            }
        }
        // What was free to go before the lease changed hands.
        self.send();
        self.store.fence();
        self.ours.fenced = true;
        let heard = std::mem::take(&mut self.wire.to_wallet);
        for message in heard {
            wire::deliver(self.ours.loaded.messages(), self.peer.id(), message);
        }
        for _ in 0..2 {
            self.ours.whole_turn(&mut self.world, &mut self.bank).await;
            self.ours.send(&mut self.bank);
            self.ours.loaded.manager().timer_tick_occurred();
        }
        self.restart_wallet().await;
    }

    fn open(&mut self, sats: u64) {
        if self.wire.up && self.bank.channels.len() < 4 {
            self.starts += 1;
            // Refused by LDK while the peers do not know each other's features.
            let _ = self.peer.manager().create_channel(self.ours.id(), sats, 0, self.starts.into(), None, None);
        }
    }

    fn close(&mut self, by: Who, force: bool, which: u8) {
        if self.ours.at_rest().is_none() || self.ours.over().is_some() {
            return;
        }
        let (manager, other) = match by {
            Who::Wallet => (self.ours.loaded.manager(), self.peer.id()),
            Who::Peer => (self.peer.manager(), self.ours.id()),
        };
        // LDK lists them in an order of its own, another one in each process.
        let channels: BTreeSet<ChannelId> = manager.list_channels().iter().map(|channel| channel.channel_id).collect();
        let known = channels.into_iter().filter(|channel| self.bank.channels.contains_key(channel));
        let Some(channel) = known.into_iter().nth(which.into()) else { return };
        let asked = if force {
            manager.force_close_broadcasting_latest_txn(&channel, &other, "the schedule says so".to_owned())
        } else {
            manager.close_channel(&channel, &other)
        };
        if asked.is_ok() {
            self.bank.ask_to_close(channel);
        }
    }

    /// The LSP pays an invoice of the wallet's.
    pub fn pay(&mut self, parts: u8, msat: u64, kind: Kind) {
        let room = |channel: &&ChannelDetails| channel.next_outbound_htlc_limit_msat >= msat;
        let usable = self.peer.usable();
        let channels: Vec<ChannelId> = usable.iter().filter(room).map(|channel| channel.channel_id).collect();
        if channels.is_empty() {
            return;
        }
        self.starts += 1;
        let parts: Vec<ChannelId> = channels.iter().cycle().take(parts.into()).copied().collect();
        if kind == Kind::Again {
            return self.pay_again(&parts[0]);
        }
        let whole = msat * parts.len() as u64;
        let asked = match kind {
            Kind::AnyAmount => None,
            Kind::Short => Some(whole + 1),
            _ => Some(whole),
        };
        let minter = keys(Who::Wallet, self.starts);
        let now = owned::now().as_secs();
        let (hash, secret) =
            inbound_payment::create(&minter.get_expanded_key(), asked, EXPIRY_SECONDS, &minter, now, None)
                .expect("an amount that exists");
        let secret = if kind == Kind::Stranger { [7; 32] } else { secret.0 };
        let good = matches!(kind, Kind::Good | Kind::AnyAmount);
        let cltv = FINAL_CLTV + self.starts % 20;
        let paid = ToWallet {
            msat: whole,
            part_msat: msat,
            secret,
            good,
            single: parts.len() == 1,
            learnt: false,
            failed: false,
            again_msat: 0,
        };
        self.bank.to_wallet.insert(hash.0, paid);
        if !self.peer.pay(self.ours.id(), &parts, msat, &Onion { id: hash.0, hash: hash.0, secret, cltv }) {
            self.bank.to_wallet.remove(&hash.0);
        }
    }

    /// The LSP pays the invoice again that it knows to be paid.
    fn pay_again(&self, channel: &ChannelId) {
        let Some((hash, paid)) = self.bank.to_wallet.iter().find(|(_, payment)| payment.learnt) else { return };
        let mut id = [0xaa; 32];
        id[..4].copy_from_slice(&self.starts.to_be_bytes());
        // Refused at once when the channel can't carry as much.
        let onion = Onion { id, hash: *hash, secret: paid.secret, cltv: FINAL_CLTV };
        self.peer.pay(self.ours.id(), &[*channel], paid.msat, &onion);
    }

    /// The wallet pays an invoice of the LSP's.
    pub fn pay_back(&mut self, parts: u8, msat: u64, good: bool) {
        if self.ours.at_rest().is_none() || self.ours.over().is_some() {
            return;
        }
        let room = |channel: &&ChannelDetails| channel.next_outbound_htlc_limit_msat >= msat;
        let usable = self.ours.usable();
        let channels: Vec<ChannelId> = usable.iter().filter(room).map(|channel| channel.channel_id).collect();
        if channels.is_empty() {
            return;
        }
        self.starts += 1;
        let parts: Vec<ChannelId> = channels.iter().cycle().take(parts.into()).copied().collect();
        let whole = msat * parts.len() as u64;
        let (hash, secret) = self
            .peer
            .manager()
            .create_inbound_payment(Some(whole), EXPIRY_SECONDS, None)
            .expect("an amount that exists");
        self.bank.to_peer.insert(hash.0, ToPeer { msat: whole, good, received: false });
        if !self.ours.pay(&parts, msat, &Onion { id: hash.0, hash: hash.0, secret: secret.0, cltv: FINAL_CLTV }) {
            self.bank.to_peer.remove(&hash.0);
        }
    }

    fn follow(&mut self, who: Who) {
        match who {
            Who::Peer => self.world.tell(self.peer.manager().as_ref(), self.peer.loaded.monitors()),
            Who::Wallet if self.ours.at_rest().is_some() && self.ours.over().is_none() => {
                self.world.tell(self.ours.loaded.manager().as_ref(), self.ours.loaded.monitors());
            }
            Who::Wallet => {}
        }
    }

    fn fees(&mut self, who: Who, sat_per_kw: u32) {
        match who {
            Who::Peer => self.peer.set_feerate(sat_per_kw),
            Who::Wallet => {
                let rate = f64::from(sat_per_kw) / 250.0;
                self.ours.fees.update(&[1, 6, 12, 144, 1_008].into_iter().map(|blocks| (blocks, rate)).collect());
            }
        }
    }

    /// Both sides do what they can until neither has anything to say.
    pub async fn settle(&mut self) {
        for _ in 0..ROUNDS {
            self.peer_works();
            self.ours.whole_turn(&mut self.world, &mut self.bank).await;
            self.send();
            if self.wire.is_quiet() {
                self.ours.listen(&mut self.bank);
                return;
            }
            self.peer_hears();
            self.peer_works();
            self.wallet_hears();
        }
        self.bank.wrong(Oracle::Settles, format!("{ROUNDS} rounds, and still {}", self.wire.describe()));
    }

    /// Whether something of a closed channel is still on its way on the chain, on either side.
    pub fn is_closing(&self) -> bool {
        let lists = [&self.ours.loaded, &self.peer.loaded].map(|side| side.manager().list_channels());
        let funded = |list: &[ChannelDetails]| -> BTreeSet<ChannelId> {
            list.iter().map(|channel| channel.channel_id).filter(|id| self.bank.channels.contains_key(id)).collect()
        };
        // What was asked for may be forgotten by a crash: then the channel is simply open.
        let half_open = funded(&lists[0]) != funded(&lists[1]);
        let rests =
            |state: Option<ChannelShutdownState>| state.is_none_or(|s| s == ChannelShutdownState::NotShuttingDown);
        let shuts_down = lists.iter().flatten().any(|channel| !rests(channel.channel_shutdown_state));
        let claims = [&self.ours.loaded, &self.peer.loaded].iter().zip(&lists).any(|(side, list)| {
            let open: Vec<&ChannelDetails> = list.iter().collect();
            !side.monitors().get_claimable_balances(&open).is_empty()
        });
        half_open || shuts_down || claims
    }

    /// A connection, whatever there was before.
    pub async fn reconnect(&mut self) {
        self.disconnect();
        self.connect().await;
        self.settle().await;
    }

    /// Both hear of the chain and of the time, and do what they can.
    ///
    /// The wallet may hold a channel that the LSP forgot before it was funded. LDK waits for word of it in vain, and hangs up
    /// after two ticks: the next connection has two of its own.
    pub async fn wake_both(&mut self) {
        self.follow(Who::Peer);
        self.follow(Who::Wallet);
        self.peer.manager().timer_tick_occurred();
        self.ours.loaded.manager().timer_tick_occurred();
        self.settle().await;
        self.connect().await;
        self.settle().await;
    }
}

/// A wallet in a store that holds these rows.
async fn fill(store: &MemoryWallet, rows: Rows) {
    let mut handle = store.store();
    let claimant = Claimant::of_process(0);
    let at = handle.claim_and_load(&claimant).await.expect("a free wallet").position;
    let mut batch = Batch::default();
    rows.into_iter().for_each(|(key, row)| batch.put(key, row));
    let written = handle.commit(at, Nonce([1; 16]), &batch).await;
    assert!(matches!(written, Outcome::Committed(_)), "{written:?}");
}

fn init(features: lightning::types::features::InitFeatures) -> Init {
    Init { features, networks: None, remote_network_address: None }
}
