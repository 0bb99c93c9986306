//! The wallet, as the product drives it: restore, then turns of LDK, a commit, and what it lets go.
//!
//! Everything in here is mayfly's own code; only the store's pace and the network are the simulator's.

use crate::bank::Bank;
use crate::keys::{keys, Who};
use crate::oracle::{self, Oracle};
use crate::peer::{hop, Onion};
use crate::store::{Latch, SlowStore};
use crate::wire;
use crate::world::World;
use bitcoin::secp256k1::PublicKey;
use bitcoin::{Network, Transaction};
use lightning::ln::channel_state::ChannelDetails;
use lightning::ln::msgs::{BaseMessageHandler, MessageSendEvent};
use lightning::ln::types::ChannelId;
use lightning::sign::{NodeSigner, Recipient};
use mayfly_core::chain::fees::Fees;
use mayfly_core::checkpoint::{Committer, Engine, EngineParams, Loaded};
use mayfly_core::config::SkimLimit;
use mayfly_core::error::{Error, Result};
use mayfly_core::lease::{Clocks, Lease, LeasedStore, Reading, Returns};
use mayfly_core::mutation;
use mayfly_core::store::memory::MemoryWallet;
use mayfly_core::store::{Claimant, Position, Store};
use mayfly_core::wallet::{settings, Committed, Driven, Terms, Wallet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::Notify;

/// How long the store may be silent before the wallet gives up. Simulated, so it costs nothing; longer than all resends.
const PATIENCE: Duration = Duration::from_secs(3_600);
/// A little more than the committer's pause between two sends of the same bytes.
const RESEND: Duration = Duration::from_millis(60);

type Working<T> = Pin<Box<dyn Future<Output = (Wallet, Result<T>)>>>;

enum State {
    /// Between two turns.
    Rests(Box<Wallet>),
    /// LDK works, and the ledger may have been asked.
    Drives(Working<Driven>),
    /// The store has been asked to commit.
    Commits(Working<Committed>),
    /// The store has been asked whether the lease stands.
    Confirms(Working<()>),
    /// It told why; its memory must not be used again.
    Over(Error),
}

/// No time passes by them: that a process stood still is told by `mayfly-core`'s own tests.
struct StoppedClocks;

impl Clocks for StoppedClocks {
    fn read(&self) -> Reading {
        Reading::default()
    }
}

/// See the module's head.
pub struct Holder {
    state: Option<State>,
    pub loaded: Loaded,
    pub fees: Arc<Fees>,
    store: MemoryWallet,
    latch: Latch,
    /// Acknowledgements that came through, and whether their event was still in the store then.
    promised: Arc<Mutex<Vec<(String, bool)>>>,
    /// Another holder has the lease.
    pub fenced: bool,
    /// Where the store was when it was asked last.
    asked_at: Position,
}

impl Holder {
    /// Claims, loads and follows the chain, as a boot does. Whoever held the wallet is fenced by it.
    pub async fn start(store: &MemoryWallet, peer: PublicKey, start: u32, world: &World) -> Result<Holder> {
        store.fence();
        let (latch, wake) = (Latch::default(), Arc::new(Notify::new()));
        let lease = Arc::new(Lease::by(StoppedClocks, Arc::clone(&wake)));
        let slow = Box::new(SlowStore::new(store.store(), latch.clone()));
        let mut handle = LeasedStore::new(slow, Arc::clone(&lease), Returns::default());
        let claimant = Claimant::of_process(start);
        let snapshot = handle.claim_and_load(&claimant).await?;
        let committer = Committer::new(Box::new(handle), &snapshot, PATIENCE).under(Arc::clone(&lease));
        let fees = Arc::new(Fees::default());
        let params = EngineParams {
            network: Network::Regtest,
            keys: keys(Who::Wallet, start),
            fees: Arc::clone(&fees) as mayfly_core::ldk::Fees,
            log: crate::log::of(Who::Wallet),
            user_config: settings::user_config(),
        };
        let terms = Terms { lsp: peer, skim: SkimLimit { base_msat: 0, ppm: 0 }, recover: false };
        let engine = Engine::under(params, wake, lease);
        let wallet = Wallet::restore(engine, &snapshot, committer, world.best(), terms, Arc::clone(&fees))?;
        let loaded = wallet.loaded.clone();
        world.tell(loaded.manager().as_ref(), loaded.monitors());
        wallet.caught_up()?;
        Ok(Holder {
            state: Some(State::Rests(Box::new(wallet))),
            loaded,
            fees,
            store: store.clone(),
            latch,
            promised: Arc::default(),
            fenced: false,
            asked_at: store.position(),
        })
    }

    /// Its node id.
    pub fn id(&self) -> PublicKey {
        self.loaded.keys().get_node_id(Recipient::Node).expect("a signer with a node id")
    }

    /// Why it is over, if it is.
    pub fn over(&self) -> Option<Error> {
        match &self.state {
            Some(State::Over(error)) => Some(error.clone()),
            _ => self.loaded.fault().reason(),
        }
    }

    /// The wallet, unless the store is asked for something or it is over.
    pub fn at_rest(&mut self) -> Option<&mut Wallet> {
        match &mut self.state {
            Some(State::Rests(wallet)) => Some(wallet),
            _ => None,
        }
    }

    /// Whether the store is asked for something.
    pub fn is_busy(&self) -> bool {
        matches!(self.state, Some(State::Drives(_) | State::Commits(_) | State::Confirms(_)))
    }

    /// Whether a commit is under way whose answer alone is missing.
    pub fn is_written(&self) -> bool {
        matches!(self.state, Some(State::Commits(_))) && self.store.position() != self.asked_at
    }

    /// Whether the store is asked for its word: what it has answered by now, it answered to a holder.
    pub fn is_confirming(&self) -> bool {
        matches!(self.state, Some(State::Confirms(_)))
    }

    /// LDK works until it rests, which may need a look at the ledger; if something waits for a commit, or for the store's word, the store is
    /// asked.
    pub fn turn(&mut self, world: &mut World, bank: &mut Bank) {
        let Some(State::Rests(wallet)) = self.state.take_if(|state| matches!(state, State::Rests(_))) else { return };
        let mut wallet = *wallet;
        self.state = Some(State::Drives(unconstrained(async move {
            let driven = wallet.drive().await;
            (wallet, driven)
        })));
        self.poll(world, bank);
    }

    /// Goes on as far as the store lets it.
    fn poll(&mut self, world: &mut World, bank: &mut Bank) {
        let mut context = Context::from_waker(Waker::noop());
        if let Some(State::Drives(drive)) = &mut self.state {
            let Poll::Ready((wallet, driven)) = drive.as_mut().poll(&mut context) else { return };
            self.driven(wallet, driven, world, bank);
        }
        if let Some(State::Commits(commit)) = &mut self.state {
            let Poll::Ready((wallet, result)) = commit.as_mut().poll(&mut context) else { return };
            self.committed(wallet, result, world, bank);
        }
        if let Some(State::Confirms(confirm)) = &mut self.state {
            let Poll::Ready((wallet, result)) = confirm.as_mut().poll(&mut context) else { return };
            self.latch.close();
            self.state = Some(match result {
                Ok(()) => State::Rests(Box::new(wallet)),
                Err(error) => State::Over(error),
            });
        }
    }

    fn driven(&mut self, mut wallet: Wallet, driven: Result<Driven>, world: &mut World, bank: &mut Bank) {
        self.latch.close();
        if let Err(error) = driven {
            self.state = Some(State::Over(error));
            return;
        }
        oracle::events_are_committed(&wallet, &self.store, bank);
        self.publish(&wallet.loaded, mutation::leaked(), world, bank);
        if !wallet.wants_commit() {
            let is_due = wallet.committer.lease().due_at(false).is_some();
            self.state = Some(match is_due {
                false => State::Rests(Box::new(wallet)),
                true => State::Confirms(unconstrained(async move {
                    let confirmed = wallet.committer.confirm().await;
                    (wallet, confirmed)
                })),
            });
            return;
        }
        self.asked_at = self.store.position();
        self.state = Some(State::Commits(unconstrained(async move {
            let committed = wallet.commit().await;
            (wallet, committed)
        })));
    }

    /// The store gets on with what it was asked by one half of a round trip.
    pub async fn get_on(&mut self, world: &mut World, bank: &mut Bank) {
        if self.is_busy() {
            self.latch.allow_one();
            tokio::time::advance(RESEND).await;
            self.poll(world, bank);
        }
    }

    /// The store is silent for so long that the wallet gives up.
    pub async fn give_up(&mut self, world: &mut World, bank: &mut Bank) {
        if self.is_busy() {
            self.latch.close();
            tokio::time::advance(PATIENCE).await;
            self.poll(world, bank);
        }
    }

    fn committed(&mut self, wallet: Wallet, result: Result<Committed>, world: &mut World, bank: &mut Bank) {
        self.latch.close();
        match result {
            Ok(committed) => {
                if self.fenced {
                    bank.wrong(Oracle::FencedIsSilent, "a commit of a fenced holder came through");
                }
                self.publish(&wallet.loaded, committed.transactions, world, bank);
                self.state = Some(State::Rests(Box::new(wallet)));
            }
            Err(error) => self.state = Some(State::Over(error)),
        }
        self.hear_promises(bank);
    }

    fn publish(&self, loaded: &Loaded, transactions: Vec<Transaction>, world: &mut World, bank: &mut Bank) {
        for tx in transactions {
            oracle::broadcast_is_committed(&tx, &self.store, bank);
            if world.submit(&tx).is_err() {
                loaded.broadcasts().forget(&tx.compute_txid());
            }
        }
    }

    /// One whole turn with a store that answers at once.
    pub async fn whole_turn(&mut self, world: &mut World, bank: &mut Bank) {
        self.turn(world, bank);
        while self.is_busy() {
            self.get_on(world, bank).await;
        }
    }

    /// What may go, goes.
    pub fn send(&mut self, bank: &mut Bank) -> Vec<MessageSendEvent> {
        let said = self.loaded.messages().get_and_clear_pending_msg_events();
        let said: Vec<_> = said.into_iter().flat_map(wire::split).collect();
        said.iter().for_each(|message| oracle::message_is_committed(message, &self.store, bank));
        if self.fenced {
            oracle::fenced_is_silent(&said, bank);
        }
        said
    }

    /// JavaScript takes what there is.
    pub fn listen(&mut self, bank: &mut Bank) {
        let store = self.store.clone();
        if let Some(wallet) = self.at_rest() {
            oracle::events_are_committed(wallet, &store, bank);
        }
    }

    /// JavaScript acknowledges the oldest event that it took.
    pub fn acknowledge(&mut self, bank: &mut Bank) {
        let (store, promised) = (self.store.clone(), Arc::clone(&self.promised));
        let Some(wallet) = self.at_rest() else { return };
        let Some(id) = wallet.outbox.iter().next().map(|event| event.id.clone()) else { return };
        bank.wished.insert(id.clone());
        let asked = id.clone();
        let promise = Box::new(move |result: Result<()>| {
            if result.is_ok() {
                let still_there = oracle::outbox_ids(&store).contains(&id);
                promised.lock().expect("no panic under it").push((id, still_there));
            }
        });
        let refused = wallet.ack(&asked, promise);
        assert!(refused.is_ok(), "an event of the outbox can be acknowledged");
    }

    fn hear_promises(&mut self, bank: &mut Bank) {
        let promised = std::mem::take(&mut *self.promised.lock().expect("no panic under it"));
        for (id, still_there) in promised {
            if still_there {
                bank.wrong(Oracle::PromisesAfterCommit, format!("the acknowledgement of {id} was promised too early"));
            }
            bank.acked.insert(id);
        }
    }

    /// The channels that payments pass now.
    pub fn usable(&self) -> Vec<ChannelDetails> {
        self.loaded.manager().list_channels().into_iter().filter(|channel| channel.is_usable).collect()
    }

    /// Pays the LSP: one part per channel named. False when LDK says at once that it can't.
    pub fn pay(&self, channels: &[ChannelId], part_msat: u64, onion: &Onion) -> bool {
        let usable = self.usable();
        let hop_of = |id: &ChannelId| {
            let channel = usable.iter().find(|channel| channel.channel_id == *id)?;
            Some(hop(channel.counterparty.node_id, channel.get_outbound_payment_scid()?, part_msat, onion.cltv))
        };
        let hops: Option<Vec<_>> = channels.iter().map(hop_of).collect();
        hops.is_some_and(|hops| crate::peer::send(self.loaded.manager(), hops, onion))
    }
}

/// Polled by hand, so it must not be told to let others have their turn.
fn unconstrained<T>(work: impl Future<Output = T> + 'static) -> Pin<Box<dyn Future<Output = T>>> {
    Box::pin(tokio::task::unconstrained(work))
}
